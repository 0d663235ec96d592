"""Programs, case by case: the golden file, real records with their reference solutions, batches."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ttc_rl.corpus.sources import load_tasks
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.verifiers import programs, verify
from ttc_rl.verifiers.program_tests import split_assert
from ttc_rl.verifiers.sandbox import VARIABLE, Sandbox, probe

GOLDEN = Path(__file__).parents[1] / "golden" / "programs.jsonl"
CASES = [json.loads(line) for line in GOLDEN.read_text("utf-8").splitlines()]

WORKING = [status.name for status in probe() if status.works]
if not WORKING:
    pytest.skip("no sandbox works on this machine", allow_module_level=True)


def code(*tests: dict[str, Any], prompt: str = "?", **meta: Any) -> Task:
    return Task("code", prompt, tests=tests, meta=meta)


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    tasks = [
        code(*case["tests"], prompt=case.get("prompt", "?"), **case.get("meta", {}))
        for case in CASES
    ]
    texts = [case.get("completion", fenced(case.get("program", ""))) for case in CASES]
    graded = programs.verify_many(tasks, texts)
    return {case["note"]: verdict for case, verdict in zip(CASES, graded, strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["note"])
def test_golden(case: dict[str, Any], verdicts: dict[str, Verdict]):
    verdict = verdicts[case["note"]]
    assert (verdict.correct, verdict.status) == (case["correct"], case.get("status", "ok")), verdict
    assert (verdict.reason == "") == (verdict.correct is True)


def test_the_golden_file_is_large_and_has_no_name_twice():
    assert len({case["note"] for case in CASES}) == len(CASES) >= 200


def test_the_reason_names_the_first_failing_test():
    tests = [{"type": "stdin", "input": str(n), "output": str(n * n)} for n in range(5)]
    verdict = programs.verify(code(*tests), fenced("n = int(input())\nprint(n + n)"))
    assert verdict.reason == "test 2 of 5: expected '1' got '2'"
    verdict = programs.verify(code(*tests, time_limit=0.3), fenced("while True: pass"))
    assert verdict.reason == "test 1 of 5: took more than 0.3 s"


def test_after_a_failure_no_test_runs():
    slow = fenced("import time\nif input() == '1': time.sleep(1.5)\nprint(0)")
    tests = [{"type": "stdin", "input": str(n), "output": str(n)} for n in (5, 1, 1, 1, 1)]
    started = time.monotonic()
    assert programs.verify(code(*tests), slow).correct is False
    assert time.monotonic() - started < 3


def test_many_verdicts_come_in_the_order_of_the_tasks():
    tasks = [code({"type": "stdin", "input": "", "output": str(n % 3)}) for n in range(12)]
    texts = [fenced(f"import time; time.sleep({(12 - n) / 50}); print({n})") for n in range(12)]
    graded = programs.verify_many(tasks, texts)
    assert [verdict.correct for verdict in graded] == [n < 3 for n in range(12)]


@pytest.mark.parametrize(
    ("assertion", "left", "expected"),
    [
        ("assert f(1, [2]) == (3, -4)", "f(1, [2])", (3, -4)),
        ("assert sorted(f({1})) == [1]", "sorted(f({1}))", [1]),
        ("assert f(-1) == {'a': None}", "f(-1)", {"a": None}),
        ("assert f(1) is None", "f(1)", None),
        ("assert f(1)", "f(1)", True),
    ],
)
def test_asserts_taken_apart(assertion: str, left: str, expected: object):
    split = split_assert(assertion)
    assert split is not None
    assert (split.left, split.expected) == (left, expected)


@pytest.mark.parametrize(
    "assertion",
    [
        "assert (f(1) == 7) == True",
        "assert not f(1)",
        "assert f(1) != 2",
        "assert all(a == b for a, b in zip(f(1), [1]))",
        "assert isclose(f(1), 7)",
        "assert math.isclose(f(1), 7)",
        "assert same(f(1), [7])",
        "assert f(1) in [7]",
        "assert 7 == f(1)",
        "assert (lambda x: x)(f(1)) == 7",
        "x = f(1)\nassert x == 7",
        "assert f(1) == g",
        "assert (",
    ],
)
def test_asserts_that_compare_by_themselves_run_beside_the_program(assertion: str):
    assert split_assert(assertion) is None


def test_unsafe_local_says_so_in_every_verdict():
    task = code({"type": "stdin", "input": "", "output": "1"})
    for program, correct in [("print(1)", True), ("print(2)", False)]:
        verdict = programs.verify(task, fenced(program), Sandbox("unsafe-local"))
        assert (verdict.correct, verdict.reason[:12]) == (correct, "unsafe-local")


def test_a_sandbox_that_cannot_start_is_no_verdict(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    task = code({"type": "stdin", "input": "", "output": "1"})
    verdict = programs.verify(task, fenced("print(1)"), Sandbox("bubblewrap"))
    assert (verdict.correct, verdict.status) == (None, "infra_error")
    assert "bwrap is not on PATH" in verdict.reason


def test_an_unknown_sandbox_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "docker")
    task = code({"type": "stdin", "input": "", "output": "1"})
    with pytest.raises(UserError, match="'docker'; there are bubblewrap, landlock, http, unsafe"):
        programs.verify(task, fenced("print(1)"))


# --------------------------------------------------------------------------- real records

SOURCES = {  # file: how many of its records, evenly spread, are tried here
    "benchmarks/humaneval.jsonl": 24,
    "benchmarks/mbpp_test.jsonl": 40,
    "corpus/mbpp_train.jsonl.gz": 30,
    "corpus/leetcode_train.jsonl.gz": 40,
    "benchmarks/mbpp_plus.jsonl.gz": 8,
    "benchmarks/humaneval_plus.jsonl.gz": 6,
}


@pytest.mark.parametrize("name", SOURCES)
def test_reference_solutions_pass_silence_and_strangers_do_not(data: Path, name: str):
    tasks = [
        task
        for task in load_tasks(str(data / name))
        if task.kind == "code" and "known_issue" not in task.meta
    ]
    tasks = tasks[:: len(tasks) // SOURCES[name]]
    answers = [fenced(str(task.meta["reference_solution"])) for task in tasks]
    strangers = answers[1:] + answers[:1]
    grades = programs.verify_many(tasks * 3, answers + [""] * len(tasks) + strangers)
    assert [v.reason for v in grades[: len(tasks)] if not v.correct] == []
    assert {v.status for v in grades[len(tasks) : 2 * len(tasks)]} == {"no_answer"}
    assert [t.id for t, v in zip(tasks, grades[2 * len(tasks) :], strict=True) if v.correct] == []


def test_a_benchmark_may_ask_for_the_prelude_of_its_own_runner():
    """LiveCodeBench's runner imports the usual modules and lets programs recurse deeply."""
    program = (
        "```python\ndef f(n): return n and 1 + f(n - 1)\nprint(Counter('aab')['a'] + f(5000))\n```"
    )
    tests = ({"type": "stdin", "input": "", "output": "5002"},)
    plain = Task("code", "p", tests=tests)
    assert verify(plain, program).correct is False
    assert verify(replace(plain, meta={"prelude": True}), program).correct is True
