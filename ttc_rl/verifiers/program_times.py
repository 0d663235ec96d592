"""Time limits relative to the task's own reference solution, as EvalPlus has them.

A test's limit is `max(limit, factor * seconds)`, where `seconds` is the processor time that
`meta.reference_solution` takes for that test and `factor` is `meta.time_factor`. The formula and
the factor of 4 are those of docs/execution.md in https://github.com/evalplus/evalplus, which times
single inputs by the clock with a floor of 1 s.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from ttc_rl.schema import Task
from ttc_rl.verifiers.program_tests import BadTests, Case, job
from ttc_rl.verifiers.sandbox import Sandbox

REFERENCE_SECONDS = 300.0
"""Of processor time for one test. A reference that needs more leaves the limit as it is."""
_known: dict[tuple[str, str], list[float]] = {}
_lock = threading.Lock()


class ReferenceFailed(Exception):
    """The sandbox could not say how long the reference takes."""


def with_reference(task: Task, todo: Sequence[Case], sandbox: Sandbox) -> list[Case]:
    """Return the cases, with longer limits where the reference is slow."""
    factor, reference = task.meta.get("time_factor"), task.meta.get("reference_solution")
    if factor is None or not reference:
        return list(todo)
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not factor > 0:
        raise BadTests(f"meta.time_factor is a number above 0, got {factor!r}")
    seconds = _seconds(task, str(reference), todo, sandbox)
    seconds += [0.0] * (len(todo) - len(seconds))
    return [_longer(case, factor * own) for case, own in zip(todo, seconds, strict=True)]


def _longer(case: Case, seconds: float) -> Case:
    limit = max(case.trial.seconds or 0.0, seconds)
    return replace(case, trial=replace(case.trial, seconds=limit))


def _seconds(task: Task, reference: str, todo: Sequence[Case], sandbox: Sandbox) -> list[float]:
    """Return the processor time of each test that the reference ends by itself, up to the first
    that it does not.

    It runs once in this process: programs that run out of time together wait for one measurement.
    """
    key = (task.id, reference)
    with _lock:
        if key not in _known:
            trials = [replace(case.trial, seconds=REFERENCE_SECONDS) for case in todo]
            outcome = sandbox.run(job(task, reference, trials))
            failed = [r.message for r in outcome.results if r.status == "infra_error"]
            if outcome.status == "infra_error" or failed:
                raise ReferenceFailed(outcome.reason or failed[0])
            _known[key] = [result.cpu for result in outcome.results if result.status == "ok"]
        return list(_known[key])
