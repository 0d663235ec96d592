r"""Answers with several parts: lists, sets, tuples, ratios, `\pm`, inequalities as intervals.

A list without brackets and a set have no order; a tuple, an interval and a vector have one.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from ttc_rl.verifiers.rationals import value

_TOKEN = re.compile(
    r"\\begin|\\end|\\[{}]|[()\[\]{},;]|\\text\s*\{\s*,?\s*(?:and|or)\s*\}|(?<=\s)(?:and|or)(?=\s)|\\.",
    re.DOTALL,
)
_OPEN = {"(", "[", "{", r"\{", r"\begin"}
_CLOSE = {")", "]", "}", r"\}", r"\end"}
_WRAPPED = [(r"\{", r"\}"), ("(", ")"), ("[", "]"), ("(", "]"), ("[", ")")]
_NAME = r"(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w+\}?)?(?:\([a-z](?:,\s*[a-z])*\))?"
_ASSIGNED = re.compile(rf"{_NAME}\s*=\s*(?P<rest>[^=]+)")
_ORDER = {"<": "<", ">": ">", r"\le": "<=", r"\ge": ">=", r"\lt": "<", r"\gt": ">"}
_RELATION = re.compile(r"\s*(\\[lg]e(?![a-zA-Z])|\\[lg]t(?![a-zA-Z])|[<>])\s*")


class Parts(NamedTuple):
    open: str
    """`\\{`, `(`, `[`, or nothing."""
    close: str
    items: list[str]

    @property
    def ordered(self) -> bool:
        return self.open in ("(", "[")


def parts(text: str) -> Parts:
    """The top-level items of a tidy text and the brackets around all of them."""
    text = text.strip()
    for start, end in _WRAPPED:
        inside = text[len(start) : len(text) - len(end)]
        if text.startswith(start) and text.endswith(end) and len(text) > 2 and _balanced(inside):
            return Parts(start, end, _items(inside))
    return Parts("", "", _items(text))


def _items(text: str) -> list[str]:
    depth, start, items = 0, 0, list[str]()
    for match in _TOKEN.finditer(text):
        token = match.group()
        depth += (token in _OPEN) - (token in _CLOSE)
        if depth == 0 and (token in ",;" or token.endswith(("and", "or")) or token.endswith("}")):
            if token in _CLOSE:
                continue
            items.append(text[start : match.start()].strip())
            start = match.end()
    items.append(text[start:].strip())
    return [item for item in items if item]


def _balanced(text: str) -> bool:
    """Whether the brackets around a text close one another: not so in `(1,2),(3,4)`."""
    depth = 0
    for match in _TOKEN.finditer(text):
        depth += (match.group() in _OPEN) - (match.group() in _CLOSE)
        if depth < 0:
            return False
    return depth == 0


def unnamed(text: str) -> str:
    """`x = 5` -> `5`, `f(x) = 2x` -> `2x`; anything else as it stands."""
    match = _ASSIGNED.fullmatch(text.strip())
    return match["rest"].strip() if match else text


def expanded(text: str) -> str:
    r"""`1 \pm 2` -> `1 + 2, 1 - 2`: each item that has a `\pm` becomes two."""
    if r"\pm" not in text or len(text) > 500:
        return text
    whole = parts(unnamed(text))
    items: list[str] = []
    for item in map(unnamed, whole.items):
        items += [_signed(item, "+", "-"), _signed(item, "-", "+")] if r"\pm" in item else [item]
    return whole.open + ", ".join(items) + whole.close


def _signed(item: str, plus: str, minus: str) -> str:
    signed = re.sub(r"\\pm(?![a-zA-Z])\s*", plus, item)
    return re.sub(r"\\mp(?![a-zA-Z])\s*", minus, signed).removeprefix("+")


def ratio(text: str) -> list[Fraction] | None:
    """The numbers of `3:4:5`."""
    if ":" not in text or len(text) > 200:
        return None
    numbers = [value(part.strip()) for part in re.sub(r"\\colon\s*", ":", text).split(":")]
    return [n for n in numbers if n is not None] if None not in numbers else None


def same_ratio(gold: str, answer: str) -> bool | None:
    """Whether two ratios, or a ratio of two and a number, are the same; None where neither is."""
    one, other = ratio(gold), ratio(answer)
    if one and other:
        proportional = all(a * other[0] == b * one[0] for a, b in zip(one, other, strict=False))
        return len(one) == len(other) and proportional
    numbers, number = (one, value(answer)) if one else (other, value(gold))
    if not numbers or number is None:
        return None
    return len(numbers) == 2 and numbers[0] == number * numbers[1]


def interval(text: str) -> str | None:
    r"""`0 < x \le 1` -> `(0, 1]`, `x \ge 2` -> `[2, \infty)`; None for anything else."""
    pieces = _RELATION.split(text.strip())
    terms, signs = pieces[::2], [_ORDER[sign] for sign in pieces[1::2]]
    names = [i for i, term in enumerate(terms) if re.fullmatch(r"[A-Za-z]|\\[a-z]+", term)]
    if len(signs) not in (1, 2) or len(names) != 1 or len({sign[0] for sign in signs}) != 1:
        return None
    if signs[0][0] == ">":
        terms, signs = terms[::-1], signs[::-1]
        names = [len(terms) - 1 - names[0]]
    where = names[0]
    if len(terms) == 3 and where != 1:
        return None
    low = f"{'[' if '=' in signs[0] else '('}{terms[0]}" if where == 1 else r"(-\infty"
    high = (
        f"{terms[where + 1]}{']' if '=' in signs[where] else ')'}"
        if where + 1 < len(terms)
        else r"\infty)"
    )
    return f"{low}, {high}"
