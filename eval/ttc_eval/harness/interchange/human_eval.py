"""One JSON object a line: `task_id` and `completion`, or EvalPlus's `solution`; our own files too.

`passed` (HumanEval's result files) is taken as the verdict before. Written are our rows with the
source's task id, and `solution`, the program that was read, for tools that run programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ttc_eval.harness.interchange.foreign import Exported, Foreign, source_id
from ttc_rl.run_dir import write_jsonl
from ttc_rl.sampling.samples import numbered_rows
from ttc_rl.schema import UserError


def read(path: Path) -> Iterator[Foreign]:
    for where, row in numbered_rows(path, ours=False):
        task_id = row.get("task_id")
        if isinstance(task_id, int) and not isinstance(task_id, bool):
            task_id = str(task_id)
        if not isinstance(task_id, str):
            raise UserError(f"{where}: needs 'task_id' with a string, got {task_id!r}")
        sample = row.get("sample")
        if sample is not None and (type(sample) is not int or sample < 0):
            raise UserError(f"{where}: sample {sample!r} is not a number from 0")
        values = {key: value for key, value in row.items() if key not in ("passed", "solution")}
        values["completion"] = _completion(where, row)
        if isinstance(row.get("passed"), bool) and "correct" not in row:
            values["correct"] = row["passed"]
        yield Foreign(where, values, task_id, str(row.get("prompt") or ""), sample=sample)


def _completion(where: str, row: dict[str, Any]) -> str:
    completion, solution = row.get("completion"), row.get("solution")
    if isinstance(completion, str):
        return completion
    if completion is None and isinstance(solution, str):
        return f"```python\n{solution}\n```"  # a whole program, prompt included
    raise UserError(f"{where}: needs 'completion' with a string, got {completion!r}")


def write(exported: Exported, path: Path) -> None:
    write_jsonl(
        path,
        (
            {**row, "task_id": source_id(task)}
            | ({"solution": row["answer"]} if task.kind == "code" and row.get("answer") else {})
            for task, group in zip(exported.benchmark.tasks, exported.rows, strict=True)
            for row in group
        ),
    )
