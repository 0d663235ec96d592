r"""Do two tasks have the same gold? For people who read certificates; no selector asks this."""

from __future__ import annotations

from collections.abc import Sequence

from ttc_rl.schema import Task
from ttc_rl.verifiers.graders import BUILT_IN, Graders

Pair = tuple[Task, Task]


def same_golds(pairs: Sequence[Pair], graders: Graders = BUILT_IN) -> list[bool | None]:
    """Return for each (a, b) whether a's gold would be right as an answer to b.

    None where that cannot be decided: different kinds, programs, judged tasks, unreadable golds.
    """
    replies = [
        gold_as_reply(task, other, graders) if task.kind == other.kind else None
        for task, other in pairs
    ]
    stated = [i for i, reply in enumerate(replies) if reply is not None]
    verdicts = graders.verify_many(
        [pairs[i][1] for i in stated], [replies[i] or "" for i in stated]
    )
    same: list[bool | None] = [None] * len(pairs)
    for i, verdict in zip(stated, verdicts, strict=True):
        same[i] = verdict.correct if verdict.status in ("ok", "no_answer") else None
    return same


def gold_as_reply(task: Task, other: Task, graders: Graders = BUILT_IN) -> str | None:
    """Return a completion that gives a task's gold as an answer to another task of its kind.

    None where there is no gold, or none that the other task could have, as of another choice.
    """
    kind = graders.kind_of(task)
    if not task.gold or kind.reply is None:
        return None
    answer = kind.restated(task, other) if kind.restated else task.gold
    return None if answer is None else kind.reply(other, answer)
