r"""Do two answers of mathematics mean the same? Shapes first, then what stands in them.

A folded text is read into a shape: an expression, items without order, a set, a tuple or an
interval, a union, a matrix, an equation, an inequality, a congruence, a named value. Shapes are
compared part by part with the same rules as single answers, so a rounded part is no more right than
a rounded answer. None is undecided: a gold that cannot be read, or a comparison that is beyond us.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from ttc_rl.verifiers import clock, identities, latex, numerals, quantities
from ttc_rl.verifiers.expressions import Tree, UnreadError, difference, parse, product, symbols
from ttc_rl.verifiers.rationals import value

MAX_ITEMS = 200
MAX_NESTING = 12


class Shape(NamedTuple):
    kind: str
    """expr, items, set, tuple, union, matrix, eq, order, unequal, mod, named, family, cases."""
    parts: tuple[Shape, ...] = ()
    texts: tuple[str, ...] = ()


FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError),
    *(RecursionError, TypeError, ValueError),
)
"""What a comparison of ours may run into: undecided, never wrong."""


def equal(gold: str, answer: str, tolerance: float) -> bool | None:
    """Return whether two tidy texts mean the same; None for a gold that cannot be read."""
    try:
        return _equal(gold, answer, tolerance)
    except FAILURES:
        return None


def is_readable(text: str) -> bool:
    """Return whether a tidy text is words or something that can be compared."""
    try:
        return not latex.is_prose(text) and _is_readable(read(text))
    except FAILURES:
        return False


def count(text: str) -> tuple[int, str]:
    """Return how many parts a tidy text has: (2, "items"), (2, "tuple"), or (1, "one"); by its
    commas."""
    text = text.strip()
    for start, end, kind in (("(", ")", "tuple"), (r"\{", r"\}", "items")):
        inside = text[len(start) : -len(end)]
        if text.startswith(start) and text.endswith(end) and _balanced(inside):
            parts = len([piece for piece in _split(inside, ",;".__contains__)[0] if piece])
            return (parts, kind) if parts > 1 else (1, "one")
    parts = len([piece for piece in _split(text, _is_comma)[0] if piece])
    return (parts, "items") if parts > 1 else (2, "items") if r"\pm" in text else (1, "one")


def is_near(gold: Fraction, answer: Fraction, tolerance: float) -> bool:
    """Return whether |answer - gold| <= tolerance |gold|."""
    return gold == answer or abs(answer - gold) <= Fraction(tolerance) * abs(gold)


def _equal(gold: str, answer: str, tolerance: float) -> bool | None:
    if _same_words(gold, answer):
        return True
    choices = [_CHOICE.fullmatch(latex.unwrapped(text).strip()) for text in (gold, answer)]
    if choices[0] and choices[1] and choices[0][1].upper() == choices[1][1].upper():
        return True
    if quantities.denials(answer) - quantities.denials(gold):
        return False if is_readable(gold) else None
    try:
        expected = read(gold)
    except UnreadError:
        return None
    try:
        actual = read(answer)
    except UnreadError:
        return False if _is_readable(expected) else None
    return _compare(expected, actual, tolerance)


def _same_words(gold: str, answer: str) -> bool:
    words = [latex.squeezed(text) for text in (gold, answer)]
    return bool(gold) and (words[0] == words[1] or all(map(_NOTHING.fullmatch, words)))


_NOTHING = re.compile(r"\\emptyset|\\\{\\\}|no(?:real)?solutions?(?:exists?)?")
"""Ways to say that there is no solution."""


def _is_readable(shape: Shape) -> bool:
    if shape.parts:
        return all(map(_is_readable, shape.parts))
    if shape.kind != "expr":
        return True
    return all(_is_readable_text(text) for text in shape.texts)


@functools.lru_cache(maxsize=4096)
def _is_readable_text(text: str) -> bool:
    if latex.is_prose(text):
        return False
    if (
        latex.is_words(text)
        or _TEXT.fullmatch(text)
        or value(text) is not None
        or quantities.quantity(text)
    ):
        return True
    if clock.time(text) or clock.ratio(text) or numerals.numeral(text) or quantities.share(text)[1]:
        return True
    return _tree(text) is not None


_TEXT = re.compile(r"\\text(?:bf|it|rm)?\s*\{[^{}]*[a-zA-Z]{2}[^{}]*\}")
"""Words with numbers among them: `\\text{October 30}`."""
_POINT = re.compile(r"[A-Z]'*\s*(\([^()]*,[^()]*\))")
"""A point with its name in front: `P(1, 2)`."""


def _tree(text: str) -> Tree | None:
    try:
        return parse(text)
    except UnreadError:
        return None


# --------------------------------------------------------------------------- reading shapes

_SPLITTER = re.compile(
    r"\\begin\s*\{\w+\*?\}|\\end\s*\{\w+\*?\}|\\[{}]|[()\[\]{}]|\\(?:text|mathrm|mbox)\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}"
    r"|(?<=[\s\d])(?:and|or)(?=[\s\\])|\\(?:lor|land|vee|wedge)(?![a-zA-Z])|\\[a-zA-Z]+|\\.|[,;]|\\\\|[=<>]",
    re.DOTALL,
)
_OPEN = {"(", "[", "{", r"\{"}
_CLOSE = {")", "]", "}", r"\}"}
_ORDER = {"<": "<", ">": ">", r"\le": "<=", r"\ge": ">=", r"\lt": "<", r"\gt": ">"}
_WORD_SEPARATOR = re.compile(
    r"(?:\\(?:text|mathrm|mbox)\s*\{)?\s*,?\s*(?:and|or)\s*,?\s*\}?|\\(?:lor|land|vee|wedge)"
)


def _split(text: str, is_separator: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """Return the pieces of a text between separators outside all brackets, and the separators."""
    depth, start, pieces, separators = 0, 0, list[str](), list[str]()
    for match in _SPLITTER.finditer(text):
        token = match.group()
        opens = token in _OPEN or token.startswith(r"\begin")
        closes = token in _CLOSE or token.startswith(r"\end{") or token.startswith(r"\end ")
        depth += opens - closes
        if depth == 0 and not opens and not closes and is_separator(token):
            pieces.append(text[start : match.start()].strip())
            separators.append(token)
            start = match.end()
    pieces.append(text[start:].strip())
    return pieces, separators


def _is_comma(token: str) -> bool:
    return token in ",;" or _WORD_SEPARATOR.fullmatch(token) is not None


def _items(text: str) -> list[str]:
    pieces, separators = _split(text, _is_comma)
    if separators and not pieces[0] and separators[0] not in ",;":
        raise UnreadError("nothing before a comma")
    return [piece for piece in pieces if piece]


_ENVIRONMENT = re.compile(
    r"\\begin\s*\{(\w+)\*?\}(?:\s*\[[^\]]*\])?(?:\s*\{[^{}\\]*\})?(.*)\\end\s*\{\1\*?\}", re.DOTALL
)
_FOR = r"(?:where|for|with|for some|for all|for any)?"
_WHOLE = re.compile(
    rf"(?:\\(?:text|mathrm)\s*\{{\s*{_FOR}\s*(?:integers?)?\s*\}}|where|for)?\s*(?P<name>[a-zA-Z])\s*"
    r"(?:\\in(?![a-zA-Z])\s*(?:\\mathbb\{(?P<domain>[A-Z])\}(?:\^\+|\^\*|_\+)?|(?P<letter>[ZNRQ]))"
    r"|\\text\s*\{\s*(?:is )?(?:an|any) (?:arbitrary )?integer\s*\}|(?:is )?(?:an|any) integer)"
)
_REAL_LINE = Shape(
    "tuple", (Shape("expr", (), (r"-\infty",)), Shape("expr", (), (r"\infty",))), ("(", ")")
)


@functools.lru_cache(maxsize=4096)
def read(text: str, nesting: int = 0) -> Shape:
    """Return the shape of a tidy text. Raises UnreadError where it has none."""
    text = text.strip()
    while text.startswith("{") and text.endswith("}") and latex.is_group(text):
        text = text[1:-1].strip()
    if not text or nesting > MAX_NESTING:
        raise UnreadError("nothing to read" if not text else "nested too deeply")
    if latex.is_words(text) and not re.search(r"\b(?:and|or)\b|,", text):
        return Shape("expr", (), (text,))
    text = text if not latex.is_words(text) else latex.unwrapped(text)
    if named := _POINT.fullmatch(text):
        text = named[1]
    deeper = functools.partial(read, nesting=nesting + 1)
    for reader in (_environment, _union, _listed, _related, _bracketed, _signed, _vector):
        shape = reader(text, deeper)
        if shape is not None:
            return shape
    return Shape("expr", (), (text,))


Reader = Callable[[str], Shape]


def _environment(text: str, deeper: Reader) -> Shape | None:
    wrapped = re.fullmatch(r"[(\[]\s*(\\begin.*\\end\s*\{\w+\*?\})\s*[)\]]", text, re.DOTALL)
    match = _ENVIRONMENT.fullmatch(wrapped[1] if wrapped else text)
    if not match or rf"\begin{{{match[1]}}}" in match[2]:
        return None
    name, body = match[1], match[2]
    rows = [
        row
        for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr(?![a-z])", re.sub(r"\\hline", "", body))
        if row.strip()
    ]
    if name in ("aligned", "align", "gathered", "split", "alignedat", "eqnarray", "gather"):
        return _items_shape([deeper(row.replace("&", "").strip().rstrip(",;.")) for row in rows])
    if name in ("cases", "array") and name == "cases":
        if not any("&" in row for row in rows):
            return _items_shape([deeper(row.strip().rstrip(",;.")) for row in rows])
        cells = [[_condition(cell) for cell in row.split("&", 1)] for row in rows]
        return Shape("cases", tuple(Shape("tuple", tuple(map(deeper, row))) for row in cells))
    if name == "vmatrix":
        return None
    cells = tuple(Shape("tuple", tuple(deeper(cell) for cell in row.split("&"))) for row in rows)
    return Shape("matrix", cells)


def _condition(text: str) -> str:
    text = re.sub(r"\\text\s*\{\s*(?:if|for|when|where)?\s*(.*?)\s*\}", r" \1 ", text.strip())
    return re.sub(r"^(?:if|for|when)\b", "", text.strip().strip(",;. ")).strip()


def _union(text: str, deeper: Reader) -> Shape | None:
    if r"\setminus" in text or r"\backslash" in text:
        match = re.fullmatch(
            r"(?:\\mathbb\{R\}|\(-\\infty\s*,\s*\+?\\infty\s*\)|R)\s*\\(?:setminus|backslash)\s*(.*)",
            text,
        )
        if match:
            removed = deeper(match[1])
            if removed.kind == "set":
                return _without(list(removed.parts))
        return None
    pieces, unions = _split(text, lambda t: t == r"\cup")
    if not unions:
        return None
    return Shape("union", tuple(_as_set(deeper(piece)) for piece in pieces))


def _without(points: list[Shape]) -> Shape:
    """Return the real line without some points."""
    ends = [(_real(point), point) for point in points]
    if any(number is None for number, _ in ends) or not ends:
        raise UnreadError("no order of the points")
    ordered = [point for _, point in sorted(ends, key=lambda end: end[0] or Fraction(0))]
    low, high = _REAL_LINE.parts
    edges = [low, *ordered, high]
    return Shape(
        "union",
        tuple(Shape("tuple", pair, ("(", ")")) for pair in itertools.pairwise(edges)),
    )


def _listed(text: str, deeper: Reader) -> Shape | None:
    items = _items(text)
    if len(items) < 2:
        return None
    if len(items) > MAX_ITEMS:
        raise UnreadError("too many items")
    if family := _WHOLE.fullmatch(items[-1]):
        domain = family["domain"] or family["letter"] or "Z"
        inner = _items_shape([deeper(item) for item in items[:-1]])
        return Shape("family", (inner,), (family["name"], domain))
    return _items_shape([deeper(item) for item in items])


def _items_shape(parts: Sequence[Shape]) -> Shape:
    flat: list[Shape] = []
    for part in parts:
        flat += part.parts if part.kind == "items" else [part]
    if not flat:
        raise UnreadError("no items")
    if flat[0].kind == "named" and flat[0].texts[0].startswith("("):
        pass
    return flat[0] if len(flat) == 1 else Shape("items", tuple(flat))


_RELATION = {
    "=",
    "<",
    ">",
    r"\le",
    r"\ge",
    r"\lt",
    r"\gt",
    r"\ne",
    r"\approx",
    r"\equiv",
    r"\in",
    r"\to",
}


def _related(text: str, deeper: Reader) -> Shape | None:
    pieces, signs = _split(text, _RELATION.__contains__)
    if not signs:
        return None
    if r"\approx" in signs:
        at = signs.index(r"\approx")
        head = pieces[: at + 1]
        if at == 0 and not head[0]:
            return deeper(pieces[1]) if len(signs) == 1 else None
        return deeper(text[: text.index(r"\approx")])
    if not all(pieces):
        raise UnreadError("nothing beside a relation sign")
    kinds = set(signs)
    if kinds == {r"\in"} and len(signs) == 1:
        inner = deeper(pieces[1])
        return Shape("named", (inner,), (pieces[0],)) if _is_name(pieces[0]) else inner
    if kinds == {r"\equiv"} and len(signs) == 1:
        match = re.fullmatch(r"(.*?)\s*\\pmod\{\s*(.*?)\s*\}", pieces[1])
        return Shape("mod", (), (pieces[0], match[1], match[2])) if match else None
    if kinds == {r"\ne"} and len(signs) == 1:
        return Shape("unequal", (), tuple(pieces))
    if signs == ["="] and (match := re.fullmatch(r"(.*?)\s*\\pmod\{\s*(.*?)\s*\}", pieces[1])):
        return Shape("mod", (), (pieces[0], match[1], match[2]))
    if kinds <= set(_ORDER):
        return _order(pieces, [_ORDER[sign] for sign in signs])
    if kinds == {"="}:
        return _equation(pieces, deeper)
    raise UnreadError("relations that do not belong together")


def _order(terms: list[str], signs: list[str]) -> Shape:
    """Return a chain of inequalities, turned so that every sign is < or <=."""
    if len({sign[0] for sign in signs}) != 1:
        raise UnreadError("inequalities in two directions")
    if signs[0][0] == ">":
        terms, signs = terms[::-1], [sign.replace(">", "<") for sign in signs[::-1]]
    return Shape("order", (), (*terms, *signs))


def _as_set(shape: Shape) -> Shape:
    """Return an inequality of one letter as an interval, `x \ne a` as a union; all else
    unchanged."""
    if shape.kind == "unequal":
        left, right = shape.texts
        if _LETTER.fullmatch(left) or _LETTER.fullmatch(right):
            return _without([read(right if _LETTER.fullmatch(left) else left)])
        return shape
    if shape.kind == "expr" and shape.texts[0].strip() in (r"\mathbb{R}",):
        return _REAL_LINE
    if (
        shape.kind == "items"
        and len(shape.parts) > 1
        and all(p.kind in ("order", "unequal") for p in shape.parts)
    ):
        return Shape("union", tuple(map(_as_set, shape.parts)))
    if shape.kind != "order":
        return shape
    count = (len(shape.texts) + 1) // 2
    terms, signs = list(shape.texts[:count]), list(shape.texts[count:])
    where = [i for i, term in enumerate(terms) if _LETTER.fullmatch(term)]
    if len(signs) > 2 or len(where) != 1 or (len(signs) == 2 and where[0] != 1):
        return _solved(terms, signs) or shape
    at = where[0]
    low = terms[at - 1] if at else r"-\infty"
    high = terms[at + 1] if at + 1 < len(terms) else r"\infty"
    open_ = "[" if at and signs[at - 1] == "<=" else "("
    close = "]" if at + 1 < len(terms) and signs[at] == "<=" else ")"
    return Shape("tuple", (read(low), read(high)), (open_, close))


_LETTER = re.compile(
    r"[A-Za-z](?:_\{?\w\}?)?|\\(?:alpha|beta|gamma|theta|lambda|mu|omega|phi|psi|xi|rho|sigma|tau)"
)


def _solved(terms: list[str], signs: list[str]) -> Shape | None:
    """Return `2x > 4` as an interval: one sign, one letter, linear with rational numbers."""
    if len(signs) != 1:
        return None
    trees = [_tree(term) for term in terms]
    if trees[0] is None or trees[1] is None:
        return None
    gap = difference(trees[1], trees[0])  # gap > 0
    letters = symbols(gap) - identities.CONSTANTS
    if len(letters) != 1:
        return None
    (letter,) = letters
    places = [Fraction(place) for place in (0, 1, 5, -3, "1/3", "-7/2")]
    gaps = [
        identities.rational(identities.substituted(gap, {letter: ("num", place)}))
        for place in places
    ]
    if gaps[0] is None or gaps[1] is None:
        return None
    start, slope = gaps[0], gaps[1] - gaps[0]
    if slope == 0 or any(g != start + slope * p for g, p in zip(gaps, places, strict=True)):
        return None
    edge = read(str(-start / slope))
    closed = signs[0] == "<="
    if slope > 0:
        return Shape("tuple", (edge, read(r"\infty")), ("[" if closed else "(", ")"))
    return Shape("tuple", (read(r"-\infty"), edge), ("(", "]" if closed else ")"))


_SIMPLE_NAME = re.compile(
    r"(?:[A-Za-z]|\\(?:hat|vec|overline|overrightarrow|text|mathrm|mathbf|mathcal)\s*\{[^{}]*\}|\\[a-zA-Z]+\s*[A-Z]{0,4}|[A-Z]{2,4})'*(?:_(?:\{[^{}]*\}|\w))?'*"
    r"(?:\^\{?-1\}?)?(?:\s*\(\s*[a-zA-Z](?:\s*,\s*[a-zA-Z])*\s*\))?"
)
_TUPLE_NAME = re.compile(r"\(\s*[a-zA-Z](?:_\{?\w+\}?)?(?:\s*,\s*[a-zA-Z](?:_\{?\w+\}?)?)+\s*\)")
_NOT_NAMES = re.compile(
    r"\\(?:frac|sqrt|sin|cos|tan|ln|log|pi|infty|binom|lfloor|lceil|cot|sec|csc|exp|int|sum)(?![a-zA-Z])"
)


_DERIVATIVE = re.compile(r"\\frac\s*\{\s*d\s*[a-zA-Z]\s*\}\s*\{\s*d\s*[a-zA-Z]\s*\}")


def _is_name(text: str) -> bool:
    if _DERIVATIVE.fullmatch(text):
        return True
    return (
        _SIMPLE_NAME.fullmatch(text) is not None
        and not _NOT_NAMES.search(text)
        and text not in ("e", "i")
    )


def _is_label(text: str) -> bool:
    """Return whether a text names what is asked for: `m+n`, `AB`, `a_{10}`, `P(A)`. It holds no
    number."""
    bare = re.sub(
        r"_(?:\{[^{}]*\}|\w)|\([^()]*\)|\\text\s*\{[^{}]*\}|\^\{?(?:-1|\\circ)\}?", "", text
    )
    plain = re.sub(r"\\(?:cdot|angle|overline|triangle|frac|hat|vec)(?![a-zA-Z])", "", bare)
    return (
        re.search(r"\d", plain) is None
        and re.search(r"[A-Za-z]", text) is not None
        and not _NOT_NAMES.search(plain)
    )


def _equation(pieces: list[str], deeper: Reader) -> Shape | None:
    first, last = pieces[0], pieces[-1]
    if _TUPLE_NAME.fullmatch(first) and len(pieces) == 2:
        names = _items(first[1:-1])
        values = deeper(last)
        if values.kind == "tuple" and len(values.parts) == len(names):
            named = tuple(
                Shape("named", (part,), (name,))
                for name, part in zip(names, values.parts, strict=True)
            )
            return Shape("items", named, ("point",))
        return values
    middle = pieces[1:-1]
    if (
        len(pieces) == 2
        and _is_name(last)
        and not _is_name(first)
        and (value(first) is not None or not _is_label(first))
    ) and not _letters(first):
        first, last = last, first
        pieces = [first, last]
    if _is_name(first) or _is_label(first):
        if any(_leaf(part, last, 0.0) is not True for part in middle if not _is_label(part)):
            raise UnreadError("an equation whose sides differ")
        name = first.strip()
        if not (_is_name(first) and name in _letters(last)):
            return Shape("named", (deeper(last),), (name,))
    numbers = [value(piece) for piece in pieces]
    if None not in numbers or not any(_letters(piece) for piece in pieces):
        if all(_leaf(part, last, 0.0) is True for part in pieces[:-1]):
            return deeper(last)
        raise UnreadError("an equation of numbers that differ")
    if len(pieces) != 2:
        return Shape("chain", (), tuple(pieces))
    return Shape("eq", (), (first, last))


def _letters(text: str) -> frozenset[str]:
    tree = _tree(text)
    if tree is None:
        return frozenset(re.findall(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])", text))
    return symbols(tree) - identities.CONSTANTS


_WRAPPED = [
    (r"\{", r"\}"),
    ("(", ")"),
    ("[", "]"),
    ("(", "]"),
    ("[", ")"),
    ("]", "["),
    ("]", "]"),
    ("[", "["),
]
_TURNED = {"]": "(", "[": ")"}


def _bracketed(text: str, deeper: Reader) -> Shape | None:
    if re.search(
        r"\^\s*\{?\s*(?:\\(?:mathsf|mathrm|text|mathbf)\s*\{?\s*T|\\top|\\intercal|T)\s*\}*\s*$",
        text,
    ):
        base = text[: text.rindex("^")].strip()
        if base.endswith((")", "]", "}")):
            inner = deeper(base)
            if inner.kind == "tuple" and len(inner.parts) > 1:
                return Shape("matrix", tuple(Shape("tuple", (part,)) for part in inner.parts))
            if inner.kind == "matrix" and len({len(row.parts) for row in inner.parts}) == 1:
                columns = zip(*(row.parts for row in inner.parts), strict=True)
                return Shape("matrix", tuple(Shape("tuple", tuple(column)) for column in columns))
        return None
    for start, end in _WRAPPED:
        if not (
            text.startswith(start) and text.endswith(end) and len(text) > len(start) + len(end) - 1
        ):
            continue
        inside = text[len(start) : len(text) - len(end)].strip()
        if start in "[]" and end in "[]" and (start, end) != ("[", "]"):
            items = _items(inside) if _balanced(inside) else []
            if len(items) == 2:
                marks = ("(" if start == "]" else "[", ")" if end == "[" else "]")
                return Shape("tuple", tuple(map(deeper, items)), marks)
            continue
        if not _balanced(inside):
            continue
        if start == r"\{":
            return _set(inside, deeper)
        items = _items(inside) if inside else []
        if len(items) > MAX_ITEMS:
            raise UnreadError("too many items")
        if len(items) > 1:
            return Shape("tuple", tuple(map(deeper, items)), (start, end))
        if (
            len(items) == 1
            and start == "("
            and end == ")"
            and not re.search(r"[=<>]|\\(?:le|ge)", inside)
        ):
            return (
                deeper(inside)
                if "(" in inside or r"\begin" in inside
                else Shape("expr", (), (text,))
            )
        return None
    return None


def _balanced(text: str) -> bool:
    """Return whether the brackets around a text close one another: not so in `(1,2),(3,4)`."""
    depth = 0
    for match in _SPLITTER.finditer(text):
        token = match.group()
        depth += (token in _OPEN or token.startswith(r"\begin")) - (
            token in _CLOSE or token.startswith(r"\end{")
        )
        if depth < 0:
            return False
    return depth == 0


_BUILDER = re.compile(
    r"(?P<name>[a-zA-Z])\s*(?:\\in(?![a-zA-Z])\s*(?P<domain>\\mathbb\{R\}|R))?\s*(?::|\\mid(?![a-zA-Z])|\||\\colon(?![a-zA-Z]))\s*(?P<rest>.+)",
    re.DOTALL,
)


def _set(inside: str, deeper: Reader) -> Shape:
    if not inside:
        return Shape("set")
    if match := _BUILDER.fullmatch(inside):
        rest = deeper(match["rest"])
        shape = _as_set(rest)
        return (
            shape
            if shape.kind in ("tuple", "union", "set")
            else Shape("expr", (), (rf"\{{{inside}\}}",))
        )
    items = _items(inside)
    if len(items) > MAX_ITEMS:
        raise UnreadError("too many items")
    parts: list[Shape] = []
    for item in items:
        part = deeper(item)
        parts += part.parts if part.kind == "items" else [part]
    return Shape("set", tuple(parts))


def _signed(text: str, deeper: Reader) -> Shape | None:
    if (r"\pm" not in text and r"\mp" not in text) or len(text) > 500:
        return None
    texts = []
    for plus, minus in (("+", "-"), ("-", "+")):
        signed = re.sub(r"\\pm(?![a-zA-Z])\s*", plus, text)
        texts.append(re.sub(r"\\mp(?![a-zA-Z])\s*", minus, signed).removeprefix("+"))
    return _items_shape([deeper(texts[0]), deeper(texts[1])])


_BASIS = [r"\hat{i}", r"\hat{j}", r"\hat{k}"]


def _vector(text: str, deeper: Reader) -> Shape | None:
    r"""Return `\hat i - 2\hat j` as a tuple of two or three coordinates."""
    if not any(name in text for name in _BASIS):
        return None
    tree = _tree(text)
    if tree is None:
        return None
    zero = {name: ("num", Fraction(0)) for name in _BASIS}
    start = identities.rational(identities.substituted(tree, zero))
    if start != 0:
        return None
    numbers = [
        identities.rational(identities.substituted(tree, {**zero, name: ("num", Fraction(1))}))
        for name in _BASIS
    ]
    if None in numbers:
        return None
    if r"\hat{k}" not in text:
        numbers = numbers[:2]
    return Shape("tuple", tuple(deeper(str(number)) for number in numbers), ("basis",))


# --------------------------------------------------------------------------- comparing shapes


def _every(verdicts: Sequence[bool | None]) -> bool | None:
    if any(verdict is False for verdict in verdicts):
        return False
    return None if None in verdicts else True


def _compare(gold: Shape, answer: Shape, tolerance: float) -> bool | None:
    if gold == answer and gold.kind != "chain":
        return True
    for comparer in (
        _compare_named,
        _compare_families,
        _compare_sets,
        _compare_lists,
        _compare_relations,
    ):
        applies, verdict = comparer(gold, answer, tolerance)
        if applies:
            return verdict
    if gold.kind == answer.kind == "expr":
        return _leaf(gold.texts[0], answer.texts[0], tolerance)
    return False if _is_readable(gold) else None


Finding = tuple[bool, bool | None]
_APART: Finding = (False, None)


def _compare_named(gold: Shape, answer: Shape, tolerance: float) -> Finding:
    if gold.kind == "named" and answer.kind == "named":
        return True, _same_named(gold, answer, tolerance)
    if gold.kind == "named" and answer.kind in ("eq", "named"):
        return True, _same_equation(_as_equation(gold), _as_equation(answer))
    if answer.kind == "named" and gold.kind == "eq":
        return True, _same_equation(_as_equation(gold), _as_equation(answer))
    if gold.kind == "named":
        if not _is_name(gold.texts[0]):
            return True, False
        return True, _compare(gold.parts[0], answer, tolerance)
    if answer.kind == "named":
        return True, _compare(gold, answer.parts[0], tolerance)
    return _APART


def _same_named(gold: Shape, answer: Shape, tolerance: float) -> bool | None:
    names = [latex.squeezed(shape.texts[0]) for shape in (gold, answer)]
    if names[0] == names[1]:
        return _compare(gold.parts[0], answer.parts[0], tolerance)
    equation = _same_equation(_as_equation(gold), _as_equation(answer))
    if equation is True:
        return True
    if names[0].casefold() == names[1].casefold():
        return equation
    if _stem(names[0]) == _stem(names[1]) or (
        all(map(_is_function, names)) and _has_letters(gold.parts[0])
    ):
        return _compare(gold.parts[0], answer.parts[0], tolerance)
    return equation


def _stem(name: str) -> str:
    return re.sub(r"_(?:\{[^{}]*\}|\w)", "", name)


def _is_function(name: str) -> bool:
    return name == "y" or "(" in name


def _has_letters(shape: Shape) -> bool:
    return shape.kind == "expr" and bool(_letters(shape.texts[0]))


def _as_equation(shape: Shape) -> tuple[str, str] | None:
    if shape.kind == "eq":
        return shape.texts[0], shape.texts[1]
    if shape.kind == "named" and shape.parts[0].kind == "expr":
        return shape.texts[0], shape.parts[0].texts[0]
    return None


def _same_equation(gold: tuple[str, str] | None, answer: tuple[str, str] | None) -> bool | None:
    """Return whether the differences of both sides are multiples of each other by a number."""
    if gold is None or answer is None:
        return False
    trees = [_tree(text) for text in (*gold, *answer)]
    if trees[0] is None or trees[1] is None:
        return None
    if trees[2] is None or trees[3] is None:
        return False
    factor = identities.multiple(difference(trees[0], trees[1]), difference(trees[2], trees[3]))
    return None if factor is None else bool(factor)


def _compare_families(gold: Shape, answer: Shape, tolerance: float) -> Finding:
    if gold.kind != "family" and answer.kind != "family":
        return _APART
    if gold.kind != answer.kind:
        if answer.kind == "family":
            return True, False
        return True, _compare(gold.parts[0], answer, tolerance) and None
    if gold.texts[1] != answer.texts[1]:
        return True, False
    return True, _compare(
        _renamed(gold.parts[0], gold.texts[0]),
        _renamed(answer.parts[0], answer.texts[0]),
        tolerance,
    )


def _renamed(shape: Shape, name: str) -> Shape:
    texts = tuple(
        re.sub(rf"(?<![\\a-zA-Z]){name}(?![a-zA-Z])", r"\\aleph ", text) for text in shape.texts
    )
    return Shape(shape.kind, tuple(_renamed(part, name) for part in shape.parts), texts)


def _compare_sets(gold: Shape, answer: Shape, tolerance: float) -> Finding:
    """Compare intervals, unions, inequalities."""
    letters = _letter_of(gold), _letter_of(answer)
    if None not in letters and letters[0] != letters[1]:
        return True, False
    if gold.kind == answer.kind == "order":
        verdict = _same_order(gold, answer)
        if verdict is True:
            return True, True
    if gold.kind == answer.kind == "unequal":
        return True, _every(
            [_leaf(g, a, tolerance) for g, a in zip(gold.texts, answer.texts, strict=True)]
        )
    expected, actual = _as_set(gold), _as_set(answer)
    if (expected, actual) == (gold, answer):
        if gold.kind == answer.kind == "order":
            return True, _same_order(gold, answer)
        if "union" in (gold.kind, answer.kind):
            return True, gold.kind == answer.kind and _same_items(
                gold.parts, answer.parts, tolerance
            )
        return _APART
    sets = {"tuple", "union", "set"}
    if expected.kind in sets and actual.kind in sets:
        return True, _compare(expected, actual, tolerance)
    if gold.kind == answer.kind == "order":
        return True, _same_order(gold, answer)
    return True, False


def _letter_of(shape: Shape) -> str | None:
    """Return the letter that an inequality is about, where it stands alone."""
    if shape.kind not in ("order", "unequal"):
        return None
    alone = [text for text in shape.texts if _LETTER.fullmatch(text)]
    return alone[0] if len(alone) == 1 else None


def _same_order(gold: Shape, answer: Shape) -> bool | None:
    """Compare inequalities: their gaps are positive multiples of each other, with the same
    signs."""
    if len(gold.texts) != len(answer.texts):
        return False
    count = (len(gold.texts) + 1) // 2
    if gold.texts[count:] != answer.texts[count:]:
        return False
    verdicts: list[bool | None] = []
    for i in range(count - 1):
        trees = [_tree(text) for text in (*gold.texts[i : i + 2], *answer.texts[i : i + 2])]
        if any(tree is None for tree in trees):
            return None if trees[0] is None or trees[1] is None else False
        readable = [tree for tree in trees if tree is not None]
        factor = identities.multiple(
            difference(readable[1], readable[0]), difference(readable[3], readable[2])
        )
        verdicts.append(None if factor is None else factor is not False and factor > 0)
    return _every(verdicts)


def _compare_lists(gold: Shape, answer: Shape, tolerance: float) -> Finding:
    kinds = {gold.kind, answer.kind}
    if not kinds & {"items", "set", "tuple", "matrix", "cases"}:
        return _APART
    if gold.kind == answer.kind == "matrix":
        return True, len(gold.parts) == len(answer.parts) and _in_order(
            gold.parts, answer.parts, tolerance
        )
    if "matrix" in kinds and "tuple" in kinds:
        return True, _in_vectors(gold, answer, tolerance)
    if ("basis",) in (gold.texts, answer.texts) and kinds == {"tuple"}:
        return True, _in_vectors(gold, answer, tolerance)
    if gold.kind == answer.kind == "tuple":
        marks = gold.texts == answer.texts or not gold.texts or not answer.texts
        ends = len(gold.parts) == 2 and not marks
        return True, not ends and _in_order(gold.parts, answer.parts, tolerance)
    if gold.kind == answer.kind == "cases":
        return True, _same_items(gold.parts, answer.parts, tolerance)
    if {gold.kind, answer.kind} == {"tuple", "set"}:
        return True, False
    if "tuple" in kinds and "items" in kinds:
        items, line = (gold, answer) if gold.kind == "items" else (answer, gold)
        if line.texts == ("[", "]") and len(line.parts) == 2:
            return True, False
        values = [part.parts[0] if part.kind == "named" else part for part in items.parts]
        return True, _in_order(values, line.parts, tolerance)
    if kinds <= {"items", "set"}:
        return True, _same_lists(gold, answer, tolerance)
    if kinds == {"items", "expr"} or kinds == {"set", "expr"}:
        single = gold if gold.kind == "expr" else answer
        if latex.squeezed(single.texts[0]) == r"\emptyset":
            return True, not gold.parts and not answer.parts
        other = answer if single is gold else gold
        if len(other.parts) == 1 and other.kind == "set" and gold.kind == "set":
            return True, _compare(other.parts[0], single, tolerance)
        return True, False if _is_readable(gold) else None
    if kinds == {"cases"}:
        return True, _same_items(gold.parts, answer.parts, tolerance)
    if (
        kinds & {"named", "eq", "order"}
        and kinds & {"set"}
        and gold.kind == "set"
        and len(gold.parts) == 1
    ):
        return True, _compare(gold.parts[0], answer, tolerance)
    return True, False if _is_readable(gold) else None


def _in_vectors(gold: Shape, answer: Shape, tolerance: float) -> bool | None:
    """Compare two vectors. One of unit vectors has a third coordinate where the other has one."""
    lines = [list(_line(shape)) for shape in (gold, answer)]
    for shape, line, other in ((gold, lines[0], lines[1]), (answer, lines[1], lines[0])):
        if shape.texts == ("basis",) and len(line) == 2 and len(other) == 3:
            line.append(read("0"))
    return _in_order(lines[0], lines[1], tolerance)


def _line(shape: Shape) -> Sequence[Shape]:
    """Return the entries of a vector: a tuple, one row, or one column."""
    if shape.kind == "tuple":
        return shape.parts
    if len(shape.parts) == 1:
        return shape.parts[0].parts
    if all(len(row.parts) == 1 for row in shape.parts):
        return [row.parts[0] for row in shape.parts]
    return ()


def _in_order(gold: Sequence[Shape], answer: Sequence[Shape], tolerance: float) -> bool | None:
    """Compare part by part."""
    if len(gold) != len(answer) or not gold:
        return False
    return _every([_compare(g, a, tolerance) for g, a in zip(gold, answer, strict=True)])


def _same_lists(gold: Shape, answer: Shape, tolerance: float) -> bool | None:
    """Compare lists without order; where both name their parts differently, by name."""
    names = [_names(shape) for shape in (gold, answer)]
    if (
        names[0]
        and names[1]
        and set(names[0]) == set(names[1])
        and len(set(names[0])) == len(names[0])
    ):
        by_name = dict(zip(names[1], answer.parts, strict=True))
        return _every(
            [
                _compare(part, by_name[name], tolerance)
                for name, part in zip(names[0], gold.parts, strict=True)
            ]
        )
    stems = [
        {_stem(part.texts[0]) for part in s.parts if part.kind == "named"} for s in (gold, answer)
    ]
    if stems[0] and stems[1] and stems[0] != stems[1]:
        return False
    ordered = any(len({_stem(name) for name in group}) > 1 for group in names)
    expected, actual = _unnamed_parts(gold), _unnamed_parts(answer)
    return (_in_order if ordered else _same_items)(expected, actual, tolerance)


def _names(shape: Shape) -> list[str]:
    if not shape.parts or any(part.kind != "named" for part in shape.parts):
        return []
    return [latex.squeezed(part.texts[0]) for part in shape.parts]


def _unnamed_parts(shape: Shape) -> list[Shape]:
    """Return the parts. `x=-3, 5` names its first part and means both."""
    stems = {_stem(part.texts[0]) for part in shape.parts if part.kind == "named"}
    if len(stems) == 1 or all(part.kind == "named" for part in shape.parts):
        return [part.parts[0] if part.kind == "named" else part for part in shape.parts]
    return list(shape.parts)


def _same_items(gold: Sequence[Shape], answer: Sequence[Shape], tolerance: float) -> bool | None:
    """Return whether each part of one is a part of the other; twice the same counts once."""
    if max(len(gold), len(answer)) > MAX_ITEMS or (not gold) != (not answer):
        return False
    gold, answer = _distinct(gold), _distinct(answer)
    if len(gold) != len(answer):
        return False
    unmatched, undecided = list(answer), False
    for expected in gold:
        verdicts = [_compare(expected, actual, tolerance) for actual in unmatched]
        if True in verdicts:
            unmatched.pop(verdicts.index(True))
        elif None in verdicts:
            undecided = True
        else:
            return False
    return None if undecided else True


def _distinct(shapes: Sequence[Shape]) -> list[Shape]:
    distinct: list[Shape] = []
    for shape in dict.fromkeys(shapes):
        if len(shapes) > 12 or not any(_compare(other, shape, 0.0) is True for other in distinct):
            distinct.append(shape)
    return distinct


def _compare_relations(gold: Shape, answer: Shape, tolerance: float) -> Finding:
    kinds = {gold.kind, answer.kind}
    if kinds == {"eq"}:
        return True, _same_equation(_as_equation(gold), _as_equation(answer))
    if kinds == {"chain"}:
        same = len(gold.texts) == len(answer.texts)
        return True, same and _every(
            [_leaf(g, a, tolerance) for g, a in zip(gold.texts, answer.texts, strict=True)]
        )
    if kinds == {"mod"}:
        (left, right, modulus), (other_left, other_right, other_modulus) = gold.texts, answer.texts
        numbers = [value(text) for text in (right, other_right, modulus, other_modulus)]
        if None in numbers:
            return True, _every(
                [_leaf(g, a, 0.0) for g, a in zip(gold.texts, answer.texts, strict=True)]
            )
        one, other, first, second = (number or Fraction(0) for number in numbers)
        if first != second or not first:
            return True, False
        return True, _leaf(left, other_left, 0.0) and (one - other) % first == 0
    if gold.kind == "expr" and answer.kind == "mod":
        return True, _leaf(gold.texts[0], answer.texts[1], tolerance)
    return _APART


# --------------------------------------------------------------------------- single answers


def _leaf(gold: str, answer: str, tolerance: float) -> bool | None:
    """Compare two single answers: words, a number, a time, a ratio, a share, a quantity, an
    expression."""
    if _same_words(gold, answer):
        return True
    expected, actual = value(gold), value(answer)
    if expected is not None and actual is not None:
        return is_near(expected, actual, tolerance)
    for same in (numerals.same, clock.same_time, clock.same_ratio):
        verdict = same(gold, answer)
        if verdict is not None:
            return verdict
    if quantities.qualifiers(gold) != quantities.qualifiers(answer):
        return False if _is_readable_text(gold) else None
    (gold_text, gold_share), (answer_text, answer_share) = map(quantities.share, (gold, answer))
    if gold_share or answer_share:
        return _same_share(gold_text, answer_text, gold_share, answer_share, tolerance)
    verdict = _same_quantity(gold, answer, tolerance)
    if verdict is not _NO_UNITS:
        return verdict if verdict is None else bool(verdict)
    return _same_expression(gold, answer, tolerance)


_NO_UNITS = object()
_CHOICE = re.compile(r"\(?\s*([A-Ea-e])\s*\)?")


def _same_share(
    gold: str, answer: str, gold_is: bool, answer_is: bool, tolerance: float
) -> bool | None:
    """Compare shares: 50 % is 50, 1/2 and 50 %."""
    for part in (gold, answer):
        if quantities.quantity(part):
            return False
    same = _same_expression(gold, answer, tolerance)
    if same or (gold_is and answer_is):
        return same
    if gold_is:
        return _same_expression(gold, rf"100 \cdot ({answer})", tolerance)
    return _same_expression(rf"100 \cdot ({gold})", answer, tolerance)


def _same_quantity(gold: str, answer: str, tolerance: float) -> object:
    expected, actual = quantities.quantity(gold), quantities.quantity(answer)
    if expected and not expected.bare and not actual:
        actual = quantities.lone_unit(answer, expected.unit)
    if actual and not actual.bare and not expected:
        expected = quantities.lone_unit(gold, actual.unit)
    if expected is None and actual is None:
        return _NO_UNITS
    if expected and actual and expected.unit.dimension and actual.unit.dimension:
        return _same_measures(expected, actual, tolerance)
    if expected and actual is None and _in_radians(expected.unit, answer):
        return _same_expression(_radians(expected), answer, tolerance) or _same_expression(
            expected.number, answer, tolerance
        )
    if actual and expected is None and _in_radians(actual.unit, gold):
        return _same_expression(gold, _radians(actual), tolerance) or _same_expression(
            gold, actual.number, tolerance
        )
    if (expected and expected.bare and actual is None) or (
        actual and actual.bare and expected is None
    ):
        same = _same_expression(gold, answer, tolerance)
        if same is True:
            return True
    return _same_expression(
        expected.number if expected else gold, actual.number if actual else answer, tolerance
    )


def _same_measures(
    gold: quantities.Quantity, answer: quantities.Quantity, tolerance: float
) -> bool | None:
    angles = {(("angle", 1),), (("radian", 1),)}
    if gold.unit.dimension in angles and answer.unit.dimension in angles:
        if gold.unit.dimension == answer.unit.dimension:
            return _same_expression(gold.number, answer.number, tolerance)
        return _same_expression(_radians(gold), _radians(answer), tolerance)
    if gold.unit.dimension != answer.unit.dimension:
        if gold.unit.is_known and answer.unit.is_known:
            return False
        words = [{name for name, _ in unit.dimension} for unit in (gold.unit, answer.unit)]
        if not (words[0] < words[1] or words[1] < words[0]):
            return False
        measures = [
            [pair for pair in unit.dimension if not pair[0].startswith("?")]
            for unit in (gold.unit, answer.unit)
        ]
        if measures[0] != measures[1]:
            return False
    factor = answer.unit.worth / gold.unit.worth
    number = (
        answer.number
        if factor == 1
        else rf"\frac{{{factor.numerator}}}{{{factor.denominator}}}\cdot({answer.number})"
    )
    return _same_expression(gold.number, number, tolerance)


def _in_radians(unit: quantities.Unit, other: str) -> bool:
    return unit.dimension == (("angle", 1),) and (
        r"\pi" in other or "arc" in other or "^{-1}" in other
    )


def _radians(quantity: quantities.Quantity) -> str:
    if quantity.unit.dimension == (("radian", 1),):
        return quantity.number
    return rf"\frac{{\pi}}{{180}}\cdot({quantity.number})"


def _same_expression(gold: str, answer: str, tolerance: float) -> bool | None:
    first, second = _number_or_tree(gold), _number_or_tree(answer)
    if first is None:
        return _unreadable(gold)
    if second is None:
        return False
    if tolerance:
        expected = identities.real(first)
        if expected is not None:
            actual = identities.real(second)
            return actual is not None and is_near(expected, actual, tolerance)
    same = identities.same(first, second)
    if same is not True and (r"\circ" in gold or r"\circ" in answer):
        return identities.same(first, second, degree="one") or same
    return same


def _number_or_tree(text: str) -> Tree | None:
    number = value(text)
    return ("num", number) if number is not None else _tree_or_determinant(text)


def _tree_or_determinant(text: str) -> Tree | None:
    match = re.fullmatch(
        r"(?:\\det\s*)?\\begin\{vmatrix\}(.*)\\end\{vmatrix\}", text.strip(), re.DOTALL
    )
    if not match:
        return _tree(text)
    rows = [
        [_tree(cell) for cell in row.split("&")]
        for row in re.split(r"\\\\", match[1])
        if row.strip()
    ]
    if len(rows) > 4 or any(len(row) != len(rows) or None in row for row in rows):
        return None
    return _determinant([[cell for cell in row if cell is not None] for row in rows])


def _determinant(rows: list[list[Tree]]) -> Tree:
    if len(rows) == 1:
        return rows[0][0]
    terms = []
    for column, cell in enumerate(rows[0]):
        minor = _determinant([[*row[:column], *row[column + 1 :]] for row in rows[1:]])
        terms.append(product(("num", Fraction((-1) ** column)), cell, minor))
    return ("add", *terms)


def _unreadable(gold: str) -> bool | None:
    """Return False for a gold of words, which equals only its words; None for one that nobody can
    read."""
    return False if latex.is_words(gold) or _TEXT.fullmatch(gold) else None


def _real(shape: Shape) -> Fraction | None:
    tree = _tree(shape.texts[0]) if shape.kind == "expr" else None
    return None if tree is None else identities.real(tree)


def warm_up() -> None:
    """Import mpmath by a first comparison; later ones take well under a millisecond."""
    for gold, answer in [(r"\frac{\sqrt{3}}{2}", r"\sqrt{3}/2"), (r"\sin x", r"\cos x")]:
        equal(gold, answer, 0.0)
