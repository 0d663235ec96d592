"""From a sample file to numbers: one row a task, then means with intervals.

MODEL.samples.jsonl   one row a sample, written by harness.py or score.py
MODEL.tasks.jsonl     one row a task: prompt, gold, every metric, and the counts behind them
MODEL.json            metrics, rates, and what was asked: records.py

T tasks, n samples a task. Undecided samples are not correct in every metric, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ttc_eval.harness.measures import Measured, measure, overall
from ttc_eval.records import Asked, ModelResult, Sampling, Scores, write_record
from ttc_rl.config import SamplingConfig
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.run_dir import check_vouched, read_jsonl, write_jsonl
from ttc_rl.sampling.samples import Row
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import BUILT_IN, Graders

DRAW_ANEW = "delete it, and `ttc-rl eval` draws it again"


def resolve_sampling(wishes: SamplingConfig, benchmark: SamplingConfig) -> Sampling:
    """Return the sampling that the recipe asks for, else the benchmark's default, else ours.

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


# --------------------------------------------------------------------------- measuring


def measure_all(
    tasks: Sequence[Task],
    rows: Iterable[Sequence[Row]],
    k: Sequence[int],
    greedy: Sequence[Row] | None = None,
    graders: Graders = BUILT_IN,
) -> list[Measured]:
    """Measure every task, in the order of `tasks`; of `rows` one group is held at a time."""
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
    """Write a result as `write_result` does, of tasks that are measured already."""
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
    """Return the path of a result's tasks: eval/BENCHMARK/MODEL.tasks.jsonl."""
    return result.with_name(f"{result.name.removesuffix('.json')}.tasks.jsonl")


def read_tasks(result: Path) -> list[Row]:
    """Read task_id, prompt, gold and every metric, one row a task, in the benchmark's order."""
    path = tasks_file(result)
    if not path.exists():
        raise UserError(f"{path}: missing; `ttc-rl eval` writes it again from the samples")
    check_vouched(result, "delete it, and `ttc-rl eval` writes it again from the samples", path)
    return list(read_jsonl(path, "task_id"))
