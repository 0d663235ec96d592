r"""Units, money and percent: what stands behind a number, read as a product with exponents.

A unit may be left out on one side; two must measure the same, and known ones are converted. A word
that is in no table is a unit of its own. A lone letter without `\text` or `\mathrm` is a variable,
never a unit. Not covered: offsets, such as Celsius to kelvin, which are never equal.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from typing import NamedTuple

_TABLE = """
length:1 m=1 meter=1 metre=1 in=127/5000 inch=127/5000 ft=381/1250 foot=381/1250 feet=381/1250
length:1 yd=1143/1250 yard=1143/1250 mi=201168/125 mile=201168/125 micron=1/1000000 Å=1/10000000000
length:1 angstrom=1/10000000000 nautical_mile=1852
mass:1 g=1/1000 gram=1/1000 gramme=1/1000 t=1000 ton=1000 tonne=1000 lb=45359237/100000000
mass:1 lbs=45359237/100000000 oz=45359237/1600000000 ounce=45359237/1600000000
time:1 s=1 sec=1 second=1 min=60 minute=60 h=3600 hr=3600 hour=3600 day=86400 d=86400 week=604800
volume:1 L=1/1000 l=1/1000 liter=1/1000 litre=1/1000
current:1 A=1 amp=1 ampere=1
amount:1 mol=1 mole=1
kelvin:1 K=1 kelvin=1
celsius:1 °C=1
fahrenheit:1 °F=1
dollar:1 dollar=1 usd=1 USD=1 buck=1 cent=1/100 ¢=1/100
euro:1 euro=1 EUR=1 eur=1
pound:1 gbp=1 GBP=1
rupee:1 rupee=1 INR=1
yen:1 yen=1 JPY=1 yuan_=1
yuan:1 yuan=1 CNY=1 RMB=1
angle:1 °=1 degree=1 deg=1
radian:1 rad=1 radian=1
bit:1 bit=1 byte=8 B=8
decibel:1 dB=1
"""
_DERIVED = """
N=kg*m/s^2 newton=kg*m/s^2 J=kg*m^2/s^2 joule=kg*m^2/s^2 W=kg*m^2/s^3 watt=kg*m^2/s^3
Pa=kg/m/s^2 pascal=kg/m/s^2 Hz=s^-1 hertz=s^-1 C=A*s coulomb=A*s V=kg*m^2/A/s^3 volt=kg*m^2/A/s^3
Ω=kg*m^2/A^2/s^3 ohm=kg*m^2/A^2/s^3 F=A^2*s^4/kg/m^2 farad=A^2*s^4/kg/m^2 T=kg/A/s^2 tesla=kg/A/s^2
Wb=kg*m^2/A/s^2 weber=kg*m^2/A/s^2 H=kg*m^2/A^2/s^2 henry=kg*m^2/A^2/s^2 mph=mi/h kph=km/h kmph=km/h
"""
_PREFIXES = {
    **{
        "k": 3,
        "M": 6,
        "G": 9,
        "T": 12,
        "P": 15,
        "h": 2,
        "d": -1,
        "c": -2,
        "m": -3,
        "μ": -6,
        "u": -6,
    },
    **{"n": -9, "p": -12, "f": -15},
}
_LONG_PREFIXES = {
    **{"kilo": 3, "mega": 6, "giga": 9, "tera": 12, "centi": -2, "milli": -3, "micro": -6},
    **{"nano": -9, "pico": -12, "deci": -1, "hecto": 2},
}
_PREFIXED = {
    "m",
    "g",
    "s",
    "L",
    "l",
    "A",
    "mol",
    "K",
    "N",
    "J",
    "W",
    "Pa",
    "Hz",
    "C",
    "V",
    "Ω",
    "F",
}
_PREFIXED |= {"T", "Wb", "H", "eV", "bit", "B", "cal", "bar", "rad"}
_LONG_PREFIXED = {"meter", "metre", "gram", "second", "liter", "litre", "mole", "ampere", "newton"}
_LONG_PREFIXED |= {"joule", "watt", "pascal", "hertz", "volt", "ohm", "byte", "bit", "calorie"}
NUMBER_WORDS = {
    **{"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12},
    **{"dozen": 12, "tenth": Fraction(1, 10), "hundredth": Fraction(1, 100), "score": 20},
    **{"thousandth": Fraction(1, 1000), "millionth": Fraction(1, 10**6)},
}
QUALIFIERS = frozenset(
    (
        *(
            "more",
            "less",
            "fewer",
            "least",
            "most",
            "not",
            "except",
            "than",
            "between",
            "or",
            "either",
        ),
        *(
            "wrong",
            "incorrect",
            "false",
            "never",
            "no",
            "isn't",
            "plus",
            "minus",
            "is",
            "are",
            "was",
        ),
        *("about", "approximately", "above", "below", "over", "under", "nor", "half", "double"),
        *("triple", "twice", "thrice", "times"),
    )
)
"""Words that change what a number says: `5 or more` is not 5."""
_SENTENCE = frozenset(
    (
        *("squared", "cubed", "factorial", "if", "when", "where", "that", "it", "the", "answer"),
        *("because", "so", "we", "for", "and", "but", "i", "you", "mod", "modulo", "divided"),
        *("multiplied", "added", "subtracted", "increased", "decreased", "raised", "were", "has"),
        *("have", "had", "does", "did", "would", "should", "could", "might", "must", "maybe"),
        *("perhaps", "possibly", "cannot", "can't", "doesn't", "don't", "didn't", "wasn't"),
        *("aren't", "won't", "halves", "thirds", "lakh", "crore", "instead", "rather", "unless"),
        *("negative", "positive", "inverse", "reciprocal", "opposite", "remainder", "excluding"),
        *("quadrillion", "quintillion", "fourths", "quarters", "fifths", "sixths", "sevenths"),
        *("eighths", "ninths", "bn", "mil", "approx", "roughly", "nearly", "almost", "around"),
    )
)
"""Words that are in no unit."""
_SAFE_BARE = {
    *("cm", "mm", "km", "kg", "ft", "mph", "kph", "sec", "hr", "kJ", "kPa", "Hz", "kHz", "MHz"),
    *("mL", "mol", "lbs", "yd", "kW", "cal", "eV", "keV", "MeV", "GeV", "usd", "USD", "rad", "deg"),
    *(
        "min",
        "inch",
        "nm",
        "ml",
        "day",
        "week",
        "cent",
        "unit",
        "foot",
        "feet",
        "mile",
        "hour",
        "year",
    ),
    *("yen", "euro", "month", "people", "apple", "°", "°C", "°F", "Ω", "μm"),
}
"""Units that need no `\\text`: nobody multiplies variables of these names behind a number."""


class Unit(NamedTuple):
    """What a unit measures, as sorted (name, exponent), and what it is worth in base units."""

    dimension: tuple[tuple[str, int], ...]
    worth: Fraction = Fraction(1)

    def __mul__(self, other: object) -> Unit:
        assert isinstance(other, Unit)
        powers = dict(self.dimension)
        for name, power in other.dimension:
            powers[name] = powers.get(name, 0) + power
        product = tuple(sorted((name, power) for name, power in powers.items() if power))
        return Unit(product, self.worth * other.worth)

    def raised(self, power: int) -> Unit:
        return Unit(
            tuple((name, p * power) for name, p in self.dimension if power), self.worth**power
        )

    @property
    def is_known(self) -> bool:
        return not any(name.startswith("?") for name, _ in self.dimension)


NONE = Unit(())


class Quantity(NamedTuple):
    number: str
    unit: Unit
    bare: bool = False
    """Whether the unit is written like variables."""


def _base_units() -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for line in _TABLE.strip().splitlines():
        head, *words = line.split()
        name = head.partition(":")[0]
        for word in words:
            unit_name, _, worth = word.partition("=")
            units[unit_name] = Unit(((name, 1),), Fraction(worth))
    for name, unit in list(units.items()):
        if unit.dimension == (("volume", 1),):
            units[name] = Unit((("length", 3),), unit.worth)
    units["kg"] = Unit((("mass", 1),))
    units["km"] = Unit((("length", 1),), Fraction(1000))
    units["eV"] = units["electronvolt"] = Unit((("electronvolt", 1),))
    units["cal"] = units["calorie"] = Unit((("calorie", 1),))
    units["bar"] = Unit((("bar", 1),))
    for word in _DERIVED.split():
        name, _, definition = word.partition("=")
        unit = NONE
        for sign, atom, power in re.findall(r"([*/]?)([a-zA-Z]+)(?:\^(-?\d))?", definition):
            factor = units[atom].raised(int(power or 1))
            unit = unit * (factor.raised(-1) if sign == "/" else factor)
        units[name] = unit
    return units


UNITS = _base_units()


@functools.lru_cache(maxsize=2048)
def named_unit(word: str) -> Unit | None:
    """Return the unit of one name with its prefix; None for a word in no table."""
    if word in UNITS:
        return UNITS[word]
    if word[1:] in _PREFIXED and word[:1] in _PREFIXES and word[1:] in UNITS:
        unit = UNITS[word[1:]]
        return Unit(unit.dimension, unit.worth * Fraction(10) ** _PREFIXES[word[0]])
    lower = word.lower()
    for name in (
        lower,
        lower.removesuffix("s"),
        lower.removesuffix("es"),
        lower.removesuffix("ies") + "y",
    ):
        if name in UNITS and len(name) > 2:
            return UNITS[name]
        for prefix, power in _LONG_PREFIXES.items():
            base = name.removeprefix(prefix)
            if base != name and base in _LONG_PREFIXED:
                unit = UNITS[base]
                return Unit(unit.dimension, unit.worth * Fraction(10) ** power)
    return None


_ATOM = re.compile(
    r"\s*(?:(?P<word>[^\W\d_]+|°[CF]?|¢|\$|%)(?:\^?\{?(?P<power>-?\d)\}?)?|(?P<sign>[*/()])|(?P<one>1)(?=\s*/))\s*"
)


def _singular(word: str) -> str:
    word = word.lower()
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


@functools.lru_cache(maxsize=2048)
def unit(words: str) -> tuple[Unit, Fraction] | None:
    """Return a plain text as a unit and a factor of its number words; None where it is no unit.

    `square centimeters`, `kg*m/s^2`, `J/(mol K)`, `miles per hour`, `million dollars`.
    """
    words = re.sub(
        r"\bdegrees?\s+(celsius|fahrenheit)\b", lambda m: f"°{m[1][0].upper()}", words, flags=re.I
    )
    words = re.sub(r"°\s*([CF])\b", r"°\1", words)
    words = re.sub(r"(?i)\bp\.?\s?er\b", "/", words)
    words = re.sub(r"(?i)\b([a-z]+)\s+squared\b", r"\1^2", words)
    words = re.sub(r"(?i)\b([a-z]+)\s+cubed\b", r"\1^3", words)
    words = re.sub(r"(?i)\b(?:square|sq\.?)\s+([a-z]+)", r"\1^2", words)
    words = re.sub(r"(?i)\b(?:cubic|cu\.?)\s+([a-z]+)", r"\1^3", words)
    words = words.strip().rstrip(".").strip()
    product, factor, at, sign, stack = NONE, Fraction(1), 0, 1, list[int]()
    outer = 1
    seen = 0
    while at < len(words):
        match = _ATOM.match(words, at)
        if not match or match.end() == at:
            return None
        at = match.end()
        if match["sign"]:
            if match["sign"] == "(":
                stack.append(outer)
                outer, sign = outer * sign, 1
            elif match["sign"] == ")":
                if not stack:
                    return None
                outer, sign = stack.pop(), 1
            else:
                sign = -1 if match["sign"] == "/" else 1
            continue
        if match["one"]:
            continue
        word, power = match["word"], int(match["power"] or 1)
        if word.lower() in QUALIFIERS or word.lower() in _SENTENCE or word == "k":
            return None
        seen += 1
        if _singular(word) in NUMBER_WORDS and power == 1:
            factor *= NUMBER_WORDS[_singular(word)]
            continue
        named = named_unit(word)
        if named is None:
            if _singular(word) in ("unit", "of", "a"):
                sign = 1
                continue
            named = Unit(((f"?{_singular(word)}", 1),))
        product, sign = product * named.raised(power * sign * outer), 1
    return None if stack or not seen or seen > 6 else (product, factor)


_WRAP = r"\\(?:text|textrm|textnormal|mathrm|mbox|operatorname|textit|textbf|mathit)\s*\{"
_START = re.compile(
    rf"(?P<wrap>{_WRAP}|\\frac\s*\{{\s*{_WRAP})|\\rm(?![a-zA-Z])|(?P<degree>\^\\circ)|(?P<money>\\?\$|[€£¥₹¢₩])"
    r"|(?P<symbol>\\Omega(?![a-zA-Z])|\\mu(?=\s*\\)|\\AA(?![a-zA-Z])|\\ell(?=\s*$))|(?P<bare>(?<=[\d\s})])(?:[^\W\d_]{2,}|m/s)|(?<=\d)μ)",
)
_MONEY = {
    r"\$": "dollar",
    "$": "dollar",
    "€": "euro",
    "£": "gbp",
    "¥": "yen",
    "₹": "rupee",
    "¢": "cent",
}
_MONEY |= {"₩": "won"}
_PREFIX = re.compile(
    r"(?P<minus>[-+]?)\s*(?:\\(?:text|mathrm)\s*\{\s*)?(?P<sign>\\?\$|[€£¥₹₩]|(?:US|A|C)\\?\$|USD|EUR|GBP|INR|JPY|CNY|Rs\.?)"
    r"(?:\s*\})?\s*(?=[-\d.\\])"
)
_CODES = {"USD": "dollar", "EUR": "euro", "GBP": "gbp", "INR": "rupee", "JPY": "yen", "CNY": "yuan"}
_CODES |= {"Rs": "rupee", "Rs.": "rupee", "US$": "dollar", r"US\$": "dollar"}
_PLAIN = re.compile(r"[-+]?[\d.,/ ]+(?:e[-+]?\d+)?|[-+]?(?:\d+)?\\frac\{?\d+\}?\{?\d+\}?", re.ASCII)


def plain_unit(text: str) -> str:
    r"""Return `kg*m/s^2` of `\mathrm{kg}\cdot\mathrm{m}/\mathrm{s}^{2}`."""
    text = re.sub(r"\\mu(?![a-zA-Z])\s*", "μ", text)
    text = re.sub(r"\\Omega(?![a-zA-Z])", "Ω", text)
    text = re.sub(r"\\AA(?![a-zA-Z])", "Å", text)
    text = re.sub(r"\\ell(?![a-zA-Z])", "L", text)
    text = text.replace(r"^\circ", "°").replace("º", "°")
    text = re.sub(r"\\(?:cdot|times|bullet)(?![a-zA-Z])|[·⋅]", "*", text)
    text = re.sub(rf"{_WRAP}([^{{}}]*)\}}", r" \1 ", text)
    text = re.sub(r"\^\s*\{\s*(-?\d)\s*\}", r"^\1", text)
    text = re.sub("[€£¥₹¢₩]", lambda match: f" {_MONEY[match[0]]} ", text)
    text = re.sub(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1/(\2)", text)
    text = re.sub(
        r"\\(?:text|textrm|textnormal|mathrm|mbox|operatorname|textit|textbf|mathit|rm)(?![a-zA-Z])",
        " ",
        text,
    )
    text = re.sub(r"\^\s*\{\s*(-?\d)\s*\}", r"^\1", text)
    text = re.sub(r"\\[,;:! ]|~", " ", text)
    text = re.sub(r"(?<=μ)\s+", "", re.sub(r"[{}]", "", text))
    text = re.sub(r"\s*\^\s*", "^", re.sub(r"\s+", " ", text))
    return re.sub(r"\s*\((?=[a-z ]+\)$)[a-z ]+\)$", "", text).strip()


@functools.lru_cache(maxsize=4096)
def quantity(text: str) -> Quantity | None:
    """Return a folded text as number and unit; None where it has no unit."""
    if len(text) > 500:
        return None
    if sign := _PREFIX.match(text):
        name = _MONEY.get(sign["sign"]) or _CODES.get(sign["sign"], "dollar")
        rest = sign["minus"] + text[sign.end() :]
        inner = quantity(rest)
        money = UNITS.get(name) or Unit(((f"?{name}", 1),))
        if inner is not None:  # $5 million, $5 each
            same = inner.unit.dimension in ((), money.dimension)
            return Quantity(inner.number, money) if same or not inner.unit.is_known else None
        return Quantity(rest, money)
    return _compound(text) or _single(text)


def _single(text: str) -> Quantity | None:
    depth = 0
    starts = {match.start(): match for match in _START.finditer(text)}
    for at, character in enumerate(text):
        depth += (character in "{([") - (character in "})]")
        if depth == (character in "{([") and at in starts:
            quantity = _split(text, at, starts[at])
            if quantity:
                return quantity
    return None


def _split(text: str, at: int, start: re.Match[str]) -> Quantity | None:
    number, rest = text[:at].rstrip(), text[at:]
    number = re.sub(r"(?:\\[,;:! ]|~|\\quad|\\cdot|\s)+$", "", number)
    if not number or number[-1] in "+-*/=<>^_({[,|&\\" or not re.search(r"[\d}a-zA-Z)]", number):
        return None
    money = start["money"]
    words = _MONEY[money] if money and rest.strip() == money else plain_unit(rest)
    if start["wrap"] and _VARIABLE.search(_COMMANDS.sub(" ", rest)):
        return None
    aside = start["wrap"] and not words  # the number once more in words: `7 \text{ (seven)}`
    parsed = (NONE, Fraction(1)) if aside else unit(words)
    if parsed is None:
        return None
    bare = start["bare"] is not None
    if bare and not _is_bare_unit(words, number):
        return None
    if start["symbol"] and not _PLAIN.fullmatch(number):
        return None
    if start["wrap"] and re.fullmatch(_WRAP + r"\s*[eid]\s*\}.*", rest):
        return None
    if start["degree"] and re.search(r"\\(?:sin|cos|tan|cot|sec|csc)", number):
        return None
    unit_read, factor = parsed
    if factor != 1:
        number = rf"({number})\cdot\frac{{{factor.numerator}}}{{{factor.denominator}}}"
    return Quantity(number, unit_read, bare)


_COMMANDS = re.compile(rf"{_WRAP}(?:[^{{}}]|\{{[^{{}}]*\}})*\}}|\\[a-zA-Z]+")
_VARIABLE = re.compile(r"(?<!/)(?<!/ )[a-zA-Z]")


def _is_bare_unit(words: str, number: str) -> bool:
    """Return whether words without `\\text` behind a number are a unit and no variables."""
    if not _PLAIN.fullmatch(number) and not re.fullmatch(
        r"[-+\d.\\a-z{}^ /]*(?:\\pi|\}|\d)", number
    ):
        return False
    names = re.findall(r"[^\W\d_]+|°[CF]?", words)
    all_known = all(
        named_unit(name)
        or _singular(name) in NUMBER_WORDS
        or name.lower() in ("per", "square", "cubic", "sq", "cu", "units", "unit")
        for name in names
    )
    if "/" in words or "per" in names:
        return all_known and len(names) > 1
    return bool(
        all(name in _SAFE_BARE or _singular(name) in _SAFE_BARE or len(name) > 3 for name in names)
    )


def _compound(text: str) -> Quantity | None:
    r"""Read `1\text{ hour }30\text{ minutes}`, `30^\circ 30' 15''`: parts of one measure, added
    up."""
    if match := re.fullmatch(
        r"(?P<d>\d+)\^\\circ\s*(?P<m>\d+)(?:'|\^\{?\\prime\}?)\s*(?:(?P<s>\d+)(?:''|\"|\^\{\\prime\\prime\}))?",
        text,
    ):
        seconds = int(match["s"] or 0)
        minutes = Fraction(int(match["m"])) + Fraction(seconds, 60)
        total = int(match["d"]) + minutes / 60
        return Quantity(f"{total.numerator}/{total.denominator}", UNITS["°"])
    pieces = re.fullmatch(
        r"(\d+(?:\.\d+)?)\s*(\\text\s*\{[^{}\d]+\}|[a-z]{1,})\s*(?:,|and|\\text\s*\{\s*and\s*\})?\s*(\d+(?:\.\d+)?)\s*(\\text\s*\{[^{}\d]+\}|[a-z]{1,})",
        text,
    )
    if not pieces:
        return None
    parsed = [
        unit(re.sub(r"^(?:,|and\b)|(?:,|\band)$", "", plain_unit(words).strip()).strip())
        for words in pieces.group(2, 4)
    ]
    if parsed[0] is None or parsed[1] is None:
        return None
    (first, first_unit), (second, second_unit) = parsed[0], parsed[1]
    if (
        first.dimension != second.dimension
        or not first.dimension
        or not first.is_known
        or first_unit != 1
        or second_unit != 1
    ):
        return None
    if not second.worth < first.worth:
        return None
    total = Fraction(pieces[1]) + Fraction(pieces[3]) * second.worth / first.worth
    return Quantity(f"{total.numerator}/{total.denominator}", first)


_LONE = re.compile(
    r"(?P<number>.*[\d}\s])\s*(?P<unit>[a-zA-Z])\s*(?:\^\s*\{?(?P<power>-?\d)\}?)?", re.DOTALL
)


def lone_unit(text: str, other: Unit) -> Quantity | None:
    """Return `5 m` as a quantity beside another one of lengths; None beside anything else."""
    match = _LONE.fullmatch(text) if len(text) < 500 else None
    named = named_unit(match["unit"]) if match else None
    if match is None or named is None or not _PLAIN.fullmatch(match["number"].strip()):
        return None
    raised = named.raised(int(match["power"] or 1))
    return (
        Quantity(match["number"].strip(), raised, True)
        if raised.dimension == other.dimension
        else None
    )


_PERCENT = re.compile(
    r"(?P<number>.*[^\s\\])\s*"
    r"(?:\\?%|\\text\s*\{\s*(?:percent(?:age points?)?|per cent|\\?%)\s*\}|per ?cent)",
    re.DOTALL,
)


def share(text: str) -> tuple[str, bool]:
    """Return the number of a text and whether it is a percentage: `50\\%` -> `50`, True."""
    match = _PERCENT.fullmatch(text) if len(text) < 500 else None
    return (match["number"].strip(), True) if match else (text, False)


_WORD = re.compile(r"[a-z']+")


DENIALS = frozenset(
    (
        *("not", "wrong", "incorrect", "false", "never", "no", "isn't", "neither", "nor", "either"),
        *("maybe", "perhaps", "possibly", "unless", "except"),
    )
)
"""Words that take an answer back."""


def denials(text: str) -> frozenset[str]:
    """Return the words of a text that take an answer back: `x>2 \\text{ is wrong}`."""
    return DENIALS.intersection(_WORD.findall(text.lower())) if len(text) < 2000 else frozenset()


def qualifiers(text: str) -> frozenset[str]:
    """Return the words that change what a number says: `5 or more` is not 5."""
    if len(text) > 500:
        return frozenset()
    plain = re.sub(r"\\(?!text|mathrm)[a-zA-Z]+", " ", text)
    return QUALIFIERS.intersection(_WORD.findall(plain.lower()))
