"""Grade completions that exist already: no model, no GPU.

Reads our own sample files, and any file of `{"task_id", "completion"}` rows, HumanEval's format,
where `task_id` is a task's content hash or the id that its source gave it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.benchmarks import Benchmark
from eval.harness import sample_row
from eval.results import Cells, Row, check_gradable, complete_rows, numbered_rows, write_result
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
    cells = read_foreign(samples_path, benchmark.tasks)
    samples = max(Counter(task_id for task_id, _ in cells).values())
    rows = complete_rows(cells, benchmark.tasks, samples)
    graded = _grade(benchmark.tasks, rows, fallback)
    stem = samples_path.name.removesuffix(".jsonl").removesuffix(".samples")
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


def read_foreign(path: Path, tasks: Sequence[Task]) -> Cells:
    """Rows by (our task id, sample); a row without `sample` takes the next number of its task."""
    if not path.exists():
        raise UserError(f"{path}: no such file")
    ids, cells, seen = _ids(tasks), Cells(), Counter[str]()
    for where, row in numbered_rows(path):
        for field in ("task_id", "completion"):
            if not isinstance(row.get(field), str):
                raise UserError(f"{where}: needs {field!r} with a string, got {row.get(field)!r}")
        if row["task_id"] not in ids:
            raise UserError(f"{where}: task {row['task_id']!r} is not in this benchmark")
        task_id = ids[row["task_id"]]
        sample = row.get("sample", seen[task_id])
        if not isinstance(sample, int) or sample < 0:
            raise UserError(f"{where}: sample {sample!r} is not a number from 0")
        if (task_id, sample) in cells:
            raise UserError(f"{where}: task {row['task_id']} sample {sample} stands here twice")
        seen[task_id] += 1
        cells[task_id, sample] = row
    if not cells:
        raise UserError(f"{path}: holds no completions")
    return cells


def _ids(tasks: Sequence[Task]) -> Mapping[str, str]:
    """Every name of a task -> its content hash."""
    own = {str(task.meta["id"]): task.id for task in tasks if "id" in task.meta}
    return own | {task.id: task.id for task in tasks}


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
