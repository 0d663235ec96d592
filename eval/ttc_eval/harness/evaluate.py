"""One model on one benchmark: what it owes, and the files that it leaves in the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ttc_eval.harness.results import DRAW_ANEW, write_result
from ttc_eval.records import Asked, ModelResult, Sampling, read_result
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.run_dir import RunDir, check_vouched, sha256
from ttc_rl.sampling.drawing import Drawing, Progress, draw
from ttc_rl.sampling.samples import complete_rows, read_cells
from ttc_rl.schema import Completer, UserError
from ttc_rl.verifiers import BUILT_IN, Graders


def greedy_path(run: RunDir, benchmark: str, model: str) -> Path:
    return run.samples(benchmark, f"{model}.greedy")


def drawings(
    run: RunDir,
    benchmark: Benchmark,
    model: str,
    samples: int,
    *,
    greedy: bool = False,
    seed: int = 0,
    weights: str | None = None,
    graders: Graders = BUILT_IN,
) -> list[Drawing]:
    """Return the drawings of one model on one benchmark: its samples and, if asked for, a greedy
    completion each."""
    path = run.samples(benchmark.name, model)
    all_drawings = [Drawing(benchmark.name, benchmark.tasks, samples, path, seed, weights, graders)]
    if greedy:
        path = greedy_path(run, benchmark.name, model)
        all_drawings.append(
            Drawing(benchmark.name, benchmark.tasks, 1, path, seed, weights, graders)
        )
    return all_drawings


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
    weights: str | None = None,
    progress: Progress | None = None,
    engine: str | None = None,
    prompts: dict[str, Any] | None = None,
    versions: dict[str, Any] | None = None,
    graders: Graders = BUILT_IN,
) -> ModelResult:
    """Write everything one model leaves on one benchmark; return what MODEL.json holds.

    A completer may be None where nothing is lacking: then the numbers are made anew from the sample
    files. `greedy` is one at temperature 0. MODEL.json keeps `engine`, `prompts` and `versions`.
    """
    result = run.result(benchmark.name, model)
    _same_question(result, sampling, seed)
    tasks, samples = benchmark.tasks, sampling.samples
    all_drawings = drawings(
        run,
        benchmark,
        model,
        samples,
        greedy=greedy is not None,
        seed=seed,
        weights=weights,
        graders=graders,
    )
    _same_samples(result, all_drawings)
    for drawing, drawn_by in zip(all_drawings, (completer, greedy), strict=False):
        if drawn_by is not None:
            draw(drawn_by, drawing, batch=batch, progress=progress)
    path, once_path = run.samples(benchmark.name, model), greedy_path(run, benchmark.name, model)
    rows = complete_rows(read_cells(path, tasks, samples), tasks, samples)
    greedy_rows = None
    if once_path.exists():
        greedy_rows = [g[0] for g in complete_rows(read_cells(once_path, tasks, 1), tasks, 1)]
    files = [path, *([once_path] if once_path.exists() else [])]
    question = Asked(
        benchmark=benchmark.name,
        tasks_hash=benchmark.tasks_hash,
        model=model,
        seed=seed,
        sampling=sampling,
        weights=weights,
        samples_sha256=sha256(path),
        engine=engine,
        prompts=prompts,
        versions=versions,
    )
    return write_result(result, benchmark, question, rows, sampling.k, greedy_rows, files, graders)


def _same_samples(result: Path, all_drawings: Sequence[Drawing]) -> None:
    """Raise UserError where samples that were counted hold something else now.

    What was cut is drawn again. Verdicts that failed for reasons of ours are given anew, and a kill
    may come before they are counted.
    """
    if not result.exists() or read_result(result).rates.infra_error:
        return
    whole = (drawing.path for drawing in all_drawings if not drawing.lacking)
    check_vouched(result, f"{DRAW_ANEW}; without {result} it is counted as it stands", *whole)


def _same_question(result: Path, sampling: Sampling, seed: int) -> None:
    """Refuse to go on with a finished result under other sampling; another k only counts anew."""
    if not result.exists():
        return
    old = read_result(result)
    first = {} if old.sampling is None else old.sampling.model_dump(exclude={"k"})
    for key, now in (sampling.model_dump(exclude={"k"}) | {"seed": seed}).items():
        before = (first | {"seed": old.seed}).get(key)
        if before != now:
            raise UserError(
                f"{result}: was evaluated with {key} {before}, now {now} is asked; delete "
                f"{result.with_suffix('')}.* to evaluate anew"
            )
