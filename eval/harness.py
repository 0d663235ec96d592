"""Draw completions for a benchmark, grade them, and write every one down.

A sample file only ever grows: killed at any moment, the next call draws the chunks that lack rows
again, with the same seeds, and appends the rows that are missing.

Not covered: a file drawn half with one batch size and half with another holds other draws than
one that was not interrupted, as good as those but not the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eval.benchmarks import Benchmark
from eval.results import (
    Cells,
    Row,
    Sampling,
    check_gradable,
    complete_rows,
    read_cells,
    write_result,
)
from ttc_rl.run_dir import RunDir, append_jsonl, drop_cut_line, read_json, write_jsonl
from ttc_rl.schema import Completer, Completion, Task, UserError, Verdict, content_hash
from ttc_rl.verifiers import check_infra_errors, verify_many

MAX_INFRA_ERRORS = 0.05
"""An evaluation stops when more than this share of its verdicts failed for reasons of ours."""
Progress = Callable[[int, int], None]
"""Called with (samples done, samples in all) after every chunk."""


def evaluate(
    completer: Completer,
    name: str,
    tasks: Sequence[Task],
    sampling: Sampling,
    samples_path: Path,
    *,
    batch: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Fill `samples_path` until it holds `sampling.samples` graded completions of every task.

    About `batch` completions are asked of the completer at once. The seed of chunk i comes from
    (seed, name, i), so a run that was killed draws what it would have drawn.
    """
    check_gradable(name, tasks)
    drop_cut_line(samples_path)
    cells = grade_again(samples_path, tasks, sampling.samples)
    done, failed = set(cells), sum(_is_infra_error(row) for row in cells.values())
    expected = len(tasks) * sampling.samples
    check_infra_errors(failed, expected, MAX_INFRA_ERRORS, name)
    step = -(-batch // sampling.samples)
    for index, start in enumerate(range(0, len(tasks), step)):
        chunk = tasks[start : start + step]
        wanted = {(task.id, sample) for task in chunk for sample in range(sampling.samples)}
        if wanted - done:
            groups = completer(chunk, sampling.samples, seed=chunk_seed(seed, name, index))
            rows = graded_rows(chunk, groups, sampling.samples)
            missing = [row for row in rows if (row["task_id"], row["sample"]) not in done]
            append_jsonl(samples_path, missing)
            done |= wanted
            failed += sum(map(_is_infra_error, missing))
            check_infra_errors(failed, expected, MAX_INFRA_ERRORS, name)
        if progress is not None:
            progress(min(start + step, len(tasks)) * sampling.samples, expected)


def grade_again(path: Path, tasks: Sequence[Task], samples: int) -> Cells:
    """What a sample file holds; verdicts that failed for reasons of ours are given anew."""
    cells = read_cells(path, tasks, samples)
    failed = [key for key, row in cells.items() if _is_infra_error(row)]
    if failed:
        by_id = {task.id: task for task in tasks}
        texts = [cells[key]["completion"] for key in failed]
        verdicts = verify_many([by_id[task_id] for task_id, _ in failed], texts)
        for key, text, verdict in zip(failed, texts, verdicts, strict=True):
            cells[key] = cells[key] | sample_row(by_id[key[0]], key[1], text, verdict)
        write_jsonl(path, cells.values())
    return cells


def _is_infra_error(row: Row) -> bool:
    return row.get("status") == "infra_error"


def chunk_seed(seed: int, name: str, index: int) -> int:
    return int(content_hash([seed, name, index], length=8), 16) % 2**31


def graded_rows(
    tasks: Sequence[Task], groups: Sequence[Sequence[Completion]], samples: int
) -> list[Row]:
    """The rows of a chunk, task by task and sample by sample."""
    if [len(group) for group in groups] != [samples] * len(tasks):
        raise ValueError(f"the completer owes {samples} completions for each of {len(tasks)} tasks")
    flat = [
        (task, i, c) for task, group in zip(tasks, groups, strict=True) for i, c in enumerate(group)
    ]
    verdicts = verify_many([task for task, _, _ in flat], [c.text for _, _, c in flat])
    return [
        sample_row(task, i, c.text, verdict)
        | {"finish_reason": c.finish_reason, "tokens": c.tokens}
        for (task, i, c), verdict in zip(flat, verdicts, strict=True)
    ]


def sample_row(task: Task, sample: int, completion: str, verdict: Verdict) -> Row:
    return {
        "task_id": task.id,
        "sample": sample,
        "completion": completion,
        "answer": verdict.answer,
        "correct": verdict.correct,
        "status": verdict.status,
        "reason": verdict.reason,
    }


# --------------------------------------------------------------------------- in a run folder


def greedy_path(run: RunDir, benchmark: str, model: str) -> Path:
    return run.samples(benchmark, f"{model}.greedy")


def missing_samples(
    run: RunDir, benchmark: Benchmark, model: str, sampling: Sampling, *, greedy: bool = False
) -> int:
    """How many completions are still to be drawn; with 0 there is no need to load a model."""
    path = run.samples(benchmark.name, model)
    have = len(read_cells(path, benchmark.tasks, sampling.samples))
    lacking = len(benchmark.tasks) * sampling.samples - have
    if greedy:
        path = greedy_path(run, benchmark.name, model)
        lacking += len(benchmark.tasks) - len(read_cells(path, benchmark.tasks, 1))
    return lacking


def evaluate_model(
    completer: Completer | None,
    benchmark: Benchmark,
    sampling: Sampling,
    run: RunDir,
    model: str,
    *,
    greedy: Completer | None = None,
    batch: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Everything one model leaves on one benchmark; returns what MODEL.json holds.

    A completer may be None where `missing_samples` says 0: then the numbers are made anew from the
    sample files. `greedy` is one at temperature 0.
    """
    asked = {"model": model, "seed": seed, "sampling": sampling.model_dump()}
    _same_question(run.result(benchmark.name, model), asked)
    tasks, path = benchmark.tasks, run.samples(benchmark.name, model)
    once, once_path = (
        sampling.model_copy(update={"samples": 1}),
        greedy_path(run, benchmark.name, model),
    )
    if completer is not None:
        evaluate(
            completer,
            benchmark.name,
            tasks,
            sampling,
            path,
            batch=batch,
            seed=seed,
            progress=progress,
        )
    if greedy is not None:
        evaluate(greedy, benchmark.name, tasks, once, once_path, batch=batch, seed=seed)
    rows = complete_rows(read_cells(path, tasks, sampling.samples), tasks, sampling.samples)
    greedy_rows = None
    if once_path.exists():
        greedy_rows = [g[0] for g in complete_rows(read_cells(once_path, tasks, 1), tasks, 1)]
    result = run.result(benchmark.name, model)
    return write_result(result, benchmark, rows, sampling.k, greedy_rows, **asked)


def _same_question(result: Path, asked: dict[str, Any]) -> None:
    """A finished result is not gone on with under other sampling; another k only counts anew."""
    if not result.exists():
        return
    old, new = read_json(result), asked
    pairs = {
        key: (old["sampling"][key], new["sampling"][key]) for key in new["sampling"] if key != "k"
    }
    for key, (before, now) in (pairs | {"seed": (old["seed"], new["seed"])}).items():
        if before != now:
            raise UserError(
                f"{result}: was evaluated with {key} {before}, now {now} is asked; delete "
                f"{result.with_suffix('')}.* to evaluate anew"
            )
