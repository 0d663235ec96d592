"""Grade completions that exist already: no model, no GPU.

Reads our own sample files and those of other tools; see eval/interchange.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.benchmarks import Benchmark
from eval.harness import sample_row
from eval.interchange import read_samples
from eval.results import Row, check_gradable, complete_rows, write_result
from ttc_rl.run_dir import write_jsonl
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import verify_many


@dataclass(frozen=True)
class Scored:
    """Where verdicts and numbers were written, the numbers, and what became of old verdicts."""

    samples_path: Path
    result_path: Path
    result: dict[str, Any]
    graded_before: int
    changed: list[tuple[str, int, bool | None, bool | None]]
    """task_id, sample, correct before, correct now."""


def score(
    samples_path: Path,
    benchmark: Benchmark,
    *,
    k: Sequence[int] = (),
    out: Path | None = None,
    fallback: bool = False,
) -> Scored:
    """Grade a sample file anew; `out` is the folder of the two files written, else beside it.

    With `fallback`, maths answers without a box are read otherwise; each reason then says how.

    The number of samples is that of the task with most; a task with fewer is an error.
    """
    check_gradable(benchmark.name, benchmark.tasks)
    cells = read_samples(samples_path, benchmark)
    samples = max(Counter(task_id for task_id, _ in cells).values())
    rows = complete_rows(cells, benchmark.tasks, samples)
    graded = _grade(benchmark.tasks, rows, fallback)
    stem = re.sub(r"(\.(jsonl|json|eval|parquet|samples|inspect))+$", "", samples_path.name)
    target = (out or samples_path.parent) / f"{stem}.rescored.samples.jsonl"
    write_jsonl(target, [row for group in graded for row in group])
    result_path = target.with_name(f"{stem}.rescored.json")
    result = write_result(
        result_path,
        benchmark,
        graded,
        _fitting_k(benchmark, k, samples),
        samples_file=str(samples_path),
        fallback=fallback,
    )
    before = [row for group in rows for row in group]
    after = [row for group in graded for row in group]
    return Scored(
        target,
        result_path,
        result,
        sum("correct" in row for row in before),
        [
            (new["task_id"], new["sample"], old["correct"], new["correct"])
            for old, new in zip(before, after, strict=True)
            if "correct" in old and old["correct"] is not new["correct"]
        ],
    )


_FIELDS = "task_id sample completion answer correct status reason verifier finish_reason tokens"
"""The fields of a row, in their order, where the file that is graded does not have them."""


def _grade(tasks: Sequence[Task], rows: Sequence[Sequence[Row]], fallback: bool) -> list[list[Row]]:
    flat = [
        (task, i, row)
        for task, group in zip(tasks, rows, strict=True)
        for i, row in enumerate(group)
    ]
    verdicts = verify_many(
        [task for task, _, _ in flat], [row["completion"] for *_, row in flat], fallback=fallback
    )
    graded = [
        {**dict.fromkeys(_FIELDS.split()), **row, **sample_row(task, i, row["completion"], verdict)}
        for (task, i, row), verdict in zip(flat, verdicts, strict=True)
    ]
    samples = len(rows[0])
    return [graded[start : start + samples] for start in range(0, len(graded), samples)]


def _fitting_k(benchmark: Benchmark, k: Sequence[int], samples: int) -> list[int]:
    """What was asked, refused above the number of samples; else the defaults that fit."""
    if k and max(k) > samples:
        raise UserError(
            f"pass@{max(k)} needs at least {max(k)} samples per task; there are {samples}"
        )
    return list(k) or [count for count in benchmark.sampling.k or [1] if count <= samples]
