"""The evaluation of a model under training, on tasks that are neither trained nor tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from ttc_eval.harness.results import resolve_sampling, summarise
from ttc_rl.corpus.benchmarks import resolve_target
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.drawing import Drawing, draw
from ttc_rl.sampling.samples import complete_rows
from ttc_rl.schema import Completer
from ttc_rl.stages.job import Job
from ttc_rl.stages.same_tasks import read_dev_tasks
from ttc_rl.tracking.wandb_run import log_dev
from ttc_rl.train.callbacks import Dev


def dev_evaluation(job: Job, arm: str) -> Dev | None:
    """Return what evaluates an arm's model on the dev tasks every `every` steps and after the last;
    None without `train.dev`.

    The numbers go to dev.jsonl, the completions beside it, and to W&B where that is on.
    """
    recipe, folder = job.arm(arm)
    config = recipe.train.dev
    if config is None:
        return None
    tasks = read_dev_tasks(job, arm)
    drawn = resolve_sampling(recipe.eval, resolve_target(recipe.target_sources).sampling)
    decoding = Decoding(drawn.max_tokens, drawn.temperature, drawn.top_p)

    def score(
        completer: Callable[[Decoding], Completer], step: int, last: bool
    ) -> dict[str, float] | None:
        if step % config.every and not last:
            return None
        path = folder.dev_samples(step)
        drawing = Drawing("dev", tasks, config.samples, path, recipe.seed, graders=job.graders)
        draw(completer(decoding), drawing, batch=recipe.engine.batch(recipe.eval.batch))
        rows = complete_rows(drawing.cells(), tasks, config.samples)
        scores = summarise(tasks, rows, [], graders=job.graders)
        numbers = {name: estimate.value for name, estimate in scores.metrics.items()}
        numbers |= {name: rate for name, rate in asdict(scores.rates).items() if rate is not None}
        if recipe.track.wandb:
            log_dev(numbers)
        return numbers

    return score
