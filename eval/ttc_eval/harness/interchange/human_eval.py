"""One JSON object a line: `task_id` and `completion`, or EvalPlus's `solution`; our own files too.

Also with .gz, as a JSON list, and EvalPlus's `*_eval_results.json`. `passed` (HumanEval's result
files) and EvalPlus's `base_status` and `plus_status` are taken as the verdict before. Written are
our rows with the source's task id, and `solution`, the program that was read, for tools that run
programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ttc_eval.harness.interchange.foreign import Exported, Foreign, source_id
from ttc_rl.corpus.files import read_files
from ttc_rl.corpus.rows import Row as FileRow
from ttc_rl.run_dir import write_jsonl
from ttc_rl.sampling.samples import numbered_rows
from ttc_rl.schema import UserError

NOT_OURS = (
    "passed", "solution", "base_status", "plus_status", "base_fail_tests", "plus_fail_tests",
)  # fmt: skip


def read(path: Path) -> Iterator[Foreign]:
    for where, row in _rows(path):
        task_id = row.get("task_id")
        if isinstance(task_id, int) and not isinstance(task_id, bool):
            task_id = str(task_id)
        if not isinstance(task_id, str):
            raise UserError(f"{where}: needs 'task_id' with a string, got {task_id!r}")
        sample = row.get("sample")
        if sample is not None and (type(sample) is not int or sample < 0):
            raise UserError(f"{where}: sample {sample!r} is not a number from 0")
        values = {key: value for key, value in row.items() if key not in NOT_OURS}
        values["completion"] = _completion(where, row)
        passed = row.get("passed", _passed(row))
        if isinstance(passed, bool) and "correct" not in row:
            values["correct"] = passed
        yield Foreign(where, values, task_id, str(row.get("prompt") or ""), sample=sample)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.name.endswith((".gz", ".json")):
        yield from numbered_rows(path, ours=False)
        return
    results = evalplus_results(path)
    for row in read_files(str(path)) if results is None else _evalplus(path, results):
        if row.problem or not isinstance(row.value, dict):
            raise UserError(f"{row.where}: {row.problem or 'a row is an object'}")
        yield row.where, row.value


def evalplus_results(path: Path) -> dict[str, list[Any]] | None:
    """Return EvalPlus's results, lists by task under `eval`; None for a file of another kind."""
    if not path.name.endswith(".json"):
        return None
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    results = whole.get("eval") if isinstance(whole, dict) else None
    if not isinstance(results, dict) or not results:
        return None
    return results if all(isinstance(rows, list) for rows in results.values()) else None


def _evalplus(path: Path, results: dict[str, list[Any]]) -> Iterator[FileRow]:
    for task_id, rows in results.items():
        for number, result in enumerate(rows):
            yield FileRow(f"{path}: {task_id}[{number}]", {"task_id": task_id, **result})


def _passed(row: dict[str, Any]) -> bool | None:
    base, plus = row.get("base_status"), row.get("plus_status")
    return None if base is None else base == "pass" and plus in ("pass", None)


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
