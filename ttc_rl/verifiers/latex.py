"""Reading final answers: the last box of a completion, one spelling of it, its exact value."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_BITS = 20_000
"""Numbers beyond this size are not worth an exact comparison."""


def after_reasoning(completion: str) -> str | None:
    """What follows the last `</think>`; None where a `<think>` was never closed."""
    tail = completion.rpartition("</think>")[2]
    return None if "<think>" in tail else tail


_BRACES = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)


def last_boxed(text: str) -> str | None:
    r"""The content of the last balanced, non-empty `\boxed{...}`; of nested boxes the inner one."""
    opened: list[int | None] = []  # where the content of each open brace starts, if it is a box
    found: str | None = None
    for match in _BRACES.finditer(text):
        token = match.group()
        if token.endswith("{") and token != r"\{":
            opened.append(match.end() if token.startswith("\\") else None)
        elif token == "}" and opened:
            start = opened.pop()
            content = text[start : match.start()].strip() if start is not None else ""
            found = content or found
    inner = last_boxed(found) if found and r"\boxed" in found else None
    return inner or found


# --------------------------------------------------------------------------- one spelling

_SPELLINGS = [
    (re.compile("[\u2212\u2013]"), "-"),
    (re.compile(r"\\[dt]frac"), r"\\frac"),
    (re.compile(r"\\(?:left|right)(?![a-zA-Z])"), ""),
    (re.compile(r"\\(?:displaystyle|bigl?|bigr)(?![a-zA-Z])"), ""),
    (re.compile(r"(?<=\d)(?:\\[,!;: ]|\{,\}|\\,|~)+(?=\d{3}(?!\d))"), ""),  # 1\,000  1{,}000
    (re.compile(r"\\[,!;:]"), ""),
    (re.compile(r"\\mathrm\s*(?:\{\s*([eidπ])\s*\}|([eid])(?![a-zA-Z]))"), r"\1\2"),
    (re.compile(r"\\sqrt\s*\(([^(){}]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"π"), r"\\pi "),
    (re.compile("\u00d7"), r"\\times "),
    (re.compile(r"·"), r"\\cdot "),
    (re.compile(r"∞"), r"\\infty "),
    (re.compile(r"√\s*(\d+|[a-zA-Z])"), r"\\sqrt{\1}"),
]
_DELIMITERS = [("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")]
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\s?\d{3})+(?:\.\d+)?")
_SPACED_LIST = re.compile(r"[-+]?[\d.]+(?:\s+[-+]?[\d.]+)+")
_SPACED_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+")


def tidy(text: str) -> str:
    """One spelling for what means the same: delimiters, spaces, thousands separators, full stop.

    Numbers with spaces between them (`4 3 -1`) are a list; math-verify would add them up.
    """
    text = text.strip()
    for start, end in _DELIMITERS:
        inside = text[len(start) : -len(end)]
        if text.startswith(start) and text.endswith(end) and start not in inside:
            text = inside.strip()
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    text = text.strip().removesuffix(".").strip()
    if _SPACED_LIST.fullmatch(text) and not _SPACED_THOUSANDS.fullmatch(text):
        return ", ".join(text.split())
    return re.sub(r",\s?", "", text) if _THOUSANDS.fullmatch(text) else text


_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")


def squeezed(text: str) -> str:
    """Without white space; without letter case too, where it is words and not a formula."""
    plain = _WORDS.sub(r"\1", text)
    return re.sub(r"\s+", "", plain.lower() if is_words(text) else plain)


def is_words(text: str) -> bool:
    """Whether a text is words (`True`, `\\text{no solution}`), and not a formula such as `ab`."""
    plain = _WORDS.sub(r"\1", text).strip()
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z ,'-]+", plain):
        return False
    return plain != text.strip() or re.search(r"[a-zA-Z]{4}|(?i:\b(?:yes|no)\b)", plain) is not None


_NUMERAL = re.compile(r"([0-9A-Fa-f]+)_(?:\{?\s*(?:\\text\{)?(\w+)\}*)")


def numeral_with_base(text: str) -> tuple[str, str] | None:
    """Digits and base of `1011_2` or `1011_{2}`; None for anything else."""
    match = _NUMERAL.fullmatch(text.replace(" ", ""))
    return (match[1].lower(), match[2]) if match else None


# --------------------------------------------------------------------------- exact values

_TOKEN = re.compile(r"\s*(\d+\.\d*|\.\d+|\d+|\\frac|\\cdot|\\times|\\div|[-+*/^(){}])\s*", re.ASCII)


def rational(text: str) -> Fraction | None:
    r"""The exact value of a tidy text that is one number: `-3`, `0.75`, `3/4`, `\frac34`, `2^{10}`.

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
        r"""What LaTeX takes as an argument: a group, or one character (`\frac12`, `2^10`)."""
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
