r"""Multiple choice, any number of options: a letter or an option's text, from a box or "answer is".

A letter counts only where it stands as an answer: "the answer is a bit subtle" chooses nothing,
and words after the box or after the letter change nothing.
"""

from __future__ import annotations

import re
import string

from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers.boxes import after_reasoning, last_boxed
from ttc_rl.verifiers.latex import squeezed

# "answer is (c)", "Answer: **C**", "answer is C." A bare letter is upper-case and ends a phrase.
_MARKER = re.compile(r"\banswer\b(?:\s+is\b)?\s*:?\s*(?:\*\*|\$|:|\s)*", re.IGNORECASE)
_LETTER = re.compile(r"[(\[]([A-Za-z])[)\]]|([A-Z])(?=\s*(?:[.,;:)*$\n]|$))")
_LABEL = re.compile(r"\(?([A-Za-z])(?:\)|[.:])?(?:\s+(.+))?", re.DOTALL)


def verify(task: Task, completion: str) -> Verdict:
    options = task.meta.get("options")
    texts = [str(option) for option in options] if isinstance(options, list) else []
    answer = read_answer(completion, texts)
    if answer is None:
        return Verdict(False, None, "no option was chosen in a box or after 'answer'", "no_answer")
    gold = _read_option(task.gold or "", texts)
    if gold is None:
        return Verdict(None, answer, f"gold unreadable: {task.gold!r} of {len(texts)} options")
    return Verdict(answer == gold, answer)


def read_answer(completion: str, options: list[str]) -> str | None:
    """The letter chosen. A box counts before words; of several the last."""
    tail = after_reasoning(completion)
    if tail is None:
        return None
    boxed = last_boxed(tail)
    if boxed is not None:
        return _read_option(boxed, options)
    for marker in reversed(list(_MARKER.finditer(tail))):
        rest = tail[marker.end() :]
        letter = _LETTER.match(rest)
        if letter:
            return _known(letter[1] or letter[2], options)
        named = _by_text(rest.partition("\n")[0].strip().rstrip("*. "), options)
        if named:
            return named
    return None


def _read_option(text: str, options: list[str]) -> str | None:
    r"""The letter that `C`, `(c)`, `\text{C}`, `C. Paris` or `Paris` stands for, or None."""
    plain = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", text)
    plain = plain.strip().strip("*$ ").rstrip(".")
    label = _LABEL.fullmatch(plain)
    if label and (label[2] is None or not options):
        return _known(label[1], options)
    if label and _by_text(label[2], options) == label[1].upper():
        return label[1].upper()
    return _by_text(plain, options)


def _known(letter: str, options: list[str]) -> str | None:
    letters = string.ascii_uppercase[: len(options)] if options else string.ascii_uppercase
    return letter.upper() if letter.upper() in letters else None


def _by_text(text: str, options: list[str]) -> str | None:
    """The option with this very text; None where there is none, or more than one."""
    wanted = squeezed(text).casefold()
    hits = [
        i for i, option in enumerate(options) if squeezed(option.rstrip(".")).casefold() == wanted
    ]
    return string.ascii_uppercase[hits[0]] if len(hits) == 1 and wanted else None
