r"""Numerals with a base: `11_2`, `(11)_2`, `\overline{11}_{2}`, `11_{(2)}`, `11\text{ base }2`.

A numeral is equal to the same digits in the same base only: `11_2` is neither 3 nor 11 nor `11_3`.
"""

from __future__ import annotations

import re
import string

from ttc_rl.verifiers.rationals import value

_DIGITS = r"[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?"
_NAMES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
)
_NUMERAL = re.compile(
    rf"(?P<minus>-?)(?:\(\s*(?P<round>{_DIGITS})\s*\)|\\overline\s*\{{\s*(?P<bar>{_DIGITS})\s*\}}"
    rf"|\\(?:text|mathrm)\{{(?P<word>{_DIGITS})\}}|(?P<plain>{_DIGITS}))"
    r"(?:_|(?P<spelt>base))(?P<base>-?\w+)",
)
_DRESSING = re.compile(r"\\(?:text|mathrm|textrm|mathbf)\s*(?=\{)|\\[,;:! ]|\s+")


def numeral(text: str) -> tuple[str, int] | None:
    """Return digits and base; None where a text is no numeral, or has digits that its base has
    not."""
    if len(text) > 500:
        return None
    squeezed = _DRESSING.sub("", text)
    if "_" in squeezed:
        head, _, tail = squeezed.rpartition("_")
        tail = re.sub(r"[{}()]|base", "", tail.lower())
        squeezed = f"{head}_{tail}"
    else:
        squeezed = re.sub(
            r"[({]*(?:in)?base-?[{})(]*(\w+)[})]*$", r"base\1", squeezed, flags=re.IGNORECASE
        )
    match = _NUMERAL.fullmatch(re.sub(r"^\{(\w+)\}", r"\1", squeezed))
    if not match:
        return None
    digits = next(group for group in match.group("round", "bar", "word", "plain") if group).lower()
    base_name = match["base"].lower()
    base = (
        _NAMES.index(base_name)
        if base_name in _NAMES
        else int(base_name)
        if re.fullmatch(r"-?\d{1,3}", base_name, re.ASCII)
        else 0
    )
    alphabet = string.digits + string.ascii_lowercase
    if abs(base) < 2 or any(alphabet.find(digit) >= abs(base) for digit in digits if digit != "."):
        return None
    if abs(base) > 36 or (digits.isalpha() and (abs(base) != 16 or len(digits) < 2)):
        return None  # a letter with an index
    return match["minus"] + (digits.lstrip("0") or "0"), base


def same(gold: str, answer: str) -> bool | None:
    """Return whether two numerals are the same; None where neither is one."""
    expected, actual = numeral(gold), numeral(answer)
    if expected is None and actual is None:
        return None
    if expected is None or actual is None:
        plain = answer if actual is None else gold
        reading = expected or actual
        if reading and reading[1] == 10 and value(plain) is not None:
            return value(reading[0]) == value(plain)
        return False
    return expected == actual
