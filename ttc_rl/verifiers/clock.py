r"""Times of day and ratios, which are both written with a colon.

`6:00`, `3:05 p.m.` and `10 o'clock` are times; `3:4` and `2:4:6` are ratios. What could be either,
such as `1:15`, is equal to its own digits only, and to a fraction. A ratio with a zero is none.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ttc_rl.verifiers.rationals import value

_HALF = r"(?P<half>[ap]\.?\s?m\.?(?![a-z]))"
_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?(?::(?P<second>\d\d))?\s*"
    rf"(?:{_HALF}|(?P<clock>o'?\s?clock)|(?P<noon>noon|midnight))?(?:\s+(?:in the|at) \w+)?"
)
_WRAP = re.compile(r"\\(?:text|mathrm|mbox|textrm)\s*\{([^{}]*)\}")


def time(text: str) -> tuple[int, bool, bool] | None:
    """Return seconds since midnight, whether the half of the day is known, whether it is surely a
    time."""
    if len(text) > 60:
        return None
    plain = re.sub(r"\\[,;:! ]|~", " ", _WRAP.sub(r" \1 ", text)).strip().lower()
    if plain in ("noon", "midnight"):
        return (43_200 if plain == "noon" else 0), True, True
    match = _TIME.fullmatch(re.sub(r"\s*:\s*", ":", re.sub(r"\s+", " ", plain)))
    if not match or not (match["minute"] or match["half"] or match["clock"] or match["noon"]):
        return None
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    if minute > 59 or second > 59 or hour > 24:
        return None
    half, noon = match["half"], match["noon"]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    if noon:
        hour = 12 if noon == "noon" else 0
    sure = (
        bool(half or match["clock"] or noon) or (match["minute"] or "").startswith("0") or hour == 0
    )
    return (
        (hour % 24 * 60 + minute) * 60 + second,
        bool(half or noon) or hour > 12 or hour == 0,
        sure,
    )


def same_time(gold: str, answer: str) -> bool | None:
    """Return whether two times are the same; None where neither is surely one."""
    expected, actual = time(gold), time(answer)
    if not (expected and expected[2]) and not (actual and actual[2]):
        if expected and actual:
            return expected[0] == actual[0]
        ratios = ratio(gold), ratio(answer)
        return False if (expected and ratios[1] and _has_zero(answer)) else None
    if expected is None or actual is None:
        return None if _is_surely_ratio(gold) else False
    if expected[1] and actual[1]:
        return expected[0] == actual[0]
    return expected[0] % 43_200 == actual[0] % 43_200 and (
        expected[1] or not actual[1] or _is_colon(gold)
    )


def _is_colon(text: str) -> bool:
    return ":" in text


def _has_zero(text: str) -> bool:
    return re.search(r":\s*0*(?:60)?\s*$", text) is not None


def _is_surely_ratio(text: str) -> bool:
    return ratio(text) is not None and time(text) is None


def ratio(text: str) -> list[Fraction] | None:
    """Return the numbers of `3:4:5` or `3 to 4`; None where one is 0."""
    if len(text) > 200:
        return None
    text = re.sub(
        r"\\colon(?![a-z])\s*|\\(?:text|mathrm)\s*\{\s*(?:to|:)\s*\}|(?<=\d)\s+to\s+(?=\d)",
        ":",
        text,
    )
    if ":" not in text:
        return None
    numbers = [value(part.strip()) for part in text.split(":")]
    nonzero = [number for number in numbers if number]
    return nonzero if len(nonzero) == len(numbers) > 1 else None


def same_ratio(gold: str, answer: str) -> bool | None:
    """Return whether two ratios, or a ratio of two and a number, are the same; None where neither
    is."""
    first, second = ratio(gold), ratio(answer)
    if first and second:
        for text, numbers, partner in ((gold, first, answer), (answer, second, gold)):
            if time(text) and not time(partner) and _has_zero(partner):
                return False
            del numbers
        proportional = all(
            a * second[0] == b * first[0] for a, b in zip(first, second, strict=False)
        )
        return len(first) == len(second) and proportional
    numbers, number = (first, value(answer)) if first else (second, value(gold))
    if not numbers or number is None:
        return None
    return len(numbers) == 2 and numbers[0] == number * numbers[1]
