r"""Finding the final answer in a completion: behind a mark after the reasoning, or what it says.

Training reads the marks of a task (`\boxed{...}` unless a recipe says otherwise) and nothing else.
`spoken_answer` is for evaluating models that were never asked for a mark; whoever uses it says so,
since "the last number" rewards a model that lists guesses.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ttc_rl.config.marks import Mark


def after_reasoning(completion: str) -> str | None:
    """Return what follows the last `</think>`; None where a `<think>` was never closed."""
    tail = completion.rpartition("</think>")[2]
    return None if "<think>" in tail else tail


_NUMBER = r"[-+]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)"
_BRACES = re.compile(
    r"\\(?:boxed|fbox)\s*\{"
    rf"|\\(?:boxed|fbox)\s*(?P<bare>{_NUMBER}(?:/\d+)?|[A-Z](?![A-Za-z]))"
    r"|\\.|[{}]",
    re.DOTALL | re.ASCII,
)
_FILLED = re.compile(r"\s*\S")


def boxes(text: str) -> list[str]:
    r"""Return the contents of the balanced, non-empty boxes in their order; of nested ones the
    innermost.

    `\fbox{5}` and `\boxed 5`, which TeX takes too, are boxes as well.
    """
    return [text[start:end].strip() for start, end in _box_spans(text)]


def _box_spans(text: str) -> list[tuple[int, int]]:
    opened: list[int | None] = []  # where the content of each open brace starts, if it is a box
    spans: list[tuple[int, int]] = []
    for match in _BRACES.finditer(text):
        token = match.group()
        if match["bare"]:
            spans.append(match.span("bare"))
        elif token == "{" or (token.endswith("{") and token != r"\{"):
            opened.append(match.end() if token.startswith("\\") else None)
        elif token == "}" and opened:
            start, end = opened.pop(), match.start()
            if start is not None and _is_innermost(text, start, end, spans):
                spans.append((start, end))
    return spans


def _is_innermost(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> bool:
    """Return whether a box has content, and holds no box that has."""
    filled = _FILLED.match(text, start, end)
    return filled is not None and not (spans and spans[-1][0] > start)


def last_boxed(text: str) -> str | None:
    """Return the content of the last box."""
    contents = boxes(text)
    return contents[-1] if contents else None


class Announced(NamedTuple):
    """An answer, the mark that announces it, and where its text starts."""

    start: int
    mark: Mark
    text: str


_TAG = re.compile(r"<answer>|</answer>")
_HASHES = re.compile(r"(?<!#)####(?!#)")
_LINE = re.compile(r"[^\r\n]*?(?=</answer>|####|[\r\n]|\Z)")


def announced(text: str, marks: Sequence[Mark]) -> list[Announced]:
    """Return the non-empty answers that one of the marks announces, in their order.

    Of marks inside each other the innermost comes last.
    """
    announcements = [
        Announced(start, mark, _bare(text[start:end], mark))
        for mark in marks
        for start, end in _SPANS[mark](text)
    ]
    return sorted(announcement for announcement in announcements if announcement.text)


def _bare(text: str, mark: Mark) -> str:
    """Return a text without white space around it; behind a mark that is not TeX, without
    Markdown's bold too."""
    text = text.strip()
    return text if mark == "boxed" else text.removeprefix("**").removesuffix("**").strip()


def _hash_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield what follows each `####` on its line, up to another mark."""
    for mark in _HASHES.finditer(text):
        line = _LINE.match(text, mark.end())
        assert line is not None
        yield line.span()


def _tag_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield what is between each `</answer>` and the `<answer>` before it."""
    start: int | None = None
    for tag in _TAG.finditer(text):
        if tag.group() == "<answer>":
            start = tag.end()
        elif start is not None:
            yield start, tag.start()
            start = None


_SPANS: Mapping[Mark, Callable[[str], Iterable[tuple[int, int]]]] = {
    "boxed": _box_spans,
    "####": _hash_spans,
    "<answer>": _tag_spans,
}


_SAYS = re.compile(
    r"####|<answer>|\banswer\b(?:[^\n.:=$\d]{0,60}?\b(?:is|are|equals|be)\b|\**\s*[:=]|(?=\s+[-+$\\]?\d))"
    r"(?:[\s:*]|\b(?:therefore|thus|hence|then|simply|just|exactly|equal to|given by)\b)*",
    re.IGNORECASE,
)
_FORMULA = re.compile(
    r"\s*(?:\$\$?(?P<dollars>(?:[^$\\]|\\.)+)\$|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\])",
    re.DOTALL,
)
_SENTENCE_END = re.compile(r"\.(?:\s|$)|\*\*|</answer>|<\|?/?\w+\|?>|(?<!\\)\$\$?\s*(?:\.|$)|\n")
_NUMERAL = re.compile(_NUMBER, re.ASCII)
_NAMES = ("####", "<answer>", "answer")
MAX_MARKERS = 50
"""Of the places where a completion announces an answer, the last ones are looked at."""
MAX_SAID = 500


def spoken_answer(tail: str) -> tuple[str, str] | None:
    """Return the answer that no mark announces, and how it was read; None where it holds no number.

    The last `####`, `<answer>` or "answer is" that something follows counts.
    """
    for marker in reversed(deque(_SAYS.finditer(tail), maxlen=MAX_MARKERS)):
        spoken = tail[marker.end() : marker.end() + MAX_SAID]
        formula = _FORMULA.match(spoken)
        if formula:
            text = next(part for part in formula.groups() if part)
        else:
            text = _SENTENCE_END.split(spoken.strip(), maxsplit=1)[0]
            text = re.sub(r"(?<!\\)\$$", "", text.strip())
        text = text.strip().strip('`"').strip()
        if text:
            name = next(name for name in _NAMES if marker.group().lower().startswith(name))
            return text, f'read after "{name}"'
    numbers = _NUMERAL.findall(tail)
    return (numbers[-1], "read the last number") if numbers else None
