"""The evaluation stage: which models draw what, in this process or shared by several.

Alone, a process draws everything and appends it to the sample files. Shared, the units of each
drawing lie in a queue in the run folder; engines on this machine, one process each, and whoever
else was started with `--join` take from it until nothing is left.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ttc_eval.harness.evaluate import drawings, evaluate_model
from ttc_eval.harness.results import resolve_sampling
from ttc_eval.harness.variants import eval_benchmarks
from ttc_eval.records import Sampling
from ttc_rl.config import Recipe
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.metrics import Estimate
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.drawing import Drawing, drop_repeats, gather, share
from ttc_rl.sampling.work_queue import Queue
from ttc_rl.schema import UserError
from ttc_rl.stages.checks import check_run
from ttc_rl.stages.job import Job
from ttc_rl.stages.pace import Pace
from ttc_rl.stages.policies import BASE, Models
from ttc_rl.stages.same_tasks import check_evaluated, check_targets
from ttc_rl.stages.shared_base import take_evaluated
from ttc_rl.system.tether import environment
from ttc_rl.system.versions import versions

logger = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between two looks at a queue whose last units others are working on."""
GREEDY = 0.0
Results = dict[str, dict[str, Estimate]]
"""Benchmark -> metric -> its mean over tasks."""


@dataclass(frozen=True)
class Evaluation:
    """One model on one benchmark."""

    model: str
    benchmark: Benchmark
    sampling: Sampling
    owed: Sequence[Drawing]
    """Its samples and, if asked, a greedy completion for each task."""

    @property
    def decodings(self) -> tuple[Decoding, Decoding]:
        drawn = self.sampling
        return (
            Decoding(drawn.max_tokens, drawn.temperature, drawn.top_p),
            Decoding(drawn.max_tokens, GREEDY),
        )


# --------------------------------------------------------------------------- the stage


def evaluate(job: Job, *, join: bool = False) -> dict[str, Results]:
    """Evaluate every model on the target and on the recipe's other benchmarks. Return model ->
    benchmark -> metrics.

    With `join`, the work is shared with other processes on the same run folder, on any machine.
    """
    engine, models = job.recipe.engine, Models(job)
    if join and engine.backend == "endpoint":
        raise UserError(
            "--join: an endpoint is asked by one process; raise its concurrency instead"
        )
    planned = list(evaluations(job, models))
    if _lacking(planned):
        check_run(job.recipe, job.run, ["eval"])
    if engine.processes > 1:
        _with_engines(job, planned)
    elif join:
        work(job, planned, models)
    if join or engine.processes > 1:
        for drawing in _lacking(planned):
            gather(drawing, _queue(job, drawing))
        _clear(planned, keep=join)
    return {
        name: _results(job, models, [e for e in planned if e.model == name])
        for name in models.policies
    }


def metric_names(recipe: Recipe) -> dict[str, list[str]]:
    """Return the metrics shown first, by benchmark: the mean, and pass@k and maj@k of the largest
    k."""
    names: dict[str, list[str]] = {}
    for benchmark in eval_benchmarks(recipe):
        sampling = resolve_sampling(recipe.eval, benchmark.sampling)
        most = max(sampling.k, default=1)
        more = [f"pass@{most}", f"maj@{most}"] if most > 1 else []
        names[benchmark.name] = [f"avg@{sampling.samples}", *more]
    return names


def evaluations(job: Job, models: Models) -> Iterator[Evaluation]:
    recipe = job.recipe
    benchmarks = eval_benchmarks(recipe)
    check_targets(job, benchmarks)
    check_evaluated(job.run, benchmarks)
    for benchmark in benchmarks:
        for problem in benchmark.problems[:5]:
            logger.info(f"{benchmark.name}: {problem}")
    for model in models.policies:
        for benchmark in benchmarks:
            sampling = resolve_sampling(recipe.eval, benchmark.sampling)
            if model == BASE:
                weights = models.policies[model].fingerprint
                take_evaluated(job, benchmark, sampling, weights)
            lacking = drawings(
                job.run,
                benchmark,
                model,
                sampling.samples,
                greedy=recipe.eval.greedy,
                seed=recipe.seed,
                weights=models.policies[model].fingerprint,
                graders=job.graders,
            )
            for drawing in lacking:
                if repeated := drop_repeats(drawing):
                    logger.info(
                        f"{drawing.path}: {repeated:,} rows stood there twice; one each is kept"
                    )
            yield Evaluation(model, benchmark, sampling, lacking)


def _results(job: Job, models: Models, planned: Sequence[Evaluation]) -> Results:
    """Draw what is lacking in this process, and count."""
    recipe, results, made_with = job.recipe, Results(), versions()
    for evaluation in planned:
        sampled = greedy = None
        lacking = sum(drawing.lacking for drawing in evaluation.owed)
        if lacking:
            what = f"{evaluation.model} on {evaluation.benchmark.name}"
            logger.info(f"evaluating {what}: {lacking:,} completions")
            sampled, once = (models.completer(evaluation.model, d) for d in evaluation.decodings)
            greedy = once if recipe.eval.greedy else None
        results[evaluation.benchmark.name] = evaluate_model(
            sampled,
            evaluation.benchmark,
            evaluation.sampling,
            job.run,
            evaluation.model,
            greedy=greedy,
            batch=_batch(recipe),
            seed=recipe.seed,
            weights=models.policies[evaluation.model].fingerprint,
            progress=Pace(f"{evaluation.model} on {evaluation.benchmark.name}"),
            engine=recipe.engine.backend,
            prompts=recipe.prompts,
            versions=made_with,
            graders=job.graders,
        ).metrics
    return results


def _batch(recipe: Recipe) -> int:
    return recipe.engine.batch(recipe.eval.batch)


# --------------------------------------------------------------------------- shared


def work(job: Job, planned: Sequence[Evaluation], models: Models) -> None:
    """Take units of every drawing until nothing is left, wherever they are being drawn."""
    queues: dict[Path, Queue] = {}
    while lacking := _lacking(planned):
        units_left = 0
        for evaluation in planned:
            for drawing, decoding in zip(evaluation.owed, evaluation.decodings, strict=False):
                if drawing not in lacking:
                    continue
                if drawing.path not in queues:
                    queues[drawing.path] = _queue(job, drawing)
                queue = queues[drawing.path]
                pace = Pace(f"{evaluation.model} on {evaluation.benchmark.name}, here")
                share(
                    lambda: models.completer(evaluation.model, decoding),  # noqa: B023  called in the loop
                    drawing,
                    queue,
                    batch=_batch(job.recipe),
                    progress=pace,
                )
                units_left += len(queue.open_units())
        if not units_left:
            return
        time.sleep(POLL)


def _lacking(planned: Sequence[Evaluation]) -> list[Drawing]:
    return [drawing for evaluation in planned for drawing in evaluation.owed if drawing.lacking]


def _queue(job: Job, drawing: Drawing) -> Queue:
    return drawing.queue(batch=_batch(job.recipe), workers=job.recipe.engine.processes)


def _clear(planned: Sequence[Evaluation], *, keep: bool) -> None:
    """Remove queues that nobody needs any more. A process that joined cannot know whether others
    still use them."""
    for drawing in (
        [] if keep else [drawing for evaluation in planned for drawing in evaluation.owed]
    ):
        shutil.rmtree(drawing.queue_folder, ignore_errors=True)


def _with_engines(job: Job, planned: Sequence[Evaluation]) -> None:
    """Start one process for each engine, on its own GPUs. The others take over the units of one
    that dies."""
    lacking = _lacking(planned)
    if not lacking:
        return
    engine = job.recipe.engine
    logger.info(f"{sum(d.lacking for d in lacking):,} completions by {engine.processes} engines")
    logs = [job.run.root / "eval" / f"engine-{i}.log" for i in range(engine.processes)]
    logs[0].parent.mkdir(parents=True, exist_ok=True)
    running: dict[int, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
    try:
        for i, (log, gpus) in enumerate(zip(logs, gpu_shares(job.recipe), strict=True)):
            file = log.open("ab")
            running[i] = _start(job, gpus, file), file
        _watch(job, lacking, running, logs)
    finally:
        for process, file in running.values():
            process.terminate()
            process.wait()
            file.close()


def _start(job: Job, gpus: str | None, log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ttc_rl", "eval", str(job.run.recipe), "--run-dir"]
    own = {} if gpus is None else {"CUDA_VISIBLE_DEVICES": gpus}
    return subprocess.Popen(
        [*command, str(job.run.root), "--worker"],
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment(job.recipe.places.folders) | own,
    )


def _watch(
    job: Job,
    lacking: Sequence[Drawing],
    running: Mapping[int, tuple[subprocess.Popen[bytes], IO[bytes]]],
    logs: Sequence[Path],
) -> None:
    queues = [_queue(job, drawing) for drawing in lacking]
    total = sum(unit.size for queue in queues for unit in queue.units.values())
    pace, reported = Pace(f"{len(running)} engines"), set[int]()
    while True:
        ended = {i: p.poll() for i, (p, _) in running.items() if p.poll() is not None}
        for i in ended.keys() - reported:
            reported.add(i)
            if ended[i]:
                logger.info(f"engine {i} ended with code {ended[i]}; its output is in {logs[i]}")
        completions_left = sum(unit.size for queue in queues for unit in queue.open_units())
        pace(total - completions_left, total, 0)
        if len(ended) == len(running):
            if completions_left:
                raise UserError(
                    f"no engine is left and {completions_left:,} completions are lacking; "
                    f"see {logs[0]}"
                )
            return
        time.sleep(POLL)


def gpu_shares(recipe: Recipe) -> list[str | None]:
    """Return CUDA_VISIBLE_DEVICES of each engine; None for all where there is no GPU."""
    import torch

    engine = recipe.engine
    count = torch.cuda.device_count()
    if not count:
        return [None] * engine.processes
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(i) for i in range(count)]
    each = engine.tensor_parallel_size
    if engine.processes * each > len(names):
        raise UserError(
            f"eval.engine: {engine.processes} processes on {each} GPUs each need "
            f"{engine.processes * each}; there are {len(names)}"
        )
    return [",".join(names[i * each : (i + 1) * each]) for i in range(engine.processes)]
