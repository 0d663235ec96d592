"""Looks at a finished run: what training changed, what the vectors knew, how alike arms answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ttc_rl.metrics import Estimate
from ttc_rl.run_dir import read_json, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.selection.headroom import Headroom
from ttc_rl.stages.job import Job, starting_model

if TYPE_CHECKING:
    from ttc_rl.train.weights.geometry import Changed


def changes_of(
    job: Job, arm: str | None = None
) -> Iterator[tuple[str, dict[str, Any], list[Changed]]]:
    """Yield each trained arm's name, how it was trained, and what that changed.

    Raises UserError where nothing was trained.
    """
    from ttc_rl.train.weights.geometry import changes
    from ttc_rl.train.weights.mixture import local_folder

    base = local_folder(starting_model(job.recipe))
    names = (
        [arm] if arm else [name for name in job.recipe.arm_names if job.arm(name)[1].model.exists()]
    )
    if not names:
        raise UserError(f"{job.run.root}: no arm has a trained model")
    for name in names:
        recipe, folder = job.arm(name)
        if not folder.model.exists():
            raise UserError(f"{folder.model}: no model there")
        train = recipe.train
        about = {
            "method": train.method,
            "learning_rate": train.trl.get("learning_rate", "TRL's own"),
            "steps": read_json(folder.training).get("steps"),
            "adapter": "lora" if train.lora else "svf" if train.svf else "none",
        }
        yield name, about, changes(base, folder.model)


def headroom_of(job: Job) -> Headroom:
    """Return how well the base model's solve rates on all evaluated benchmarks are told from the
    vectors that selection uses. Raises UserError where base was not evaluated."""
    from ttc_eval.compare.summary import load_results
    from ttc_rl.embed import POLICY, embed
    from ttc_rl.selection.headroom import headroom

    results = {
        name: models["base"] for name, models in load_results(job.run).items() if "base" in models
    }
    sizes = {result.numbers.samples for result in results.values()}
    if not results or len(sizes) != 1:
        raise UserError(
            f"{job.run.root}: base has to be evaluated, on every benchmark with as many samples"
        )
    rows = {row["task_id"]: row for result in results.values() for row in result.tasks}
    config = job.recipe.embedding
    policy = starting_model(job.recipe) if config.model == POLICY else None
    vectors = embed([row["prompt"] for row in rows.values()], config, policy=policy)[:]
    right = np.array([row["correct"] for row in rows.values()])
    return headroom(np.asarray(vectors), right, sizes.pop(), job.recipe.seed)


def alike_of(job: Job, benchmark: str) -> dict[tuple[str, str], Estimate]:
    """Return how alike the models of a run answer a benchmark, pair by pair: the mean cosine of
    their samples, by the vectors that selection uses.

    Raises UserError where the run has no such benchmark, or fewer than two samples a task.
    """
    from ttc_eval.compare.alike import alike
    from ttc_rl.embed import POLICY, embed

    run = job.run
    if benchmark not in run.benchmarks():
        known = ", ".join(run.benchmarks()) or "none"
        raise UserError(f"{run.root}: {benchmark} was not evaluated; there are: {known}")
    models: dict[str, dict[str, list[str]]] = {}
    for model in run.models(benchmark):
        texts = models.setdefault(model, {})
        for row in read_jsonl(run.samples(benchmark, model), "task_id", "completion"):
            texts.setdefault(row["task_id"], []).append(row["completion"])
    config = job.recipe.embedding
    policy = starting_model(job.recipe) if config.model == POLICY else None
    found = alike(models, lambda texts: np.asarray(embed(texts, config, policy=policy)[:]))
    if not found:
        raise UserError(f"{run.root}: {benchmark}: fewer than two samples a task say nothing")
    return found
