"""The file of a drawing, MODEL.samples.jsonl: one row a completion, in the order they came.

    task_id  sample                    which completion: sample i of a task
    completion  finish_reason  tokens  prompt_tokens  confidence  seed
    correct  answer  status  reason  share  verifier        only where it was graded
    model                              fingerprint of what drew it

n samples a task.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ttc_rl.run_dir import FIX
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.verifiers import Graders

Row = dict[str, Any]
Cells = dict[tuple[str, int], Row]
"""Rows by (task_id, sample)."""


def numbered_rows(path: Path, *, ours: bool = True) -> Iterator[tuple[str, Row]]:
    """Yield `file:line` and the row. In a file of `ours`, a last line without its newline was cut
    by a kill, and is left out; other files need not end with one."""
    for number, _, row in _placed_rows(path, ours=ours):
        yield f"{path}:{number}", row


def _placed_rows(path: Path, *, ours: bool) -> Iterator[tuple[int, int, Row]]:
    """Yield the number of a line, the byte at which it begins, and its row."""
    begin = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            begin += len(line)
            if not line.strip() or (ours and not line.endswith(b"\n")):
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # or not UTF-8
                fix = f"; {FIX}" if ours else ""
                raise UserError(f"{path}:{number}: not JSON: {error}{fix}") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number}: a row is an object, got {type(row).__name__}")
            yield number, begin - len(line), row


class RowsByTask:
    """The rows of a sample file of ours, task by task: it holds where they begin, not the rows.

    A file that is not there has none.
    """

    def __init__(self, path: Path):
        self.path = path
        self._places: dict[str, dict[int, int]] = {}
        """Task id -> sample -> byte at which its row begins."""
        for _, begin, row in _placed_rows(path, ours=True) if path.exists() else ():
            self._places.setdefault(row["task_id"], {}).setdefault(row["sample"], begin)

    def __len__(self) -> int:
        """Return how many completions there are."""
        return sum(map(len, self._places.values()))

    def rows(self, task_id: str) -> Iterator[Row]:
        """Yield the rows of one task, by the number of the sample."""
        if task_id not in self._places:
            return
        with self.path.open("rb") as file:
            for _, begin in sorted(self._places[task_id].items()):
                file.seek(begin)
                yield json.loads(file.readline())


def read_cells(path: Path, tasks: Sequence[Task], samples: int, *, common: bool = False) -> Cells:
    """Return what a sample file holds of these tasks so far.

    Raises UserError where it holds more, as the file of another evaluation does, unless it is
    `common` to several drawings. The same row twice, as two evaluations at once have left it,
    counts once.
    """
    ids, cells = {task.id for task in tasks}, Cells()
    if not path.exists():
        return cells
    for where, row in numbered_rows(path):
        key = row.get("task_id"), row.get("sample")
        if common and (key[0] not in ids or key[1] not in range(samples)):
            continue
        if key[0] not in ids:
            raise UserError(f"{where}: task {key[0]} is not in this benchmark; {_start_anew(path)}")
        if not isinstance(key[1], int) or not 0 <= key[1] < samples:
            raise UserError(
                f"{where}: sample {key[1]}, but {samples} samples per task were asked; "
                f"{_start_anew(path)}"
            )
        if cells.setdefault((key[0], key[1]), row) != row:
            raise UserError(
                f"{where}: task {key[0]} sample {key[1]} stands here twice, with different rows; "
                "remove one of them"
            )
    return cells


def _start_anew(path: Path) -> str:
    return f"delete {path} to draw anew, or ask for what it was drawn with"


def complete_rows(
    cells: Mapping[tuple[str, int], Row], tasks: Sequence[Task], samples: int
) -> list[list[Row]]:
    """Return n rows for each task, in the order of `tasks`. Missing samples are an error, never
    fewer."""
    check_complete(cells, tasks, samples)
    return [[cells[task.id, sample] for sample in range(samples)] for task in tasks]


def check_complete(cells: Collection[tuple[str, int]], tasks: Sequence[Task], samples: int) -> None:
    lacking = Counter(
        sum((task.id, sample) not in cells for sample in range(samples)) for task in tasks
    )
    short = {count: num for count, num in sorted(lacking.items()) if count}
    if short:
        listed = ", ".join(f"{num} tasks lack {count}" for count, num in short.items())
        raise UserError(
            f"{sum(short.values())} of {len(tasks)} tasks have fewer than {samples} samples "
            f"({listed}); evaluate again to draw what is missing"
        )


def verdict_row(task: Task, verdict: Verdict, graders: Graders) -> Row:
    """Return what a row says of its verdict."""
    row = {
        "answer": verdict.answer,
        "correct": verdict.correct,
        "status": verdict.status,
        "reason": verdict.reason,
        "verifier": graders.version(task.kind),
    }
    return row if verdict.share is None else row | {"share": verdict.share}
