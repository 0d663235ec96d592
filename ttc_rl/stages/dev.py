"""The evaluation of a model under training, on tasks that are neither trained nor tested."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from ttc_eval.harness.results import measure_all, overall, resolve_sampling
from ttc_rl.corpus.benchmarks import resolve_target
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.drawing import Drawing, draw, gather, share
from ttc_rl.sampling.samples import complete_rows
from ttc_rl.schema import Completer
from ttc_rl.stages.job import Job
from ttc_rl.stages.same_tasks import read_dev_tasks
from ttc_rl.system.ranks import is_main, world
from ttc_rl.tracking.wandb_run import log_dev
from ttc_rl.train.dev import Dev, DevEngine, DevScores, Due, Spread
from ttc_rl.train.ranks import barrier


def dev_evaluation(job: Job, arm: str) -> tuple[Due, Dev] | None:
    """Return when an arm's model is evaluated on the dev tasks (every `every` steps and after the
    last), and what does it; None without `train.dev`.

    The numbers go to dev.jsonl, the completions beside it, and to W&B where that is on.
    """
    recipe, folder = job.arm(arm)
    config = recipe.train.dev
    if config is None:
        return None
    tasks = read_dev_tasks(job, arm)
    drawn = resolve_sampling(recipe.eval, resolve_target(recipe.target_sources).sampling)
    decoding = Decoding(drawn.max_tokens, drawn.temperature, drawn.top_p)
    batch = recipe.engine.batch(recipe.eval.batch)

    def due(step: int, last: bool) -> bool:
        return last or step % config.every == 0

    def score(engine: DevEngine, step: int) -> DevScores | None:
        path = folder.dev_samples(step)
        drawing = Drawing("dev", tasks, config.samples, path, recipe.seed, graders=job.graders)
        _draw(lambda: engine.completer(decoding), engine.spread, drawing, batch)
        if not is_main():
            return None
        rows = complete_rows(drawing.cells(), tasks, config.samples)
        measured = measure_all(tasks, rows, [], None, job.graders)
        scores, metric = overall(measured), f"avg@{config.samples}"
        numbers = {name: estimate.value for name, estimate in scores.metrics.items()}
        numbers |= {name: rate for name, rate in asdict(scores.rates).items() if rate is not None}
        if recipe.track.wandb:
            log_dev(numbers)
        return DevScores(numbers, [one.values[metric] for one in measured])

    return due, score


def _draw(completer: Callable[[], Completer], spread: Spread, drawing: Drawing, batch: int) -> None:
    """Fill the drawing's file, by one rank or by all of them."""
    if world() == 1 or spread == "main":
        if is_main():
            draw(completer(), drawing, batch=batch)
        barrier()
    elif spread == "shared":
        if is_main():  # what a kill has left
            shutil.rmtree(drawing.queue_folder, ignore_errors=True)
            drawing.path.unlink(missing_ok=True)
        barrier()
        queue = drawing.queue(batch=batch, workers=world())
        share(completer, drawing, queue, batch=batch)
        barrier()
        if is_main():
            gather(drawing, queue)
            shutil.rmtree(drawing.queue_folder)
        barrier()
    else:
        with tempfile.TemporaryDirectory() as elsewhere:
            drawing.path.unlink(missing_ok=True) if is_main() else None
            own = Path(elsewhere) / drawing.path.name
            draw(completer(), drawing if is_main() else replace(drawing, path=own), batch=batch)
