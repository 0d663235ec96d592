"""(task, completion) -> verdict. Training and evaluation ask the same judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.verifiers import choices, exact, maths

__all__ = ["VERIFIERS", "Verifier", "equivalence_classes", "verify", "verify_many"]

Verifier = Callable[[Task, str], Verdict]

VERIFIERS: dict[str, Verifier] = {
    "math": maths.verify,
    "exact": exact.verify,
    "choice": choices.verify,
}
"""By kind of task. A plug-in adds its own."""


def verify(task: Task, completion: str) -> Verdict:
    return _verifier(task.kind)(task, completion)


def verify_many(tasks: Sequence[Task], completions: Sequence[str]) -> list[Verdict]:
    """`verify` of each pair, in their order; mathematics runs in parallel processes."""
    if len(tasks) != len(completions):
        raise ValueError(f"{len(tasks)} tasks, but {len(completions)} completions")
    verifiers = [_verifier(task.kind) for task in tasks]
    slow = [i for i, verifier in enumerate(verifiers) if verifier is maths.verify]
    graded = maths.verify_many([tasks[i] for i in slow], [completions[i] for i in slow])
    found = dict(zip(slow, graded, strict=True))
    return [
        found[i] if i in found else verifier(tasks[i], completions[i])
        for i, verifier in enumerate(verifiers)
    ]


def equivalence_classes(task: Task, answers: Sequence[str | None]) -> list[int | None]:
    """For majority votes: the class of each answer, by first appearance. None does not vote."""
    if _verifier(task.kind) is maths.verify:
        return maths.equivalence_classes(task, answers)
    key = exact.key if task.kind == "exact" else str.strip
    keys = [None if answer is None else key(answer) for answer in answers]
    numbers = {k: i for i, k in enumerate(dict.fromkeys(k for k in keys if k is not None))}
    return [None if k is None else numbers[k] for k in keys]


def _verifier(kind: str) -> Verifier:
    if kind not in VERIFIERS:
        raise UserError(f"kind {kind!r} has no verifier yet; there are {', '.join(VERIFIERS)}")
    return VERIFIERS[kind]
