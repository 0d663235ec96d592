"""Answers compared as text: what stands after the last word "answer", without spaces and case."""

from __future__ import annotations

import re

from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers.boxes import after_reasoning, last_boxed
from ttc_rl.verifiers.kind import Kind

_MARKER = re.compile(r"\banswer\b(?:\*\*)?[ \t]*(?:is\b[ \t]*)?:?(?:\*\*)?[ \t]*", re.IGNORECASE)


def verify(task: Task, completion: str) -> Verdict:
    answer = read_answer(completion)
    if answer is None:
        return Verdict(False, None, 'nothing after the word "answer", and no box', "no_answer")
    if not key(task.gold or ""):
        return Verdict(None, answer, f"gold unreadable: {task.gold!r}")
    return Verdict(key(answer) == key(task.gold or ""), answer)


def read_answer(completion: str) -> str | None:
    """Return the rest of the line after the last "answer"; failing that, the last box."""
    tail = after_reasoning(completion)
    if tail is None:
        return None
    for marker in list(_MARKER.finditer(tail))[-1:]:
        answer = tail[marker.end() :].partition("\n")[0].strip()
        if key(answer):
            return answer
    return last_boxed(tail)


def key(answer: str) -> str:
    """Return a key, equal for equal answers: no white space, no letter case, no full stop at the
    end."""
    return re.sub(r"\s+", "", answer).casefold().rstrip(".")


KIND = Kind(
    "exact",
    verify=verify,
    template='{prompt}\n\nEnd with "Answer:" followed by the answer alone.',
    read=lambda task, completion: read_answer(completion),
    key=key,
    reply=lambda task, answer: f"answer {answer}",
)
