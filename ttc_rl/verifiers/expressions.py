r"""LaTeX as a tree: letters keep their case, named functions stay functions, units are not guessed.

A tree is a tuple: `("num", Fraction)`, `("sym", name)`, `("add" | "mul", trees...)`, `("pow", base,
exponent)`, `("deg", tree)`, or a function's name before its arguments. A mixed number is a whole
number before a proper fraction of whole numbers; all else side by side is a product. Not covered:
anything with a relation sign, a comma at the top, or words: `answers.py` takes those apart.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from typing import Any

Tree = tuple[Any, ...]

MAX_DEPTH = 40
MAX_DIGITS = 2000


class UnreadError(ValueError):
    """Raised where a text is no expression that we can read."""


MINUS_ONE: Tree = ("num", Fraction(-1))
FUNCTIONS = {
    *("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch"),
    *("arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc", "arsinh", "arcosh", "artanh"),
    *("ln", "log", "lg", "exp", "sqrt", "max", "min", "gcd", "lcm", "det", "dim", "ker", "cis"),
    *("arg", "Re", "Im", "sgn", "sign", "tr", "lb", "abs", "floor", "ceil", "rank", "span", "mod"),
}
"""Names that take an argument; those that `identities.py` cannot evaluate are opaque there."""
_ALIAS = {"tg": "tan", "ctg": "cot", "arctg": "arctan", "asin": "arcsin", "acos": "arccos"}
_ALIAS |= {"atan": "arctan", "cosec": "csc", "sign": "sgn", "lb": "log2", "Re": "re", "Im": "im"}
_ALIAS |= {"arcsinh": "arsinh", "arccosh": "arcosh", "arctanh": "artanh"}
_INVERSE = {name: f"arc{name}" for name in ("sin", "cos", "tan", "cot", "sec", "csc")}
_INVERSE |= {"sinh": "arsinh", "cosh": "arcosh", "tanh": "artanh"}
_SKIP = re.compile(r"(?:\s|\\[,!;:> ]|\\(?:quad|qquad|limits|nolimits)(?![a-zA-Z])|~)+")
_NUMBER = re.compile(
    r"(?P<head>\d+(?:\.\d*)?|\.\d+)"
    r"(?P<repeat>\\(?:overline|bar)\s*(?:\{\d+\}|\d)|(?:\\dot\s*(?:\{\d\}|\d)\d*)(?:\\dot\s*(?:\{\d\}|\d))?"
    r"|(?<=\.)\(\d+\))?",
    re.ASCII,
)
_COMMAND = re.compile(r"\\([a-zA-Z]+)|\\(.)", re.DOTALL)
_PROPER = re.compile(
    r"\\frac\s*(\d|\{\s*\d+\s*\})\s*(\d|\{\s*\d+\s*\})|(?<=\s)(\d+)\s*/\s*(\d+)", re.ASCII
)
_LETTERS = re.compile(r"[A-Za-z]+")
_OPERATORS = {
    "cdot": "*",
    "times": "*",
    "div": "/",
    "ast": "*",
    "bullet": "*",
    "pm": "±",
    "mp": "∓",
}
_ACCENTS = {"overline", "bar", "vec", "hat", "widehat", "tilde", "overrightarrow", "widetilde"}
_GROUPS = {"lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil"), "lvert": ("rvert", "abs")}
_GROUPS |= {"lVert": ("rVert", "norm")}
_WORDS = {
    "text",
    "mathrm",
    "operatorname",
    "mbox",
    "textbf",
    "textit",
    "textrm",
    "mathbf",
    "mathit",
}
_WORDS |= {"mathcal", "mathbb", "mathfrak", "mathsf", "mathscr", "bm", "boldsymbol"}
_CONSTANTS = {"infty": "infty", "pi": "pi", "infinity": "infty"}
_GREEK = {
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "omicron", "rho", "sigma", "tau", "upsilon", "phi", "chi"),
    *("psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi"),
    *("Psi", "Omega", "ell", "hbar", "varepsilon", "vartheta", "varphi", "varrho", "varsigma"),
    *("angle", "triangle", "imath", "jmath", "partial", "nabla", "emptyset", "Re", "Im", "aleph"),
    *("square", "dots", "perp", "parallel", "circ", "odot", "prime", "wp", "star"),
}


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Tree:
    """Read a folded text as one expression. Raises UnreadError where it is none."""
    reader = _Reader(text)
    tree = reader.sum()
    reader.skip()
    if reader.at < len(text):
        raise UnreadError(f"cannot read {text[reader.at : reader.at + 20]!r}")
    return tree


def number(value: Fraction | int) -> Tree:
    return ("num", Fraction(value))


def product(*factors: Tree) -> Tree:
    return factors[0] if len(factors) == 1 else ("mul", *factors)


def negative(tree: Tree) -> Tree:
    return ("num", -tree[1]) if tree[0] == "num" else ("mul", MINUS_ONE, tree)


def difference(left: Tree, right: Tree) -> Tree:
    return ("add", left, negative(right))


@functools.lru_cache(maxsize=4096)
def symbols(tree: Tree) -> frozenset[str]:
    """Return the names of the free letters."""
    head = tree[0]
    if head == "num":
        return frozenset()
    if head == "sym":
        return frozenset([tree[1]])
    inside = frozenset().union(*(symbols(part) for part in tree[1:] if isinstance(part, tuple)))
    return inside - {tree[1]} if head in BINDERS else inside


BINDERS = ("sum", "prod", "int", "diff", "lim")
"""Their first argument is the name of the letter that they bind."""


class _Reader:
    """Recursive descent: sum -> product -> juxtaposed factors -> power -> atom."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth, self.bars = text, 0, 0, 0

    # ------------------------------------------------------------------- characters

    def skip(self) -> None:
        match = _SKIP.match(self.text, self.at)
        if match:
            self.at = match.end()

    def peek(self) -> str:
        """Return the next command without its backslash after one, or character; nothing at the
        end."""
        self.skip()
        if self.at >= len(self.text):
            return ""
        if self.text[self.at] == "\\":
            match = _COMMAND.match(self.text, self.at)
            return match.group() if match else "\\"
        return self.text[self.at]

    def take(self, token: str) -> bool:
        if token and self.peek() == token:
            self.at += len(token)
            return True
        return False

    def need(self, token: str) -> None:
        if not self.take(token):
            raise UnreadError(f"{token!r} expected at {self.text[self.at : self.at + 20]!r}")

    def operator(self) -> str:
        token = self.peek()
        return _OPERATORS.get(token[1:], token) if token.startswith("\\") else token

    # ------------------------------------------------------------------- levels

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadError("nested too deeply")
        terms = [self.signed()]
        while self.operator() in ("+", "-"):
            terms.append(self.signed())
        if self.peek() in (r"\bmod", r"\mod"):
            self.at += len(self.peek())
            terms = [("mod", terms[0] if len(terms) == 1 else ("add", *terms), self.product())]
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("add", *terms)

    def signed(self) -> Tree:
        minus = False
        while self.operator() in ("+", "-"):
            minus ^= self.peek() == "-"
            self.at += len(self.peek())
        tree = self.product()
        return negative(tree) if minus else tree

    def product(self) -> Tree:
        tree = self.juxtaposed()
        while (sign := self.operator()) in ("*", "/"):
            self.at += len(self.peek())
            minus = False
            while self.operator() in ("+", "-"):
                minus ^= self.peek() == "-"
                self.at += 1
            other = self.juxtaposed() if sign == "*" else self.divisor()
            other = negative(other) if minus else other
            tree = ("mul", tree, other if sign == "*" else ("pow", other, MINUS_ONE))
        return tree

    def divisor(self) -> Tree:
        r"""Read what a slash divides by: one factor; `1/2x` is x/2, `1/ab` likewise."""
        return self.power()

    def juxtaposed(self) -> Tree:
        factors = [self.power()]
        plain = self.was_number
        while self.starts_factor():
            before = self.at
            factors.append(self.power())
            if (
                plain
                and self.was_number
                and not self.text[before : self.at].lstrip().startswith("\\")
            ):
                raise UnreadError("two numbers side by side")
            plain = self.was_number
        return product(*factors)

    was_number = False

    def starts_factor(self) -> bool:
        token = self.peek()
        if not token or token in "+-*/=<>,;:)]}!^_&'%" or token in (r"\}", r"\\"):
            return False
        if token == "|":
            return self.bars == 0
        if token.startswith("\\"):
            name = token[1:]
            closing = any(name == end for end, _ in _GROUPS.values())
            return (
                name.isalpha() and not closing and name not in _OPERATORS and name not in _RELATIONS
            )
        return True

    def power(self) -> Tree:
        start = self.at
        tree = self.atom()
        is_number = tree[0] == "num" and self.text[start : self.at].strip()[-1:].isdigit()
        while (token := self.peek()) in ("^", "!", "'") and token:
            is_number = False
            self.at += 1
            if token == "!":
                double = self.text.startswith("!", self.at)
                self.at += double
                tree = ("fact2" if double else "fact", tree)
            else:
                tree = ("prime", tree) if token == "'" else self.raised(tree)
        self.was_number = is_number
        return tree

    def raised(self, tree: Tree) -> Tree:
        match = re.compile(
            r"\s*\{?\s*(\\circ|\\prime|\\top|\\intercal|\\mathrm\{T\}|\\text\{T\}|T|\*|\\ast|\\dagger|\\complement|c)\s*(?:\}|(?![a-zA-Z0-9]))"
        ).match(self.text, self.at)
        braced = match and (
            "{" in match.group()[: match.start(1) - match.start()]
        ) == match.group().rstrip().endswith("}")
        if match and braced and match[1] not in ("c",):
            self.at = match.end()
            if match[1] == r"\circ":
                return ("deg", tree)
            return ("prime", tree) if match[1] == r"\prime" else ("mark", ("sym", match[1]), tree)
        exponent = self.argument()
        return ("pow", tree, exponent)

    def argument(self) -> Tree:
        """Read what TeX or a program takes as an argument: a group, a number, a signed atom."""
        token = self.peek()
        if token == "{":
            return self.braced()
        if token in ("-", "+"):
            self.at += 1
            tree = self.argument()
            return negative(tree) if token == "-" else tree
        if token.isdigit():
            match = re.compile(r"\d+").match(self.text, self.at)
            if match:
                self.at = match.end()
                return self.whole(match.group())
        return self.atom()

    def tex_argument(self) -> Tree:
        r"""Read what `\frac` takes: a group or one character."""
        token = self.peek()
        if token == "{":
            return self.braced()
        if token.isdigit():
            self.at += 1
            return self.whole(token)
        return self.atom()

    def denominator(self) -> Tree:
        tree = self.tex_argument()
        if (
            self.text[self.at - 1 : self.at].isdigit()
            and self.text[self.at : self.at + 1].isdigit()
        ):
            raise UnreadError("three digits behind a fraction")
        return tree

    @staticmethod
    def whole(digits: str) -> Tree:
        if len(digits) > MAX_DIGITS:
            raise UnreadError("a number too long")
        return number(int(digits))

    def braced(self) -> Tree:
        self.need("{")
        bars, self.bars = self.bars, 0
        tree = self.sum()
        if self.peek() in (r"\choose", r"\over"):
            token = self.peek()
            self.at += len(token)
            other = self.sum()
            tree = (
                ("binom", tree, other)
                if token == r"\choose"
                else ("mul", tree, ("pow", other, MINUS_ONE))
            )
        self.bars = bars
        self.need("}")
        return tree

    # ------------------------------------------------------------------- atoms

    def atom(self) -> Tree:
        token = self.peek()
        if not token:
            raise UnreadError("something is missing at the end")
        if token.isdigit() or token == ".":
            return self.numeral()
        if token == "{":
            return self.braced()
        if token in ("(", "["):
            self.at += 1
            bars, self.bars = self.bars, 0
            tree = self.sum()
            self.bars = bars
            self.need(")" if token == "(" else "]")
            return tree
        if token == "|":
            self.at += 1
            self.bars += 1
            tree = self.sum()
            self.need("|")
            self.bars -= 1
            return ("abs", tree)
        if token.startswith("\\"):
            self.at += len(token)
            return self.command(token[1:])
        if token.isascii() and token.isalpha():
            return self.letters()
        if token.isalpha():
            self.at += 1
            return self.marked(token)
        raise UnreadError(f"cannot read {token!r}")

    def numeral(self) -> Tree:
        match = _NUMBER.match(self.text, self.at)
        if not match or len(match.group()) > MAX_DIGITS:
            raise UnreadError("no number")
        self.at = match.end()
        if match["repeat"]:
            return number(_repeating(match["head"], match["repeat"]))
        digits = match["head"]
        if self.text.startswith("_", self.at):
            return self.marked(digits)
        value = Fraction(digits if digits[-1] != "." else digits[:-1])
        tail = (
            _PROPER.match(self.text, _end_of(_SKIP, self.text, self.at))
            if digits.isdigit()
            else None
        )
        if tail:
            top, bottom = (int(part.strip("{} ")) for part in tail.groups() if part)
            if 0 < top < bottom and len(tail.group()) < 200:
                self.at = tail.end()
                return ("num", value + Fraction(top, bottom))
        return ("num", value)

    def letters(self) -> Tree:
        match = _LETTERS.match(self.text, self.at)
        run = match.group() if match else ""
        for length in range(min(len(run), 7), 1, -1):
            name = run[:length]
            if name in FUNCTIONS or name in _ALIAS:
                if length < len(run) and not (length >= 3 and run[length:] in _LONE):
                    continue
                self.at += length
                return self.function(_ALIAS.get(name, name))
        if run in ("pi", "inf", "infty", "infinity", "oo"):
            self.at += len(run)
            return ("sym", r"\pi" if run == "pi" else r"\infty")
        letter = run[0]
        self.at += 1
        if letter in "fgh" and self.is_application():
            return self.applied(letter)
        return self.marked(letter)

    def is_application(self) -> bool:
        return (
            re.compile(r"\s*(?:'+|\^\{?-1\}?|\^\{\(\d\)\}|_\{?\w+\}?)?\s*\(").match(
                self.text, self.at
            )
            is not None
        )

    def applied(self, name: str) -> Tree:
        match = re.compile(r"\s*('+|\^\{?-1\}?|\^\{\(\d\)\}|_\{?\w+\}?)?\s*").match(
            self.text, self.at
        )
        if match:
            name, self.at = name + (match[1] or "").replace("{", "").replace("}", ""), match.end()
        return ("call:" + name, *self.listed())

    def listed(self) -> list[Tree]:
        self.need("(")
        bars, self.bars = self.bars, 0
        items = [self.sum()]
        while self.take(","):
            items.append(self.sum())
        self.bars = bars
        self.need(")")
        return items

    def marked(self, name: str) -> Tree:
        """Read a symbol with its subscript; `x_{1}` and `x_1` are one."""
        if self.peek() == "_" and self.text[self.at] == "_":
            self.at += 1
            name += "_" + self.raw_argument()
        return ("sym", name)

    def raw_argument(self) -> str:
        self.skip()
        if self.text.startswith("{", self.at):
            depth, start = 0, self.at
            for i in range(start, len(self.text)):
                depth += (self.text[i] == "{") - (self.text[i] == "}")
                if depth == 0:
                    self.at = i + 1
                    return re.sub(
                        r"\\(?:text|mathrm|mathbf|rm)\b|[{}\s]|\\[,;!: ]", "", self.text[start:i]
                    )
            raise UnreadError("a brace is missing")
        match = re.compile(r"\\[a-zA-Z]+|\d+|.", re.DOTALL).match(self.text, self.at)
        if not match:
            raise UnreadError("a subscript is missing")
        self.at = match.end()
        return match.group()

    def command(self, name: str) -> Tree:
        if name == "frac":
            if derivative := _DERIVATIVE.match(self.text, self.at):
                return self.derivative(derivative)
            top = self.tex_argument()
            return ("mul", top, ("pow", self.denominator(), MINUS_ONE))
        if name == "sqrt":
            return self.root()
        if name in ("binom", "dbinom", "tbinom"):
            return ("binom", self.tex_argument(), self.tex_argument())
        if name in ("sum", "prod", "int", "lim"):
            return self.bound(name)
        if name in _GROUPS:
            end, head = _GROUPS[name]
            bars, self.bars = self.bars, 0
            tree = self.sum()
            self.bars = bars
            self.need("\\" + end)
            return (head, tree)
        if name == "|":
            self.bars += 1
            tree = self.sum()
            self.need(r"\|")
            self.bars -= 1
            return ("norm", tree)
        if name in _CONSTANTS:
            return self.marked("\\" + _CONSTANTS[name])
        if name in _ACCENTS or name in _WORDS:
            start = self.at
            inside = self.raw_argument()
            if name not in _ACCENTS and re.search(r"\w\s+\w", self.text[start : self.at]):
                raise UnreadError("words in a formula")
            if name in _WORDS and inside in FUNCTIONS | set(_ALIAS):
                return self.function(_ALIAS.get(inside, inside))
            if name in ("mathrm", "text", "mathbf", "mathit", "bm", "boldsymbol") and inside in (
                "e",
                "i",
                "d",
            ):
                return self.marked(inside)
            if name in ("mathbf", "mathit", "bm", "boldsymbol", "mathrm") and len(inside) == 1:
                return self.marked(inside)
            return self.marked(f"\\{name}{{{inside}}}")
        if name in FUNCTIONS or name in _ALIAS:
            return self.function(_ALIAS.get(name, name))
        if name in _GREEK:
            return self.marked("\\" + {"jmath": "j", "imath": "i"}.get(name, name))
        raise UnreadError(f"cannot read \\{name}")

    def root(self) -> Tree:
        degree = number(2)
        if self.take("["):
            degree = self.sum()
            self.need("]")
        if self.peek() == "(":
            tree = self.listed()[0]
        else:  # nobody writes `\sqrt10` for ten times nought
            tree = self.argument() if self.peek().isdigit() else self.tex_argument()
        return ("root", tree, degree)

    def function(self, name: str) -> Tree:
        base: Tree | None = None
        exponent: Tree | None = None
        while (token := self.peek()) in ("_", "^") and token:
            self.at += 1
            if token == "_":
                base = self.argument()
            else:
                exponent = self.argument()
        if name == "sqrt" or name == "abs":
            tree = self.listed()[0]
            return ("root", tree, number(2)) if name == "sqrt" else ("abs", tree)
        arguments = self.arguments()
        if exponent == MINUS_ONE and name in _INVERSE:
            name, exponent = _INVERSE[name], None
        if name == "log" and base is not None:
            tree: Tree = ("logb", arguments[0], base)
        elif name in ("log", "log2", "lg"):
            bases = {"log2": number(2), "lg": number(10)}
            tree = ("logb", arguments[0], bases[name]) if name in bases else ("ln", arguments[0])
        elif name == "exp":
            tree = ("pow", ("sym", "e"), arguments[0])
        elif name == "cis":
            tree = ("pow", ("sym", "e"), ("mul", ("sym", "i"), arguments[0]))
        else:
            tree = (name, *arguments)
        return ("pow", tree, exponent) if exponent is not None else tree

    def arguments(self) -> list[Tree]:
        token = self.peek()
        if token == "(":
            return self.listed()
        if token == r"\{":
            self.at += 2
            items = [self.sum()]
            while self.take(","):
                items.append(self.sum())
            self.need(r"\}")
            return items
        if token == "{":
            return [self.braced()]
        factors = [self.power()]
        while self.starts_factor() and not self.at_function():
            if self.peek() in ("(", "["):
                break
            factors.append(self.power())
        tree = product(*factors)
        if ("sym", r"\pi") in factors and (
            match := re.compile(r"\s*/\s*(\d+)").match(self.text, self.at)
        ):
            self.at = match.end()
            tree = ("mul", tree, ("pow", self.whole(match[1]), MINUS_ONE))
        return [tree]

    def at_function(self) -> bool:
        token = self.peek()
        name = token[1:] if token.startswith("\\") else ""
        return name in FUNCTIONS and name not in ("sqrt",)

    def bound(self, name: str) -> Tree:
        low = high = None
        raw = ""
        while (token := self.peek()) in ("_", "^") and token:
            self.at += 1
            if token == "_":
                start = self.at
                if name == "int":
                    low = self.argument()
                else:
                    self.skip_group()
                    raw = self.text[start : self.at].strip().removeprefix("{").removesuffix("}")
            else:
                high = self.argument()
        if name == "int":
            return self.integral(low, high)
        sign = r"\\(?:to|rightarrow)(?![a-zA-Z])" if name == "lim" else "="
        match = re.fullmatch(rf"\s*([a-zA-Z])\s*{sign}\s*(.+)", raw, re.DOTALL)
        if not match or (high is None and name != "lim"):
            raise UnreadError("a sum without its limits")
        body = self.product()
        if name == "lim":
            return ("lim", match[1], parse(match[2].strip()), body)
        return (name, match[1], parse(match[2].strip()), high, body)

    def skip_group(self) -> None:
        self.raw_argument()

    def integral(self, low: Tree | None, high: Tree | None) -> Tree:
        match = re.compile(r"(?:\\,|\s)*(?:\\mathrm\s*\{?\s*d\s*\}?|d)\s*([a-zA-Z])\s*$").search(
            self.text, self.at
        )
        if low is None or high is None or not match:
            raise UnreadError("an integral without its limits")
        body = parse(self.text[self.at : match.start()].strip() or "1")
        self.at = len(self.text)
        return ("int", match[1], low, high, body)

    def derivative(self, match: re.Match[str]) -> Tree:
        self.at = match.end()
        if match["what"]:
            return ("sym", "d" + match["what"].strip() + "/d" + match["by"])
        return ("diff", match["by"], self.product())


_RELATIONS = {
    *("le", "ge", "lt", "gt", "ne", "in", "cup", "cap", "setminus", "to", "approx", "equiv", "mid"),
    *("pmod", "bmod", "mod", "choose", "over", "sim", "subset", "subseteq", "notin", "rightarrow"),
    *(
        "Rightarrow",
        "implies",
        "land",
        "lor",
        "wedge",
        "vee",
        "neg",
        "iff",
        "propto",
        "colon",
        "text_",
    ),
    *("end", "begin", "hline", "right", "middle", "cong", "simeq", "because", "therefore", "quad"),
}
_LONE = {"x", "y", "n", "t", "a", "b", "k", "z", "u", "A", "B", "C"}
_DERIVATIVE = re.compile(
    r"\s*\{\s*(?:d|\\mathrm\s*\{?d\}?|\\partial)\s*(?P<what>[a-zA-Z]?)\s*\}\s*\{\s*(?:d|\\mathrm\s*\{?d\}?|\\partial)\s*(?P<by>[a-zA-Z])\s*\}"
)


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _repeating(head: str, repeat: str) -> Fraction:
    r"""Return the value of `0.1` and `\overline{6}`, 0.1 + 6/90; dots are over the first and last
    digit."""
    digits = re.sub(r"\\(?:overline|bar|dot)|[{}()\s]", "", repeat)
    places = len(head.partition(".")[2])
    if "." not in head:
        raise UnreadError("a bar over digits, but no point")
    start = Fraction(head + "0" if head.endswith(".") else head)
    return start + Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)
