"""From a sample file to numbers: one row a task, then means with intervals.

MODEL.samples.jsonl   one row a sample, written by harness.py or score.py
MODEL.tasks.jsonl     one row a task: prompt, gold, every metric, and the counts behind them
MODEL.json            metrics, rates, and what was asked: records.py

T tasks, n samples a task. Undecided samples are not correct in every metric, and counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ttc_eval.harness.measures import Measured, Row, measure, overall
from ttc_eval.records import Asked, ModelResult, Sampling, Scores, write_record
from ttc_rl.config import SamplingConfig
from ttc_rl.corpus.benchmarks import Benchmark, gradable
from ttc_rl.run_dir import FIX, check_vouched, read_jsonl, write_jsonl
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import BUILT_IN, Graders

DRAW_ANEW = "delete it, and `ttc-rl eval` draws it again"
Cells = dict[tuple[str, int], Row]
"""Rows by (task_id, sample)."""


def resolve_sampling(wishes: SamplingConfig, benchmark: SamplingConfig) -> Sampling:
    """What the recipe asks, else the benchmark's default, else ours.

    A default k above the number of samples is left out; one that was asked is refused.
    """
    values = Sampling().model_dump()
    for config in (benchmark, wishes):
        given = config.model_dump(include=set(Sampling.model_fields), exclude_none=True)
        values.update(given)
    samples = values["samples"]
    if wishes.k is None:
        values["k"] = [k for k in values["k"] if k <= samples]
    elif max(wishes.k) > samples:
        raise UserError(
            f"eval.k: pass@{max(wishes.k)} needs at least {max(wishes.k)} samples per task, "
            f"but samples is {samples}"
        )
    return Sampling(**values)


def check_gradable(name: str, tasks: Sequence[Task]) -> None:
    if not gradable(tasks):
        lacking = sum(task.gold is None and not task.tests for task in tasks)
        raise UserError(
            f"{name}: {lacking} of {len(tasks)} tasks have neither gold nor tests: they cannot be "
            "graded; a prompt without gold can be selected and trained for, not evaluated"
        )


# --------------------------------------------------------------------------- reading


def numbered_rows(path: Path, *, ours: bool = True) -> Iterator[tuple[str, Row]]:
    """`file:line` and the row. In a file of `ours` a last line without its newline was cut by a
    kill, and is left out; others need not end with one.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or (ours and not line.endswith(b"\n")):
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # or not UTF-8
                fix = f"; {FIX}" if ours else ""
                raise UserError(f"{path}:{number}: not JSON: {error}{fix}") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number}: a row is an object, got {type(row).__name__}")
            yield f"{path}:{number}", row


def read_cells(path: Path, tasks: Sequence[Task], samples: int) -> Cells:
    """What a sample file holds so far; raises UserError where it belongs to another evaluation.

    The same row twice, as two evaluations at once have left it, counts once.
    """
    ids, cells = {task.id for task in tasks}, Cells()
    if not path.exists():
        return cells
    for where, row in numbered_rows(path):
        key = row.get("task_id"), row.get("sample")
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
    """n rows for each task, in the order of `tasks`. Missing samples are an error, never fewer."""
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


# --------------------------------------------------------------------------- measuring


def measure_all(
    tasks: Sequence[Task],
    rows: Iterable[Sequence[Row]],
    k: Sequence[int],
    greedy: Sequence[Row] | None = None,
    graders: Graders = BUILT_IN,
) -> list[Measured]:
    """Every task, in the order of `tasks`; of `rows` one group is held at a time."""
    all_measured = [
        measure(task, group, k, graders) for task, group in zip(tasks, rows, strict=True)
    ]
    if greedy is not None:
        for measured, row in zip(all_measured, greedy, strict=True):
            measured.values["greedy"] = float(row["correct"] is True)
    return all_measured


def summarise(
    tasks: Sequence[Task],
    rows: Iterable[Sequence[Row]],
    k: Sequence[int],
    greedy: Sequence[Row] | None = None,
    graders: Graders = BUILT_IN,
) -> Scores:
    """Return the means over tasks with their intervals, and the rates."""
    return overall(measure_all(tasks, rows, k, greedy, graders))


# --------------------------------------------------------------------------- the files of a result


def write_result(
    path: Path,
    benchmark: Benchmark,
    question: Asked,
    rows: Iterable[Sequence[Row]],
    k: Sequence[int],
    greedy: Sequence[Row] | None = None,
    files: Sequence[Path] = (),
    graders: Graders = BUILT_IN,
) -> ModelResult:
    """Write MODEL.json, and MODEL.tasks.jsonl beside it.

    `files` are those of the samples: MODEL.json vouches for them too.
    """
    measured = measure_all(benchmark.tasks, rows, k, greedy, graders)
    return write_measured(path, benchmark, question, measured, files)


def write_measured(
    path: Path,
    benchmark: Benchmark,
    question: Asked,
    measured: Sequence[Measured],
    files: Sequence[Path] = (),
) -> ModelResult:
    """`write_result` of tasks that are measured already."""
    result = ModelResult(
        **vars(question),
        tasks=len(measured),
        samples=measured[0].tally["rows"],
        **vars(overall(measured)),
        published=list(benchmark.published),
    )
    lines = (
        {"task_id": task.id, "prompt": task.prompt, "gold": task.gold}
        | {key: task.meta[key] for key in ("variant_of",) if key in task.meta}
        | task_measured.values
        | task_measured.further
        | task_measured.facts
        for task, task_measured in zip(benchmark.tasks, measured, strict=True)
    )
    write_jsonl(tasks_file(path), lines)
    write_record(path, result, tasks_file(path), *files)
    return result


def tasks_file(result: Path) -> Path:
    """eval/BENCHMARK/MODEL.json -> eval/BENCHMARK/MODEL.tasks.jsonl"""
    return result.with_name(f"{result.name.removesuffix('.json')}.tasks.jsonl")


def read_tasks(result: Path) -> list[Row]:
    """task_id, prompt, gold and every metric, one row a task, in the benchmark's order."""
    path = tasks_file(result)
    if not path.exists():
        raise UserError(f"{path}: missing; `ttc-rl eval` writes it again from the samples")
    check_vouched(result, "delete it, and `ttc-rl eval` writes it again from the samples", path)
    return list(read_jsonl(path, "task_id"))
