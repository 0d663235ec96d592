# ruff: noqa: T201
"""Program verdicts per second beside a bare subprocess, and reference solutions in full.

    python tests/benchmarks/programs.py speed [ROUNDS]
    python tests/benchmarks/programs.py references DATA     a folder with benchmarks/ and corpus/

Speed: the same completion through each sandbox and through `subprocess.run([python, file])`, taken
in turns in one run; medians. References: every reference solution is accepted, silence and the next
task's solution are not; whatever differs is listed.
"""

from __future__ import annotations

import collections
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ttc_rl.corpus.sources import load_tasks
from ttc_rl.schema import Task
from ttc_rl.verifiers import programs
from ttc_rl.verifiers.sandbox import Sandbox, probe

PROGRAM = "n = int(input())\nprint(sum(i * i for i in range(n)))\n"
FILES = (
    "benchmarks/humaneval.jsonl", "benchmarks/mbpp_test.jsonl", "corpus/mbpp_train.jsonl.gz",
    "corpus/leetcode_train.jsonl.gz", "benchmarks/mbpp_plus.jsonl.gz",
    "benchmarks/humaneval_plus.jsonl.gz",
)  # fmt: skip


def speed(rounds: int = 15) -> None:
    for count in (1, 10):
        ways = {"bare subprocess": bare(count)} | {
            status.name: sandboxed(status.name, count) for status in probe() if status.works
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - started)
        base = statistics.median(times["bare subprocess"])
        for name, seconds in times.items():
            median = statistics.median(seconds)
            print(
                f"{count:3} tests  {name:16} {median * 1000:7.1f} ms a completion "
                f"{1 / median:6.1f} /s  {median / base:5.2f} x"
            )


def bare(count: int) -> Callable[[], None]:
    """One process a test, with the comparison: what a grader without a sandbox does."""
    folder = tempfile.mkdtemp()
    file = Path(folder) / "program.py"
    file.write_text(PROGRAM)

    def way() -> None:
        for n in range(count):
            done = subprocess.run(
                [sys.executable, str(file)],
                input=str(n),
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stdout.split() == [expected(n)]

    return way


def sandboxed(name: str, count: int) -> Callable[[], None]:
    tests = [{"type": "stdin", "input": str(n), "output": expected(n)} for n in range(count)]
    task, sandbox = Task("code", "?", tests=tuple(tests)), Sandbox(name)

    def way() -> None:
        assert programs.verify(task, f"```python\n{PROGRAM}```", sandbox).correct

    return way


def expected(n: int) -> str:
    return str(sum(i * i for i in range(n)))


def references(data: Path) -> None:
    for name in FILES:
        tasks = [task for task in load_tasks(str(data / name)) if task.kind == "code"]
        answers = [f"```python\n{task.meta['reference_solution']}\n```" for task in tasks]
        started = time.perf_counter()
        kinds = {"reference": answers, "silence": [""] * len(tasks)}
        kinds["stranger"] = answers[1:] + answers[:1]
        for kind, texts in kinds.items():
            verdicts = programs.verify_many(tasks, texts)
            counts = collections.Counter((str(v.correct), v.status) for v in verdicts)
            told = ", ".join(f"{c} {s} {n}" for (c, s), n in sorted(counts.items()))
            print(f"{name:36} {kind:10} {len(tasks):5}  {told}", flush=True)
            for task, verdict in zip(tasks, verdicts, strict=True):
                if verdict.correct is not (kind == "reference"):
                    print(f"    {task.source} {task.id}: {verdict.status} {verdict.reason[:160]}")
        print(f"{name:36} {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["references"]:
        references(Path(sys.argv[2]))
    else:
        speed(*map(int, sys.argv[2:3]))
