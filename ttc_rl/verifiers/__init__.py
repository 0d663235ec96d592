"""(task, completion) -> verdict. Training and evaluation ask the same judge."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from ttc_rl.config.plugins import PLUGINS
from ttc_rl.schema import Task, UserError, Verdict, whole_text
from ttc_rl.verifiers import choices, exact, judge, maths, programs
from ttc_rl.verifiers.workers import WorkersFailed

__all__ = [
    "BATCHES",
    "VERIFIERS",
    "Verifier",
    "check_infra_errors",
    "equivalence_classes",
    "verify",
    "verify_many",
    "verify_many_async",
]

Verifier = Callable[[Task, str], Verdict]
Batch = Callable[[Sequence[Task], Sequence[str]], list[Verdict]]

VERIFIERS: dict[str, Verifier] = {
    "math": maths.verify,
    "exact": exact.verify,
    "choice": choices.verify,
    "code": programs.verify,
    "judge": judge.verify,
}
"""By kind of task. A recipe's plug-ins are looked up after these."""
BATCHES: dict[str, Batch] = {
    "math": maths.verify_many,
    "code": programs.verify_many,
    "judge": judge.verify_many,
}
"""Kinds graded many at a time, elsewhere; the others are decided on the spot."""


def verify(task: Task, completion: str) -> Verdict:
    return verify_many([task], [completion])[0]


def verify_many(
    tasks: Sequence[Task], completions: Sequence[str], *, fallback: bool = False
) -> list[Verdict]:
    """A verdict for each pair, in their order; slow kinds use all cores, a bounded number at once.

    With `fallback`, maths answers without a mark are read otherwise and the reason says how: for
    evaluating models that were never asked for one, never for training.
    """
    if len(tasks) != len(completions):
        raise ValueError(f"{len(tasks)} tasks, but {len(completions)} completions")
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, task in enumerate(tasks):
        rows_of[task.kind].append(row)
    batches = {kind: _batch(kind, fallback) for kind in rows_of}  # unknown kinds are told first
    found: dict[int, Verdict] = {}
    for kind, rows in rows_of.items():
        asked, texts = [tasks[i] for i in rows], [whole_text(completions[i]) for i in rows]
        own = kind in VERIFIERS
        verdicts = _surely(batches[kind], asked, texts) if own else batches[kind](asked, texts)
        found |= zip(rows, verdicts, strict=True)
    return [found[row] for row in range(len(tasks))]


async def verify_many_async(
    tasks: Sequence[Task], completions: Sequence[str], *, fallback: bool = False
) -> list[Verdict]:
    """`verify_many` beside an event loop. Cancelling it does not stop what is under way."""
    return await asyncio.to_thread(verify_many, tasks, completions, fallback=fallback)


def check_infra_errors(count: int, total: int, limit: float, where: str) -> None:
    """Raise UserError where more than `limit` of the verdicts failed for reasons of ours."""
    if count > limit * total:
        raise UserError(
            f"{where}: {count} of {total} verdicts failed for reasons of ours (infra_error), more "
            f"than the {limit:.0%} allowed; what was drawn is kept. `ttc-rl doctor` looks for the "
            "cause; resume when it is mended"
        )


def equivalence_classes(task: Task, answers: Sequence[str | None]) -> list[int | None]:
    """For majority votes: the class of each answer, by first appearance. None does not vote."""
    if task.kind == "math":
        return maths.equivalence_classes(task, answers)
    key = exact.key if task.kind == "exact" else str.strip
    keys = [None if answer is None else key(answer) for answer in answers]
    numbers = {k: i for i, k in enumerate(dict.fromkeys(k for k in keys if k is not None))}
    return [None if k is None else numbers[k] for k in keys]


def _batch(kind: str, fallback: bool) -> Batch:
    if kind == "math" and fallback:
        return lambda tasks, texts: maths.verify_many(tasks, texts, fallback=True)
    if kind in BATCHES:
        return BATCHES[kind]
    if kind in VERIFIERS:
        return _one_by_one(VERIFIERS[kind])
    if kind in PLUGINS:
        return _one_by_one(PLUGINS[kind])
    known = ", ".join([*VERIFIERS, *PLUGINS])
    raise UserError(f"kind {kind!r} has no verifier; there are {known}")


def _surely(batch: Batch, tasks: Sequence[Task], completions: Sequence[str]) -> list[Verdict]:
    """Where a completion breaks the verifier, that costs its own verdict and no other."""
    try:
        return batch(tasks, completions)
    except (UserError, WorkersFailed):
        raise
    except Exception as error:  # noqa: BLE001  # whatever a model's words led to
        if len(tasks) == 1:
            reason = f"the verifier failed: {type(error).__name__}: {str(error)[:300]}"
            return [Verdict(None, None, whole_text(reason), "infra_error")]
    pairs = zip(tasks, completions, strict=True)
    return [_surely(batch, [task], [text])[0] for task, text in pairs]


def _one_by_one(verifier: Verifier) -> Batch:
    def batch(tasks: Sequence[Task], completions: Sequence[str]) -> list[Verdict]:
        return [
            _a_verdict(verifier(task, text), task)
            for task, text in zip(tasks, completions, strict=True)
        ]

    return batch


def _a_verdict(found: object, task: Task) -> Verdict:
    if not isinstance(found, Verdict):
        raise TypeError(
            f"the verifier of kind {task.kind!r} returned {type(found).__name__}, not a Verdict"
        )
    return found
