"""From a verdict to the number the optimiser sees; and the control arms, which see something else.

A gain over `base` may come from learning how answers are written down, without learning to solve
anything (Kung & Peng, arXiv 2305.11383). An arm trained on such a reward, at equal compute, tells:

    correct     1 where the answer is right: what every other arm trains on
    partial     for programs the share of tests passed before the first that failed, else as correct
    format      1 where an answer could be read, right or not
    shuffled    1 where the answer is that of another task of the same kind

`malformed` is what a completion gets that ended by itself and left no answer to be read. One that
was cut at the token limit gets 0: it was not done, which is no fault of form.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from ttc_rl.config import RewardName
from ttc_rl.schema import Task, UserError, Verdict


def reward(
    verdict: Verdict,
    name: RewardName = "correct",
    *,
    truncated: bool = False,
    malformed: float = 0.0,
) -> float | None:
    """A number from `malformed` to 1; None if undecided, or if the verifier failed: TRL leaves a
    None out of the group.
    """
    if verdict.status == "infra_error":
        return None
    if name == "format":
        return float(verdict.answer is not None)
    if verdict.correct is None:
        return None
    if verdict.status == "no_answer" and not truncated:
        return malformed
    if name == "partial" and verdict.share is not None:
        return verdict.share
    return float(verdict.correct)


def shuffled_golds(tasks: Mapping[str, Task], seed: int) -> dict[str, Task]:
    """Each task, under its own id, with the gold or tests of another one of its kind.

    Raises UserError where a kind has one task only: it would keep its gold.
    """
    rng, found = random.Random(seed), dict(tasks)
    for kind in sorted({task.kind for task in tasks.values()}):
        ids = sorted(i for i, task in tasks.items() if task.kind == kind)
        if len(ids) < 2:
            raise UserError(f"train.reward shuffled: one task of kind {kind} has none to swap with")
        rng.shuffle(ids)
        for mine, other in zip(ids, [*ids[1:], ids[0]], strict=True):
            found[mine] = replace(tasks[mine], gold=tasks[other].gold, tests=tasks[other].tests)
    return found
