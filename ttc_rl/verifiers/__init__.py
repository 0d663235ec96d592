"""(task, completion) -> verdict. Training and evaluation ask the same graders."""

from __future__ import annotations

from collections.abc import Sequence

from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.verifiers.graders import BUILT_IN, Graders
from ttc_rl.verifiers.kinds import KINDS, Kind

__all__ = [
    "BUILT_IN",
    "KINDS",
    "Graders",
    "Kind",
    "check_infra_errors",
    "verify",
    "verify_many",
]


def verify(task: Task, completion: str) -> Verdict:
    """Return the verdict on a completion of a task of a built-in kind."""
    return BUILT_IN.verify(task, completion)


def verify_many(
    tasks: Sequence[Task], completions: Sequence[str], *, fallback: bool = False
) -> list[Verdict]:
    """Return a verdict for each pair, in their order; `Graders.verify_many` says more.

    A recipe's plug-ins and its judge need `Graders.of`.
    """
    return BUILT_IN.verify_many(tasks, completions, fallback=fallback)


def check_infra_errors(count: int, total: int, limit: float, where: str) -> None:
    """Raise UserError where more than `limit` of the verdicts failed for reasons of ours."""
    if count > limit * total:
        raise UserError(
            f"{where}: {count} of {total} verdicts failed for reasons of ours (infra_error), more "
            f"than the {limit:.0%} allowed; what was drawn is kept. `ttc-rl doctor` looks for the "
            "cause; resume when it is mended"
        )
