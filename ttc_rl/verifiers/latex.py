"""One spelling for what means the same: delimiters, separators, money, degrees, words."""

from __future__ import annotations

import re

_SPELLINGS = [
    (re.compile("[\u2212\u2013]"), "-"),
    (re.compile(r"\\(?:text|mathrm)\s*\{\s*([-+]?\d[^{}]*)\}"), r"\1"),  # \text{3 hours}
    (re.compile(r"\\langle(?![a-zA-Z])"), "("),
    (re.compile(r"\\rangle(?![a-zA-Z])"), ")"),
    (re.compile(r"^[fgh]\(x\)\s*="), "y ="),
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
    (re.compile(r"±"), r"\\pm "),
    (re.compile(r"≤|\\leqslant(?![a-zA-Z])|\\leq(?![a-zA-Z])"), r"\\le "),
    (re.compile(r"≥|\\geqslant(?![a-zA-Z])|\\geq(?![a-zA-Z])"), r"\\ge "),
    (re.compile(r"\^?°|\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z])"), r"^\\circ"),
    (re.compile(r"\\varnothing(?![a-zA-Z])|∅"), r"\\emptyset"),
    (re.compile(r"\\mathbb\s*(?:\{\s*)?([A-Z])\s*\}?"), r"\\mathbb{\1}"),
]
_DELIMITERS = [("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")]
_THOUSANDS = re.compile(r"(?P<sign>[-+]?)(?P<money>\\?\$?)\d{1,3}(?:,\s?\d{3})+(?:\.\d+)?")
_PLAIN_LIST = re.compile(r"[-+]?\d+(?:\s*,\s*[-+]?\d+)+")
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
    text = text.strip()
    text = text if text.endswith("...") else text.removesuffix(".").strip()
    if _SPACED_LIST.fullmatch(text) and not _SPACED_THOUSANDS.fullmatch(text):
        return ", ".join(text.split())
    return re.sub(r",\s?", "", text) if _THOUSANDS.fullmatch(text) else text


def tidy_pair(gold: str, answer: str) -> tuple[str, str]:
    """Both tidied. `60,180` is a list beside `180,60`, and one number beside anything else."""
    plain = [_PLAIN_LIST.fullmatch(text.strip()) is not None for text in (gold, answer)]
    grouped = [_THOUSANDS.fullmatch(text.strip()) is not None for text in (gold, answer)]
    if all(plain) and grouped[0] != grouped[1]:
        return gold.strip().replace(",", ", "), answer.strip().replace(",", ", ")
    return tidy(gold), tidy(answer)


_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")


def unwrapped(text: str) -> str:
    r"""`\text{A and B}` -> `A and B`"""
    return _WORDS.sub(r"\1", text)


def squeezed(text: str) -> str:
    """Without white space; without letter case too, where it is words and not a formula."""
    plain = unwrapped(text)
    return re.sub(r"\s+", "", plain.lower() if is_words(text) else plain)


def word_set(items: list[str]) -> frozenset[str]:
    """The parts of a list without brackets, each squeezed."""
    return frozenset(squeezed(item) for item in items)


def is_words(text: str) -> bool:
    """Whether a text is words (`True`, `\\text{no solution}`), and not a formula such as `ab`."""
    plain = unwrapped(text).strip()
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z ,'-]+", plain):
        return False
    return plain != text.strip() or re.search(r"[a-zA-Z]{4}|(?i:\b(?:yes|no)\b)", plain) is not None


_COMMAND = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}|\\[a-zA-Z]+")


def is_prose(text: str) -> bool:
    """Whether a text is sentences: five words or more, with mathematics or without."""
    return len(re.findall(r"[a-zA-Z]{3,}", _COMMAND.sub(" ", text))) >= 5


_NUMERAL = re.compile(r"([0-9A-Fa-f]+)_(?:\{?\s*(?:\\text\{)?(\w+)\}*)")


def numeral_with_base(text: str) -> tuple[str, str] | None:
    """Digits and base of `1011_2` or `1011_{2}`; None for anything else."""
    match = _NUMERAL.fullmatch(text.replace(" ", ""))
    return (match[1].lower(), match[2]) if match else None
