r"""Do two tasks have the same gold? For people who read certificates; no selector asks this."""

from __future__ import annotations

from collections.abc import Sequence

from ttc_rl.schema import Task
from ttc_rl.verifiers import verify_many
from ttc_rl.verifiers.replies import answer_reply

Pair = tuple[Task, Task]


def same_golds(pairs: Sequence[Pair]) -> list[bool | None]:
    """For each (a, b): would a's gold, given as an answer to b, be right?

    None where that cannot be decided: different kinds, programs, judged tasks, unreadable golds.
    """
    answers = [_answer(task, other) if task.kind == other.kind else None for task, other in pairs]
    asked = [i for i, answer in enumerate(answers) if answer is not None]
    verdicts = verify_many([pairs[i][1] for i in asked], [answers[i] or "" for i in asked])
    found: list[bool | None] = [None] * len(pairs)
    for i, verdict in zip(asked, verdicts, strict=True):
        found[i] = verdict.correct if verdict.status in ("ok", "no_answer") else None
    return found


def _answer(task: Task, other: Task) -> str | None:
    """A completion that gives the gold as an answer to another task of its kind.

    Of a choice the option's text: letters say nothing.
    """
    if not task.gold:
        return None
    if task.kind == "exact":
        return f"answer: {task.gold}"
    if task.kind == "choice":
        options = task.meta.get("options")
        place = ord(task.gold.strip()[:1].upper() or "@") - ord("A")
        if not isinstance(options, list) or not 0 <= place < len(options):
            return None
        return answer_reply(other, str(options[place]))
    return answer_reply(other, task.gold) if task.kind == "math" else None
