"""Limits relative to the reference: a slow one lengthens them, and is run once."""

from typing import Any

import pytest

from ttc_rl.schema import Task
from ttc_rl.verifiers import program_times, programs
from ttc_rl.verifiers.sandbox import Job, Outcome, Sandbox, default_sandbox
from ttc_rl.verifiers.sandbox.records import Stop

BUSY = """
import time
def f(seconds):
    while time.process_time() < seconds: pass
    return seconds
"""
SLOW = {"type": "assert", "code": "assert f(0.6) == 0.6"}
FAST = {"type": "assert", "code": "assert f(0) == 0"}
TWICE = BUSY.replace("< seconds", "< 2 * seconds")
ENDLESS = "def f(seconds):\n    while seconds: pass\n    return seconds"


class Counted(Sandbox):
    """Counts the runs of `BUSY`, the reference."""

    runs = 0

    def run(self, job: Job, stop: Stop = lambda result: False) -> Outcome:
        Counted.runs += job.program == BUSY
        return super().run(job, stop)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr(program_times, "_known", {})
    monkeypatch.setattr(Counted, "runs", 0)
    return Counted(default_sandbox().kind)


def task(**meta: Any) -> Task:
    known = {"time_limit": 0.4, "reference_solution": BUSY, "entry_point": "f", **meta}
    return Task("code", "Wait.", tests=(FAST, SLOW, FAST), meta=known)


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


def test_a_slow_reference_passes_its_own_tests_only_with_a_factor(sandbox: Sandbox):
    without = programs.verify(task(), fenced(BUSY), sandbox)
    assert (without.correct, without.status) == (False, "timeout")
    assert programs.verify(task(time_factor=4), fenced(BUSY), sandbox).correct is True


def test_a_right_program_may_take_so_many_times_as_long(sandbox: Sandbox):
    assert programs.verify(task(time_factor=4), fenced(TWICE), sandbox).correct is True
    late = programs.verify(task(time_factor=1.2), fenced(TWICE), sandbox)
    assert (late.correct, late.status) == (False, "timeout")
    assert "test 2 of 3: took more than 0.7" in late.reason


def test_the_reference_runs_once_and_only_when_a_program_runs_out_of_time(sandbox: Sandbox):
    wanted = task(time_factor=2)
    fast = fenced("def f(seconds): return seconds")
    assert programs.verify(wanted, fast, sandbox).correct is True
    assert Counted.runs == 0
    verdicts = programs.verify_many([wanted] * 3, [fenced(ENDLESS)] * 3, sandbox)
    assert [verdict.status for verdict in verdicts] == ["timeout"] * 3
    assert Counted.runs == 1


def test_a_fast_reference_shortens_no_limit(sandbox: Sandbox):
    quick = task(time_factor=4, reference_solution="def f(seconds): return seconds", time_limit=1)
    assert programs.verify(quick, fenced(BUSY), sandbox).correct is True
    assert "took more than 1 s" in programs.verify(quick, fenced(ENDLESS), sandbox).reason


def test_a_reference_that_never_ends_leaves_the_limit(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(program_times, "REFERENCE_SECONDS", 0.5)
    endless = task(time_factor=4, reference_solution=ENDLESS)
    assert "more than 0.4 s" in programs.verify(endless, fenced(ENDLESS), sandbox).reason


def test_a_reference_that_could_not_be_measured_decides_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    def no_reference(job: Job, stop: Stop = lambda result: False) -> Outcome:
        if job.program == BUSY:
            return Outcome((), "none", "infra_error", "no memory left")
        return Sandbox.run(sandbox, job, stop)

    monkeypatch.setattr(Counted, "run", staticmethod(no_reference))
    verdict = programs.verify(task(time_factor=4), fenced(TWICE), sandbox)
    assert (verdict.correct, verdict.status) == (None, "infra_error")
    assert verdict.reason == "the reference solution: no memory left"


@pytest.mark.parametrize("factor", ["four", -1, 0, True])
def test_a_factor_that_is_none_is_named(sandbox: Sandbox, factor: Any):
    verdict = programs.verify(task(time_factor=factor), fenced(BUSY), sandbox)
    assert verdict.correct is None
    assert verdict.reason == f"meta.time_factor is a number above 0, got {factor!r}"
