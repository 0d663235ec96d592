"""Programs that a model wrote, run against a task's tests in a sandbox.

Correct means that every test passed; an empty list of tests is undecided, never a pass. The tests
run in their order and the first that fails ends it. The time limit of a test is `meta.time_limit`
seconds of processor time (6 by default; check and script tests 30, for they hold many cases), of
memory `meta.memory_mb` (1024 by default) beyond the interpreter.

`meta.time_factor` makes a limit relative: where a program runs out of time, it may take so many
times as long for that test as `meta.reference_solution` does, and never less than the limit above.

`meta.checker` decides about stdin tests in place of the comparison: Python source that defines
`checker(input, expected, actual) -> bool`, or `module:function`. It runs in a sandbox of its own.

Not covered: interactive problems, programs in other languages, several processes.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ttc_rl.schema import Task, UserError, Verdict, whole_text
from ttc_rl.verifiers.kind import Kind
from ttc_rl.verifiers.program_tests import BadTests, Case, cases, differs, job
from ttc_rl.verifiers.program_text import read_program
from ttc_rl.verifiers.program_times import ReferenceFailed, with_reference
from ttc_rl.verifiers.sandbox import Job, Outcome, Result, Sandbox, Trial, default_sandbox

CHECKER = "checker"


def verify(task: Task, completion: str, sandbox: Sandbox | None = None) -> Verdict:
    program = read_program(task, whole_text(completion))
    if program is None:
        return Verdict(False, None, "no program: no block of Python", "no_answer")
    try:
        todo = cases(task)
        checker = _checker(task)
        sandbox = sandbox or default_sandbox()
        verdict = _Grading(task, program, todo, checker, sandbox).verdict()
        if verdict.status == "timeout" and (longer := with_reference(task, todo, sandbox)) != todo:
            verdict = _Grading(task, program, longer, checker, sandbox).verdict()
        return verdict
    except BadTests as error:
        return Verdict(None, program, str(error))
    except ReferenceFailed as error:
        return Verdict(None, program, f"the reference solution: {error}", "infra_error")
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  # one verdict, never the whole batch
        reason = f"the verifier failed: {type(error).__name__}: {str(error)[:300]}"
        return Verdict(None, program, whole_text(reason), "infra_error")


def verify_many(
    tasks: Sequence[Task], completions: Sequence[str], sandbox: Sandbox | None = None
) -> list[Verdict]:
    """Return verdicts in the order of the tasks; at most one sandbox a core runs at a time."""
    if not tasks:
        return []
    sandbox = sandbox or default_sandbox()
    with ThreadPoolExecutor(_cores(), thread_name_prefix="programs") as pool:
        return list(pool.map(verify, tasks, completions, itertools.repeat(sandbox)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Grading:
    """One program on its way through the tests: judged here, as each result comes out."""

    def __init__(
        self, task: Task, program: str, todo: list[Case], checker: str | None, sandbox: Sandbox
    ) -> None:
        self.task, self.program, self.todo = task, program, todo
        self.checker, self.sandbox = checker, sandbox
        self.passed = 0
        self.failure: Verdict | None = None

    def verdict(self) -> Verdict:
        trials = [case.trial for case in self.todo]
        outcome = self.sandbox.run(job(self.task, self.program, trials), self._judge)
        result = self._found(outcome)
        reasons = [] if self.sandbox.confines else [self.sandbox.kind]
        reason = ": ".join(filter(None, [*reasons, result.reason]))
        share = None if result.correct is None else self.passed / len(self.todo)
        return replace(result, reason=reason, share=share)

    def _found(self, outcome: Outcome) -> Verdict:
        if outcome.status == "infra_error":
            return Verdict(None, self.program, f"sandbox: {outcome.reason}", "infra_error")
        for result in outcome.results[self.passed :]:
            self._judge(result)
        if self.failure is not None:
            return self.failure
        if self.passed < len(self.todo):
            return Verdict(None, self.program, "the sandbox stopped early", "infra_error")
        return Verdict(True, self.program)

    def _judge(self, result: Result) -> bool:
        """Return True at the first test that fails: the rest need not run."""
        if self.failure is None and result.index == self.passed:
            self.failure = self._failure(result)
            self.passed += self.failure is None
        return self.failure is not None

    def _failure(self, result: Result) -> Verdict | None:
        case = self.todo[result.index]
        where = f"test {result.index + 1} of {len(self.todo)}: "
        if result.status == "infra_error":
            return Verdict(None, self.program, where + result.message, "infra_error")
        if result.status != "ok":
            reason = where + _ended(result, case)
            return Verdict(False, self.program, reason, result.status)
        if case.trial.kind == "script" and result.passed is None:
            return Verdict(None, self.program, where + result.message)
        if case.trial.kind == "stdin" and self.checker is not None:
            return self._ask_checker(result, where)
        wrong = case.judge(result)
        return None if wrong is None else Verdict(False, self.program, where + wrong)

    def _ask_checker(self, result: Result, where: str) -> Verdict | None:
        test = self.task.tests[result.index]
        actual = result.output.decode("utf-8", "replace")
        arguments = [str(test["input"]), str(test["output"]), actual]
        trial = Trial("value", self.checker_name, arguments)
        outcome = self.sandbox.run(Job(self.checker or "", [trial]))
        if outcome.status == "infra_error":
            return Verdict(None, self.program, f"sandbox: {outcome.reason}", "infra_error")
        (answer,) = outcome.results
        if answer.status != "ok" or answer.raised:
            failure = answer.raised or answer.message or answer.status
            return Verdict(None, self.program, f"{where}the checker failed: {failure}")
        if answer.value:
            return None
        reason = f"{where}the checker says no: {differs(arguments[1], actual)}"
        return Verdict(False, self.program, reason)

    @property
    def checker_name(self) -> str:
        named = str(self.task.meta[CHECKER])
        return named.rpartition(":")[2] if "\n" not in named and ":" in named else CHECKER


def _ended(result: Result, case: Case) -> str:
    if result.status == "timeout":
        return f"took more than {case.trial.seconds:g} s"
    how = {"oom": "ran out of memory", "crash": "crashed"}.get(result.status, result.status)
    return f"{how}: {result.message}" if result.message else how


def _checker(task: Task) -> str | None:
    """Return a checker's source: a sandbox sees none of our modules, and none of them is imported
    for it."""
    named = task.meta.get(CHECKER)
    if not named:
        return None
    named = str(named)
    if "\n" in named or f"def {CHECKER}" in named:
        return named
    module = named.partition(":")[0]
    spec = importlib.util.find_spec(module) if ":" in named and "." not in module else None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise BadTests(f"meta.checker {named!r} is neither Python source nor module:function")
    return Path(spec.origin).read_text("utf-8")


KIND = Kind(
    "code",
    verify=verify,
    verify_many=verify_many,
    template="{prompt}\n\nWork out an approach first. Then give the complete program, once, in one "
    "fenced block that begins with ```python.",
    tested=True,
    retention="math500@100",
)
