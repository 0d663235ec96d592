r"""Units, money, percent and degrees: what stands beside a number, and what it is worth.

A unit may be left out on one side; two known ones must measure the same and are converted. Not
covered: units outside the table, which are ignored as words, and offsets such as Celsius to kelvin.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from typing import NamedTuple

from ttc_rl.verifiers.rationals import value

_TABLE = """
length: mm=1/1000 millimeter=1/1000 cm=1/100 centimeter=1/100 m=1 meter=1 metre=1 km=1000
length: kilometer=1000 in=127/5000 inch=127/5000 inches=127/5000 ft=381/1250 foot=381/1250
length: feet=381/1250 yd=1143/1250 yard=1143/1250 mi=201168/125 mile=201168/125
mass: mg=1/1000 milligram=1/1000 g=1 gram=1 kg=1000 kilogram=1000
time: ms=1/1000 s=1 sec=1 second=1 min=60 minute=60 h=3600 hr=3600 hour=3600 day=86400 week=604800
volume: ml=1/1000 milliliter=1/1000 l=1 liter=1 litre=1
speed: mph=1397/3125 kph=5/18
speed: m/s=1 km/h=5/18 mi/h=1397/3125 mile/hour=1397/3125 kilometer/hour=5/18 meter/second=1
dollar: dollar=1 usd=1 buck=1 cent=1/100 ¢=1/100
euro: euro=1 eur=1
pound: gbp=1
angle: ^\\circ=1 degree=1 deg=1
"""
UNITS = {
    name: (line.partition(":")[0], Fraction(worth))
    for line in _TABLE.strip().splitlines()
    for name, _, worth in (word.partition("=") for word in line.partition(":")[2].split())
}
"""Name -> (what it measures, worth in the smallest set of base units)."""
_POWERS = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3}
_SIGNS = {r"\$": "dollar", "$": "dollar", "€": "euro", "£": "gbp"}
_PREFIX = re.compile(
    r"(?P<minus>-?)\s*(?:\\text\s*\{\s*)?(?P<sign>\\?\$|€|£)(?:\s*\})?\s*(?=[\d.\\])"
)
_SUFFIX = re.compile(
    r"(?P<number>.*[^\s\\_^])\s*"
    r"(?:\\(?:text|textrm|mathrm|mbox|rm)\s*\{(?P<words>[^{}]*)\}|(?<=[\d\s}])"
    r"(?P<bare>[a-zA-Z][a-zA-Z/. ]*)"
    r"|(?P<symbol>\^\\circ|\\\$|[$€£¢]))"
    r"\s*(?:\^\s*\{?(?P<power>[23])\}?)?",
    re.DOTALL,
)
_PERCENT = re.compile(
    r"(?P<number>.*[^\s\\])\s*(?:\\?%|\\text\s*\{\s*(?:percent|\\?%)\s*\}|percent)"
)
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")
_WORD = re.compile(r"[a-z]+")
QUALIFIERS = frozenset(
    ["more", "less", "fewer", "least", "most", "not", "except", "than", "between", "or", "either"]
)


class Quantity(NamedTuple):
    number: str
    dimension: str
    """`length^2`, `time`, ...; empty for words that are not in the table."""
    worth: Fraction


def quantity(text: str) -> Quantity | None:
    """A tidy text as number and unit; None where no unit stands there."""
    if sign := _PREFIX.match(text):
        dimension, worth = UNITS[_SIGNS[sign["sign"]]]
        return Quantity(sign["minus"] + text[sign.end() :], dimension, worth)
    match = _SUFFIX.fullmatch(text) if len(text) < 500 else None
    if match is None:
        return None
    if match["symbol"] == r"^\circ" and _FUNCTION.search(match["number"]):
        return None
    name = match["words"] if match["words"] is not None else match["bare"] or match["symbol"]
    known = unit(_SIGNS.get(name, name), int(match["power"] or 1))
    if known:
        return Quantity(match["number"], *known)
    return Quantity(match["number"], "", Fraction(1)) if match["words"] is not None else None


@functools.lru_cache(maxsize=1024)
def unit(words: str, power: int = 1) -> tuple[str, Fraction] | None:
    """(`length^2`, worth) of `square centimeters`, `cm`, `miles per hour`; None where unknown."""
    names = words.strip().strip(".").lower().replace(" per ", "/").split()
    if names and names[0] in _POWERS:
        power, names = _POWERS[names[0]], names[1:]
    if len(names) == 2 and names[1] in ("squared", "cubed"):
        power, names = (2 if names[1] == "squared" else 3), names[:1]
    key = "/".join(_singular(part) for part in "".join(names).split("/"))
    if len(names) != 1 or key not in UNITS:
        return None
    dimension, worth = UNITS[key]
    return (dimension, worth) if power == 1 else (f"{dimension}^{power}", worth**power)


def _singular(name: str) -> str:
    return name if name in UNITS or len(name) < 3 else name.removesuffix("s")


def share(text: str) -> tuple[str, bool]:
    """The number of a text and whether it is a percentage: `50\\%` -> `50`, True."""
    match = _PERCENT.fullmatch(text) if len(text) < 500 else None
    return (match["number"].strip(), True) if match else (text, False)


def same_share(gold: str, answer: str) -> bool | None:
    """Where one is a percentage: 50 % is 50, 1/2 and 50 %. None where neither is a number."""
    (gold_text, gold_is), (answer_text, answer_is) = share(gold), share(answer)
    wanted, given = value(gold_text), value(answer_text)
    if not (gold_is or answer_is) or wanted is None or given is None:
        return None
    if wanted == given or (gold_is and answer_is):
        return wanted == given
    return wanted == given * 100 if gold_is else wanted * 100 == given


def qualifiers(text: str) -> frozenset[str]:
    """Words that change what a number says: `5 or more` is not 5."""
    return QUALIFIERS.intersection(_WORD.findall(text.lower())) if len(text) < 500 else frozenset()
