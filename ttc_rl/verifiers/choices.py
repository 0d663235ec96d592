r"""Multiple choice, any number of options: a letter or an option's text, from a box or "answer is".

A letter counts only where it stands as an answer: "the answer is a bit subtle" chooses nothing,
and words after the box or after the letter change nothing. Beyond Z the labels go on with AA, AB,
which count in a box only. Not covered: tasks with several right options.
"""

from __future__ import annotations

import random
import re
import string
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers.boxes import after_reasoning, last_boxed
from ttc_rl.verifiers.latex import squeezed

# "answer is (c)", "Answer: **C**", "answer is C." A bare letter is upper-case and ends a phrase.
_MARKER = re.compile(r"\banswer\b(?:\s+is\b)?\s*:?\s*(?:\*\*|\$|:|\}|\\[(\[]|\s)*", re.IGNORECASE)
MAX_MARKERS = 50
"""Of the places where a completion says "answer", the last ones are looked at."""
_LETTER = re.compile(r"[(\[]([A-Za-z])[)\]]|([A-Z])(?=\s*(?:[.,;:)*$\n]|\\[)\]]|$))")
# Options that speak of others by their place: such a task keeps its order.
_PLACED = re.compile(
    r"\b(?:above|below|following|preceding|all of (?:these|them)|none of (?:these|them))\b"
    r"|\b[A-J] (?:and|or|&) [A-J]\b|\b(?:both|neither|either|only) \(?[A-J]\b",
    re.IGNORECASE,
)
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
    return Verdict(answer == gold or _same_text(answer, gold, texts), answer)


def shuffle_options(task: Task, seed: int) -> Task:
    """The task with its options in another order, gold and prompt following; ids differ.

    The order depends on `seed` and the task alone. A task with an option such as "none of the
    above" stays as it is. Raises ValueError without `meta.options` or a gold among them.
    """
    options = [str(option) for option in task.meta.get("options") or ()]
    gold = _read_option(task.gold or "", options)
    if not options or gold is None:
        raise ValueError(f"{task.id}: needs meta.options and a gold among them to be shuffled")
    if any(_PLACED.search(option) for option in options):
        return task
    order = list(range(len(options)))
    random.Random(f"{seed} {task.id}").shuffle(order)
    shuffled = [options[i] for i in order]
    return replace(
        task,
        prompt=_prompt_head(task, options) + _listed(shuffled),
        gold=label(order.index(_labels(options).index(gold))),
        meta={**task.meta, "options": shuffled, "shuffled_from": task.id},
        id="",
    )


def label(index: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    high, low = divmod(index, 26)
    return (label(high - 1) if high else "") + string.ascii_uppercase[low]


def _labels(options: Sequence[str]) -> list[str]:
    return [label(i) for i in range(len(options) or 26)]


def _listed(options: Sequence[str]) -> str:
    return "\n".join(f"{label(i)}. {option}" for i, option in enumerate(options))


def _prompt_head(task: Task, options: Sequence[str]) -> str:
    """The prompt without its options: cut off where they end it, else the question itself."""
    if task.prompt.endswith(_listed(options)):
        return task.prompt.removesuffix(_listed(options))
    question = task.meta.get("question")
    if not isinstance(question, str):
        raise ValueError(
            f"{task.id}: the prompt does not end with its options; needs meta.question"
        )
    return f"{question}\n\n"


def _same_text(answer: str, gold: str, options: list[str]) -> bool:
    """Whether two labels stand for the same words, as happens in real data."""
    known = dict(zip(_labels(options), options, strict=False))
    return gold in known and squeezed(known[gold]) == squeezed(known.get(answer, ""))


def read_answer(completion: str, options: list[str]) -> str | None:
    """The letter chosen. A box counts before words; of several the last.

    After a box that holds no option (the value that was worked out), words that follow it count.
    """
    tail = after_reasoning(completion)
    if tail is None:
        return None
    boxed = last_boxed(tail)
    if boxed is not None:
        chosen = _read_option(boxed, options)
        if chosen is not None:
            return chosen
        tail = tail[max(tail.rfind(r"\boxed"), tail.rfind(r"\fbox")) :]
    for marker in reversed(deque(_MARKER.finditer(tail), maxlen=MAX_MARKERS)):
        letter = _LETTER.match(tail, marker.end())
        if letter:
            return _known(letter[1] or letter[2], options)
        line = tail[marker.end() : marker.end() + 500].partition("\n")[0]
        named = _by_text(line.strip().rstrip("*. "), options)
        if named:
            return named
    return None


def _read_option(text: str, options: list[str]) -> str | None:
    r"""The letter that `C`, `(c)`, `\text{C}`, `C. Paris` or `Paris` stands for, or None."""
    plain = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", text)
    plain = plain.strip().strip("*$ ").rstrip(".")
    bare = plain.strip("()").upper()
    if len(bare) > 1 and bare in _labels(options):
        return bare
    found = _LABEL.fullmatch(plain)
    if found and (found[2] is None or not options):
        return _known(found[1], options) or _by_text(plain, options)
    if found and _by_text(found[2], options) == found[1].upper():
        return found[1].upper()
    return _by_text(plain, options)


def _known(letter: str, options: list[str]) -> str | None:
    return letter.upper() if letter.upper() in _labels(options) else None


def _by_text(text: str, options: list[str]) -> str | None:
    """The option with this very text; None where there is none, or more than one.

    Letter case counts only where it tells options apart: `BB Bb` is not `Bb Bb`.
    """
    wanted = _text_key(text)
    keys = [_text_key(option) for option in options]
    hits = [i for i, key in enumerate(keys) if key == wanted]
    hits = hits or [i for i, key in enumerate(keys) if key.casefold() == wanted.casefold()]
    return label(hits[0]) if len(hits) == 1 and wanted else None


def _text_key(text: str) -> str:
    """Neither white space nor dollars or a full stop tell two texts apart."""
    return squeezed(text.replace("\\$", "").strip("*$ ").rstrip("."))
