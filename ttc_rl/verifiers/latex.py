"""One spelling for what means the same: Unicode, TeX dressing, delimiters, separators, words.

`tidy` is the one folding step before anything is compared; everything behind it sees plain ASCII
LaTeX (and letters of other alphabets). Not covered: what a text means.
"""

from __future__ import annotations

import functools
import re

from ttc_rl.verifiers import signs

_DROPPED = re.compile(
    r"\\(?:left|right|middle|displaystyle|textstyle|scriptstyle|limits|nolimits|[bB]igg?[lrm]?"
    r"|tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge|bf|it|sf|tt|bfseries"
    r"|itshape|boldmath|centering|checkmark|qed|blacksquare|nonumber|notag|smallskip|mathstrut|strut"
    r"|allowbreak|hfill|noindent|par|rmfamily|unboldmath|upshape|mathord)(?![a-zA-Z])"
    r"|(?<!\\)\\[!/]|\\[hvm]?(?:space|skip|phantom)\*?\s*\{[^{}]*\}|\\hskip\s*[\d.]+\s*[a-z]{2}"
    r"|\\(?:color|label|tag|pagecolor)\*?\s*(?:\[[^\[\]]*\])?\s*\{[^{}]*\}"
)
_UNWRAPPED = re.compile(
    r"\\(?:mathbf|boldsymbol|bm|mathsf|mathtt|mathit|pmb|underline|uline|ensuremath|boxed|fbox|framebox"
    r"|displaylines|mathnormal|emph|textcolor\s*(?:\[[^\[\]]*\])?\s*\{[^{}]*\}|colorbox\s*\{[^{}]*\}"
    r"|underset\s*\{[^{}]*\}|bold|cancelto\s*\{[^{}]*\}|mathrel|mathbin|mathop|mathinner|hbox|vcenter"
    r"|textsf|texttt|textnormal)\s*(?=\{)"
)
_LONE_WRAP = re.compile(r"\\(?:mathbf|boldsymbol|bm|mathsf|mathit|pmb)\s*(?=[a-zA-Z0-9])")
_SPELLINGS = [
    (  # commands that lost the space behind them, as real data has them: \\piR, \\cosx
        re.compile(
            r"\\(times|cdot(?!s)|pi|sin|cos|tan|arcsin|arccos|arctan|ln|log|alpha|beta|theta)"
            r"([A-Za-gi-z])(?![a-zA-Z])"
        ),
        r"\\\1 \2",
    ),
    (re.compile(r"\{\s*\\rm\s+([^{}]*)\}"), r"\\mathrm{\1}"),
    (re.compile(r"\\rm(?![a-zA-Z])\s*(?=[-+\d])"), ""),
    (re.compile(r"\\(?:dfrac|tfrac|cfrac)(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\d?t?binom(?![a-zA-Z])"), r"\\binom"),
    (
        re.compile(r"\\(?:lbrace|lbrack|lparen)(?![a-zA-Z])"),
        lambda m: {"lbrace": r"\{", "lbrack": "["}.get(m[0][1:], "("),
    ),
    (
        re.compile(r"\\(?:rbrace|rbrack|rparen)(?![a-zA-Z])"),
        lambda m: {"rbrace": r"\}", "rbrack": "]"}.get(m[0][1:], ")"),
    ),
    (re.compile(r"\\(?:langle|lang)(?![a-zA-Z])"), "("),
    (re.compile(r"\\(?:rangle|rang)(?![a-zA-Z])"), ")"),
    (re.compile(r"\\(?:vert|lvert|rvert)(?![a-zA-Z])"), "|"),
    (re.compile(r"\\(?:leqslant|leq|leqq)(?![a-zA-Z])"), r"\\le "),
    (re.compile(r"\\(?:geqslant|geq|geqq)(?![a-zA-Z])"), r"\\ge "),
    (re.compile(r"<=|=<"), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"!=|\\neq(?![a-zA-Z])|\\not\s*="), r"\\ne "),
    (re.compile(r"\\[lc]?dots[cbmio]?(?![a-zA-Z])|\.\.\.+"), r"\\dots "),
    (re.compile(r"\\(?:varnothing|O)(?![a-zA-Z])"), r"\\emptyset "),
    (re.compile(r"\\mathbb\s*(?:\{\s*)?([A-Z])\s*\}?"), r"\\mathbb{\1}"),
    (re.compile(r"\\(?:R|Z|N|Q|C)(?![a-zA-Z])"), lambda m: rf"\mathbb{{{m[0][1]}}}"),
    (
        re.compile(
            r"\^?\s*\{\s*\^?\\(?:circ|degree)(?![a-zA-Z])\s*\}"
            r"|\^?\s*\\(?:circ|degree|textdegree)(?![a-zA-Z])"
        ),
        r"^\\circ ",
    ),
    (re.compile(r"(?<=\d)\s*\^\s*(?:\{\s*o\s*\}|o(?![a-zA-Z]))"), r"^\\circ "),
    (
        re.compile(r"\\(?:mathrm|text|rm)\s*\{\s*([eid])\s*\}|\\mathrm\s+([eid])(?![a-zA-Z])"),
        r" \1\2 ",
    ),
    (
        re.compile(
            r"\\(?:pmod|mod)\s*\{([^{}]*)\}|\(\s*(?:\\(?:bmod|mod)(?![a-zA-Z])|\\(?:text|mathrm|operatorname)\s*\{\s*mod\s*\}|mod)\s*([^()]*)\)"
        ),
        r"\\pmod{\1\2}",
    ),
    (re.compile(r"\\pmod\s*(\d)"), r"\\pmod{\1}"),
    (
        re.compile(r"\\begin\s*\{(?:small|[bBpvV]?)matrix\*?\}"),
        lambda m: m[0].replace("small", "p").replace("*", "").replace("{matrix", "{pmatrix"),
    ),
    (
        re.compile(r"\\end\s*\{(?:small|[bBpvV]?)matrix\*?\}"),
        lambda m: m[0].replace("small", "p").replace("*", "").replace("{matrix", "{pmatrix"),
    ),
    (re.compile(r"(?<![a-zA-Z}^_])\{\s*(\\(?:text|mathrm)\s*\{[^{}]*\})\s*\}"), r"\1"),
    (re.compile(r"(?<!\\)\*\*"), "^"),
    (
        re.compile(
            r"\\(?:quad|qquad|enspace|thinspace|medspace|space|nobreakspace)(?![a-zA-Z])"
            r"|(?<!\\)\\[ \t\n,;:]|(?<!\\)~"
        ),
        " ",
    ),
    (
        re.compile(
            r"\\(?:operatorname|mathop)\*?\s*\{\s*(arc\w+|sin|cos|tan|cot|sec|csc|ln|log|lg|exp|max|min|gcd|lcm|sgn|tr|det|arg|sinh|cosh|tanh)\s*\}"
        ),
        r"\\\1 ",
    ),
    (
        re.compile(r"\\(?:mathrm|text)\s*\{\s*(arc\w+|sin|cos|tan|cot|ln|log|lg|gcd|lcm)\s*\}"),
        r"\\\1 ",
    ),
]
_SAYS = r"(?:the )?(?:final |correct )?answer(?: is)?"
_LABEL = re.compile(
    rf"^(?:\\(?:text|textbf|mathrm)\s*\{{\s*(?:{_SAYS})\s*:?\s*\}}|(?:{_SAYS})\s*:)\s*[:=]?\s*(?=\S)",
    re.IGNORECASE,
)
_DELIMITERS = [("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")]
_THOUSANDS = re.compile(r"(?P<sign>[-+]?)(?P<money>\\?\$?)\d{1,3}(?:,\s?\d{3})+(?:\.\d+)?")
_PLAIN_LIST = re.compile(r"[-+]?\d+(?:\s*,\s*[-+]?\d+)+")
_SPACED_LIST = re.compile(r"[-+]?[\d.]+(?:\s+[-+]?[\d.]+)+")
_SPACED_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+")


@functools.lru_cache(maxsize=4096)
def tidy(text: str) -> str:
    """Return one spelling for what means the same: delimiters, spaces, thousands separators, full
    stop.

    Numbers with spaces between them (`4 3 -1`) are a list.
    """
    text = signs.as_latex(text).strip()
    for start, end in _DELIMITERS:
        inside = text[len(start) : -len(end)]
        if text.startswith(start) and text.endswith(end) and start not in inside:
            text = inside.strip()
    text = _GROUPED.sub("", _INNER.sub(" ", text))
    if len(_DOLLAR.findall(text)) % 2 == 0:
        text = _DOLLAR.sub(" ", text)
    text = _VECTOR.sub(lambda m: rf"\hat{{{m['braced'] or m['bare']}}}", text)
    text = _LONE_WRAP.sub(" ", _UNWRAPPED.sub("", text))
    text = _DROPPED.sub("", _GROUPED.sub("", text))
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    text = _TEXT_NUMBER.sub(r"\1", text)
    text = _LABEL.sub("", _SIMPLE_GROUP.sub(r"\1\2", text.strip()))
    text = _bare(text)
    if _SPACED_LIST.fullmatch(text) and not _SPACED_THOUSANDS.fullmatch(text):
        return ", ".join(text.split())
    if _SPACED_THOUSANDS.fullmatch(text):
        return text.replace(" ", "")
    return re.sub(r",\s?", "", text) if _THOUSANDS.fullmatch(text) else text


def _bare(text: str) -> str:
    """Return a text without braces, quotation marks, full stops and line breaks around it."""
    for _ in range(8):
        before = text
        text = text.strip()
        text = text if text.endswith("dots") else text.removesuffix(".").removesuffix(r"\\").strip()
        text = text.rstrip(",;").strip() if not text.endswith("\\,") else text
        if text.endswith("\\") and not text.endswith(r"\\"):
            text = text[:-1]
        if len(text) > 2 and text[0] == text[-1] == '"':
            text = text[1:-1]
        if (
            text.startswith("{")
            and text.endswith("}")
            and not text.endswith(r"\}")
            and is_group(text)
        ):
            text = text[1:-1]
        if text == before:
            break
    return text


def is_group(text: str) -> bool:
    """Return whether the first brace of a text is closed by its last one."""
    depth = 0
    for match in _BRACE.finditer(text):
        depth += (match.group() == "{") - (match.group() == "}")
        if depth == 0:
            return match.end() == len(text)
    return False


_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_GROUPED = re.compile(r"(?<=\d)(?:\\[,!;: ]|\{,\}\s?|,\\!\s?|\\,|~)+(?=\d{3}(?!\d))")
_VECTOR = re.compile(
    r"\\(?:mathbf|boldsymbol|bm|vec|hat|bf)\s*(?:\{\s*\\?(?P<braced>[ijk])(?:math)?\s*\}"
    r"|\\?(?P<bare>[ijk])(?:math)?(?![a-zA-Z]))"
)
_INNER = re.compile(r"\$\$|(?<!\\)\\[()\[\]]")
_DOLLAR = re.compile(r"(?<!\\)\$")
_TEXT_NUMBER = re.compile(
    r"\\(?:text|mathrm|mbox|textbf|textit|textrm)\s*\{\s*([-+]?[\d$][^{}]*)\}"
)
_SIMPLE_GROUP = re.compile(r"((?:^|[=,(<>:+-])\s*)\{\s*([-+]?[\d.]+)\s*\}(?!\s*[\^_{])", re.ASCII)


def tidy_pair(gold: str, answer: str) -> tuple[str, str]:
    """Return both tidied. `60,180` is a list beside `180,60`, and one number beside anything
    else."""
    plain = [_PLAIN_LIST.fullmatch(text.strip()) is not None for text in (gold, answer)]
    grouped = [_THOUSANDS.fullmatch(text.strip()) is not None for text in (gold, answer)]
    if all(plain) and grouped[0] != grouped[1]:
        return gold.strip().replace(",", ", "), answer.strip().replace(",", ", ")
    return tidy(gold), tidy(answer)


_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")


def unwrapped(text: str) -> str:
    r"""Return `A and B` of `\text{A and B}`."""
    return _WORDS.sub(r"\1", text)


def squeezed(text: str) -> str:
    """Return a text without white space; without letter case too, where it is words and not a
    formula."""
    plain = unwrapped(text).strip().rstrip(".")
    return re.sub(r"\s+", "", plain.lower() if is_words(text) else plain)


def is_words(text: str) -> bool:
    """Return whether a text is words (`True`, `\\text{no solution}`), and not a formula such as
    `ab`."""
    plain = unwrapped(text).strip().rstrip(".")
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z ,'-]+", plain):
        return False
    return plain != text.strip() or re.search(r"[a-zA-Z]{4}|(?i:\b(?:yes|no)\b)", plain) is not None


_COMMAND = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}|\\[a-zA-Z]+")


def is_prose(text: str) -> bool:
    """Return whether a text is sentences: five words or more, with mathematics or without."""
    return len(re.findall(r"[a-zA-Z]{3,}", _COMMAND.sub(" ", text))) >= 5
