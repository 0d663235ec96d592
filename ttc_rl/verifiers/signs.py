r"""Signs of Unicode as LaTeX: superscripts, fractions, relations, Greek, digits of any script."""

# ruff: noqa: RUF001  (the point of this file is signs that look like others)
from __future__ import annotations

import re
import unicodedata

_SUPERSCRIPT = dict(
    zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣʸᵃᵇᶜᵈᵉᵏᵐᵒᵖᵗ", "0123456789+-=()nixyabcdekmopt", strict=True)
)
_SUBSCRIPT = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙᵢₖₐₓₘ", "0123456789+-nikaxm", strict=True))
_TABLE = r"""
× \times | ✕ \times | · \cdot | ⋅ \cdot | ∙ \cdot | • \cdot | ÷ \div | ∞ \infty | ± \pm | ∓ \mp
≤ \le | ≥ \ge | ⩽ \le | ⩾ \ge | ≠ \ne | ≈ \approx | ≡ \equiv | ∅ \emptyset | ∪ \cup | ∩ \cap
∈ \in | ∖ \setminus | ℝ \mathbb{R} | ℤ \mathbb{Z} | ℚ \mathbb{Q} | ℕ \mathbb{N} | ℂ \mathbb{C}
⟨ ( | ⟩ ) | 〈 ( | 〉 ) | ° ^\circ | º ^\circ | ˚ ^\circ | ℃ ^\circ \text{C} | ℉ ^\circ \text{F}
′ ' | ’ ' | ‘ ' | ″ '' | “ " | ” " | … \dots | ⋯ \dots | → \to | √ \sqrt | ∛ \sqrt[3]
∜ \sqrt[4] | ∑ \sum | ∏ \prod | ∫ \int | 、 , | ， , | 。 . | ⌊ \lfloor | ⌋ \rfloor
⌈ \lceil | ⌉ \rceil | ∶ : | µ \mu | Å \AA | ∠ \angle | △ \triangle | ⇒ \Rightarrow | ∧ \land
∨ \lor | ℓ \ell | ⁄ / | ∕ / | ϕ \phi | ⊥ \perp | ∥ \parallel | ⊂ \subset | ⊆ \subseteq
"""
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"
_CHECKS = "\u2713\u2714\u2705"
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho "
    "varsigma sigma tau upsilon phi chi psi omega"
)
_CAPITALS = "gamma delta theta lambda xi pi sigma upsilon phi psi omega"


def _signs() -> dict[str, str]:
    signs: dict[str, str] = {}
    for entry in re.split(r" \| |\n", _TABLE.strip()):
        sign, _, latex = entry.partition(" ")
        signs[sign] = f"{latex} " if latex.startswith(("\\", "^\\")) else latex
    signs |= dict.fromkeys(_DASHES, "-") | dict.fromkeys(_CHECKS, "")
    signs["\u2223"] = "|"
    for place, name in enumerate(_GREEK.split()):
        signs[chr(0x3B1 + place)] = rf"\{name} "
        if name in _CAPITALS.split():
            signs[chr(0x391 + place)] = rf"\{name.capitalize()} "
    return signs


_SIGNS = _signs()
_RADICAND = re.compile(r"(\\sqrt(?:\[\d\])?) (\d+(?:\.\d+)?|[a-zA-Z])")
_PLAIN = re.compile(r"[\x00-\x7f]*\Z")


def as_latex(text: str) -> str:
    """Return signs of Unicode as LaTeX, compatible letters and digits as ASCII ones."""
    if _PLAIN.match(text):
        return text
    out: list[str] = []
    raised: dict[str, str] | None = None
    for character in text:
        for table, mark in ((_SUPERSCRIPT, "^{"), (_SUBSCRIPT, "_{")):
            if character in table:
                if raised is not table:
                    out.append("}" + mark if raised else mark)
                raised = table
                out.append(table[character])
                break
        else:
            if raised is not None:
                out.append("}")
                raised = None
            out.append(_one_as_latex(character))
    folded = "".join(out) + ("}" if raised is not None else "")
    return _RADICAND.sub(r"\1{\2}", folded)


def _one_as_latex(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category in ("Cf", "Mn") and character != "\u0338":
        return ""
    if category == "Zs":
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(character))
    plain = unicodedata.normalize("NFKC", character)
    if category == "No" and "\u2044" in plain:
        top, bottom = plain.split("\u2044")
        return rf"\frac{{{top}}}{{{bottom}}}"
    if plain != character:
        return "".join(_SIGNS.get(part, part) for part in plain)
    return character
