"""Whether what a program gave is what was expected. Compared here, outside any sandbox.

Printed text is compared token by token: white space and line ends count for nothing else. Tokens
are alike when they are the same text or exactly the same number (5, 5.0, 5e0). A number that the
test expects with a point may be off by 1e-6, absolutely or relative to it; whole numbers are exact,
and digits behind a zero (`0011`) are text. Values are compared as JSON: tuples are lists, floats
have the same tolerance.

Not covered: problems with several right outputs, unless the task brings a checker.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

TOLERANCE = 1e-6
LONGEST_NUMBER = 10_000
"""Digits; longer tokens are alike only as text."""
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)

_ZEROS = re.compile(r"[+-]?0\d+\Z", re.ASCII)


def same_text(expected: str, actual: str, tolerance: float | None = None) -> bool:
    """Return whether two outputs agree. By the task's own `tolerance`, every number may be off by
    it."""
    expected_words, actual_words = expected.split(), actual.split()
    if len(expected_words) != len(actual_words):
        return False
    pairs = [(w, g) for w, g in zip(expected_words, actual_words, strict=True) if w != g]
    if not pairs:
        return True
    return all(_same_token(w, g, tolerance) for w, g in pairs)


def same_value(expected: Any, actual: Any, tolerance: float = TOLERANCE) -> bool:
    """Return whether two values agree as JSON has them, however deeply nested. True is 1, as in
    Python."""
    pairs = [(expected, actual)]
    while pairs:
        first, second = pairs.pop()
        if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
            if len(first) != len(second):
                return False
            pairs += zip(first, second, strict=True)
        elif isinstance(first, Mapping) and isinstance(second, Mapping):
            try:
                expected_items = {str(key): value for key, value in first.items()}
                actual_items = {str(key): value for key, value in second.items()}
            except (ValueError, RecursionError):  # a key of more digits than Python prints
                return False
            if expected_items.keys() != actual_items.keys():
                return False
            pairs += [(value, actual_items[key]) for key, value in expected_items.items()]
        elif not _same_plain(first, second, tolerance):
            return False
    return True


def _same_plain(expected: Any, actual: Any, tolerance: float) -> bool:
    if isinstance(expected, float) and isinstance(actual, (int, float)):
        return _close(expected, actual, tolerance)
    if isinstance(expected, (int, float)) and isinstance(actual, (Fraction, Decimal)):
        try:
            number = float(actual)
        except (ValueError, OverflowError):  # a signalling NaN, or beyond floats
            return False
        return _close(expected, number, tolerance * isinstance(expected, float))
    if isinstance(expected, int) and isinstance(actual, float):
        return expected == actual
    return type(expected) in _PLAIN and type(actual) in _PLAIN and expected == actual


_PLAIN = {str, int, float, bool, type(None)}


def _has_point(token: str) -> bool:
    return not token.lstrip("+-").isdigit() and _NUMBER.fullmatch(token) is not None


def _same_token(expected: str, actual: str, tolerance: float | None) -> bool:
    if max(len(expected), len(actual)) > LONGEST_NUMBER:
        return False
    if not (_NUMBER.fullmatch(expected) and _NUMBER.fullmatch(actual)):
        return False
    if _ZEROS.match(expected) or _ZEROS.match(actual):
        return False
    if Decimal(expected) == Decimal(actual):
        return True
    if tolerance is None and not _has_point(expected):
        return False
    if not (_has_point(expected) or _has_point(actual)):
        return False
    return _close(float(expected), float(actual), TOLERANCE if tolerance is None else tolerance)


def _close(expected: float, actual: float, tolerance: float) -> bool:
    """Return whether numbers agree within the tolerance, absolutely or relative to the expected
    number."""
    try:
        expected, actual = float(expected), float(actual)
    except OverflowError:  # an integer beyond floats
        return expected == actual
    if not (math.isfinite(expected) and math.isfinite(actual)):
        return expected == actual or (math.isnan(expected) and math.isnan(actual))
    return abs(expected - actual) <= max(tolerance, tolerance * abs(expected))
