r"""Equality that needs algebra: math-verify on tidy texts, inside a worker process.

Boxed-only and tolerant of spelling (ecosystem study 3.3), with what that leaves open on top: `\pm`,
inequalities beside intervals, rounded golds, and numbers that are close without being equal. Runs
without a time limit of its own: the pool keeps the time. Not covered: identities that hold only for
some values of a variable, such as `\sqrt{1/n}` and `1/\sqrt n`.
"""

from __future__ import annotations

import functools
import logging
import re
from fractions import Fraction
from typing import Any

from ttc_rl.verifiers import latex, shapes
from ttc_rl.verifiers.rationals import value

DIGITS = 60
"""Two numbers are the same when they agree in so many digits."""


FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError),
    *(RecursionError, TypeError, ValueError),
)
"""What sympy and the parser raise on texts that no mathematician wrote; seen in fuzzing."""


def equal(gold: str, answer: str, tolerance: float) -> bool | None:
    """Whether two tidy texts mean the same; None for a gold that cannot be read."""
    try:
        return _equal(gold, answer, tolerance)
    except FAILURES:
        return False


def _equal(gold: str, answer: str, tolerance: float) -> bool | None:
    gold, answer = _as_intervals(*(shapes.expanded(_in_radians(t)) for t in (gold, answer)))
    if tolerance:
        return _equal_rounded(gold, answer, tolerance)
    from math_verify import verify as same

    parsed, other = parse(gold), parse(answer)
    if is_unread(gold, parsed):
        return None
    if same(parsed, other, timeout_seconds=None):
        return _agree(_number(parsed), _number(other)) is not False
    return _agree(_number(parsed, imaginary=True), _number(other, imaginary=True)) is True


def is_unread(text: str, parsed: list[Any]) -> bool:
    """Whether a text is neither words nor anything math-verify could make something of.

    An equation without variables is not: math-verify takes any true one for any other.
    """
    if latex.is_prose(text) or (parsed and _is_truth(parsed[0]) and not latex.is_words(text)):
        return True
    return all(isinstance(found, str) for found in parsed) and not latex.is_words(text)


def _is_truth(parsed: Any) -> bool:
    from sympy.core.relational import Relational
    from sympy.logic.boolalg import BooleanAtom

    constant = isinstance(parsed, Relational) and not parsed.free_symbols
    return constant or isinstance(parsed, BooleanAtom)


def is_readable(text: str) -> bool:
    """Whether algebra can be done with a tidy text, or it is words."""
    try:
        return not is_unread(text, parse(shapes.expanded(text)))
    except FAILURES:
        return False


def is_near(gold: Fraction, answer: Fraction, tolerance: float) -> bool:
    """|answer - gold| <= tolerance |gold|"""
    return gold == answer or abs(answer - gold) <= Fraction(tolerance) * abs(gold)


def _as_intervals(gold: str, answer: str) -> tuple[str, str]:
    """An inequality beside an interval becomes one."""
    for text, other in ((gold, answer), (answer, gold)):
        if not (other[:1] in "([" and other[-1:] in ")]"):
            continue
        found = [shapes.interval(item) for item in shapes.parts(text).items]
        if found and None not in found:
            union = r" \cup ".join(map(str, found))
            return (union, answer) if text is gold else (gold, union)
    return gold, answer


_DEGREES = re.compile(
    r"(?P<function>\\(?:sin|cos|tan|cot|sec|csc)\s*[({]?)(?P<number>\d+(?:\.\d+)?)\^\\circ"
)


def _in_radians(text: str) -> str:
    r"""`\cos 36^\circ` as `\cos (36\pi/180)`: math-verify drops the degrees."""
    return _DEGREES.sub(r"\g<function>{(\g<number>\\cdot\\pi/180)}", text)


def _agree(one: Any, other: Any) -> bool | None:
    r"""Whether two numbers are the same: math-verify takes `1.41421356237` for `\sqrt{2}`."""
    if one is None or other is None:
        return None
    from sympy import Abs, N

    difference = N(Abs(one - other), DIGITS, maxn=4 * DIGITS)
    scale = N(Abs(one) + Abs(other), DIGITS, maxn=4 * DIGITS)
    return bool(difference <= scale * 10 ** (10 - DIGITS))


def _number(parsed: list[Any], *, imaginary: bool = False) -> Any:
    """The first reading as an exact sympy number, or None where it is none, or not finite.

    `imaginary` takes the letter i for the unit, which the parser does in sums only.
    """
    from sympy import Expr, I, nsimplify

    first = parsed[0] if parsed else None
    if not isinstance(first, Expr):
        return None
    if imaginary:
        first = first.subs(
            {symbol: I for symbol in first.free_symbols if getattr(symbol, "name", "") == "i"}
        )
    if first.free_symbols or first.is_number is not True:
        return None
    return nsimplify(first, rational=True) if first.is_finite else None


# --------------------------------------------------------------------------- rounded golds


def _equal_rounded(gold: str, answer: str, tolerance: float) -> bool | None:
    """Part by part, each within the tolerance."""
    wanted, given = shapes.parts(shapes.unnamed(gold)), shapes.parts(shapes.unnamed(answer))
    golds, answers = [_real(item) for item in wanted.items], [_real(item) for item in given.items]
    exact = [number for number in golds if number is not None]
    if len(exact) < len(golds) or not golds:
        return _equal(gold, answer, 0.0)
    found = [number for number in answers if number is not None]
    if len(found) != len(golds) or len(answers) != len(golds):
        return False
    if not wanted.ordered:
        exact, found = sorted(exact), sorted(found)
    return all(is_near(g, a, tolerance) for g, a in zip(exact, found, strict=True))


def _real(text: str) -> Fraction | None:
    """The value of one part, to 30 digits where it is irrational; None where it is no number."""
    exact = value(text)
    if exact is not None:
        return exact
    number = _number(parse(text))
    if number is None or not number.is_real:
        return None
    return Fraction(str(number.evalf(30)))


# --------------------------------------------------------------------------- parsing


@functools.lru_cache(maxsize=512)
def parse(text: str) -> list[Any]:
    from math_verify import LatexExtractionConfig
    from math_verify import parse as read
    from math_verify.parser import NormalizationConfig

    config = LatexExtractionConfig(
        boxed_match_priority=0,
        try_extract_without_anchor=False,
        normalization_config=NormalizationConfig(
            basic_latex=True,
            units=True,
            malformed_operators=True,
            nits=True,
            boxed="all",
            equations=False,
        ),
    )
    return read(
        rf"\boxed{{{text}}}",
        extraction_config=[config],
        extraction_mode="first_match",
        parsing_timeout=None,  # type: ignore[arg-type]  # the pool keeps the time
    )


def warm_up() -> None:
    """The first comparison of each kind imports for seconds; later ones take milliseconds."""
    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for gold, answer in [(r"\frac{\sqrt{3}}{2}", r"\sqrt{3}/2"), (r"\{1,2\}", r"(x, 2]")]:
        equal(gold, answer, 0.0)
