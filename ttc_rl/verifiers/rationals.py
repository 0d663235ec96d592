r"""Exact values: `3/4`, `1{,}250`, `2^{10}`, `1\frac12`, `6.02e23` as fractions, once tidied.

Not covered: anything with a name in it, and numbers beyond MAX_BITS: identities.py does those.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction

MAX_BITS = 20_000
"""Numbers beyond this size are not worth an exact comparison."""

_MIXED = re.compile(
    r"(?P<sign>[-+]?)\s*(?P<whole>\d+)\s*(?:\\ |~|\s)*"
    r"(?:(?P<latex>\\frac\s*(?:\d|\{\d+\})\s*(?:\d|\{\d+\}))|(?<=[\s~])(?P<top>\d+)\s*/\s*(?P<bottom>\d+))",
    re.ASCII | re.DOTALL,
)
_EXPONENT = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))[eE]([-+]?\d{1,3})", re.ASCII)

_REPEATING = re.compile(
    r"(?P<head>[-+]?\d{0,200}\.\d{0,200}?)"
    r"(?:\\overline\s*\{?(?P<digits>\d{1,200})\}?|(?P<digit>\d)(?P=digit){2,200}(?:\.\.\.|\\[cl]?dots|…))",
    re.ASCII,
)


@functools.lru_cache(maxsize=8192)
def value(text: str) -> Fraction | None:
    r"""Return the exact value of a tidy text that is one number, mixed ones and `1e5` included.

    `5\frac12` is five and a half, as every text book has it, and not the product.
    """
    if match := _EXPONENT.fullmatch(text):
        return Fraction(match[1]) * Fraction(10) ** int(match[2])
    if match := _REPEATING.fullmatch(text):
        return _repeating(match["head"], match["digits"] or match["digit"])
    if match := _MIXED.fullmatch(text):
        part = rational(match["latex"] or f"{match['top']}/{match['bottom']}")
        if part is not None and part < 1 and len(match["whole"]) <= 1000:
            return (int(match["whole"]) + part) * (-1 if match["sign"] == "-" else 1)
    return rational(text)


def _repeating(head: str, digits: str) -> Fraction:
    r"""Return the value of `0.1\overline{6}`: 0.1 + 6/90."""
    places = len(head.partition(".")[2])
    tail = Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)
    return Fraction(f"{head}0") + (-tail if head.startswith("-") else tail)


_TOKEN = re.compile(r"\s*(\d+\.\d*|\.\d+|\d+|\\frac|\\cdot|\\times|\\div|[-+*/^(){}])\s*", re.ASCII)


def rational(text: str) -> Fraction | None:
    r"""Return the exact value of a tidy text that is one number: `-3`, `0.75`, `3/4`, `\frac34`,
    `2^{10}`.

    Sums, products, quotients and whole powers of numbers count; two numbers side by side, which
    may be a product or a mixed number, do not, nor does anything with a name in it.
    """
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match or len(match[1]) > 1000:
            return None
        tokens.append(match[1])
        position = match.end()
    if not tokens or len(tokens) > 200:
        return None
    try:
        return _Reader(tokens).read()
    except (ValueError, IndexError, ZeroDivisionError):
        return None


class _Reader:
    """Recursive descent: sum -> product -> power -> number | group | fraction."""

    def __init__(self, tokens: list[str]) -> None:
        self.rest = tokens[::-1]

    def read(self) -> Fraction:
        value = self.sum()
        if self.rest:
            raise ValueError("more than one number")
        return value

    def sum(self) -> Fraction:
        value = self.product()
        while self.rest and self.rest[-1] in "+-":
            sign = 1 if self.rest.pop() == "+" else -1
            value += sign * self.product()
        return value

    def product(self) -> Fraction:
        value = self.power()
        while self.rest and self.rest[-1] in ("*", "/", r"\cdot", r"\times", r"\div"):
            operator, other = self.rest.pop(), self.power()
            value = value / other if operator in ("/", r"\div") else value * other
            _check_size(value)
        return value

    def power(self) -> Fraction:
        if self.rest[-1] in "+-":
            return self.power() if self.rest.pop() == "+" else -self.power()
        base = self.atom()
        if self.rest and self.rest[-1] == "^":
            self.rest.pop()
            exponent = self.argument()
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if exponent.denominator != 1 or bits * abs(exponent) > MAX_BITS:
                raise ValueError("not a whole power, or a large one")
            base = Fraction(base ** int(exponent))
        return base

    def atom(self) -> Fraction:
        token = self.rest.pop()
        if token == r"\frac":
            return self.argument() / self.argument()
        if token in "({":
            value = self.sum()
            if self.rest.pop() != {"(": ")", "{": "}"}[token]:
                raise ValueError("unbalanced")
            return value
        return Fraction(token)

    def argument(self) -> Fraction:
        r"""Read what LaTeX takes as an argument: a group, or one character (`\frac12`, `2^10`)."""
        if self.rest[-1] == "{":
            return self.atom()
        token = self.rest.pop()
        if not token.isdigit():
            raise ValueError("not a digit")
        if len(token) > 1:
            self.rest.append(token[1:])
        return Fraction(token[0])


def _check_size(value: Fraction) -> None:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ValueError("too large")
