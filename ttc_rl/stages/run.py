"""The stages of a run, in order: select, train, evaluate, report.

Each stage reads the files the one before left in the run folder, and leaves its own; a stage whose
files are there is not done again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ttc_rl.run_dir import RunDir, read_json, write_sealed
from ttc_rl.schema import Task, UserError
from ttc_rl.stages import selecting
from ttc_rl.stages.job import Job, check_extras, starting_model
from ttc_rl.system.lock import evaluating, training
from ttc_rl.system.progress import heading
from ttc_rl.system.ranks import alone, is_main
from ttc_rl.verifiers.majority import check_voting

if TYPE_CHECKING:
    from ttc_eval.records import Summary
    from ttc_rl.config import Recipe
    from ttc_rl.sampling.drawing import Group

logger = logging.getLogger(__name__)

__all__ = [
    "draw",
    "evaluate",
    "read_summary",
    "report",
    "run_all",
    "select",
    "train",
    "train_expert",
]


def run_all(job: Job) -> None:
    """Run every stage, from the corpus to the report. All that can be checked is checked before the
    first."""
    from ttc_eval.harness.variants import eval_benchmarks
    from ttc_rl.stages.checks import check_run
    from ttc_rl.stages.same_tasks import check_targets

    alone("run")
    if not all(map(job.trained, job.recipe.arm_names)):
        check_run(job.recipe, job.run)
    check_targets(job, eval_benchmarks(job.recipe))
    for stage in (select, train, evaluate, report):
        stage(job)


# --------------------------------------------------------------------------- select


def select(job: Job) -> None:
    """Select the curriculum of every arm; with `preflight:`, look at the base model on it."""
    selecting.select(job)
    _note_base(job)
    if job.recipe.preflight is not None and not all(map(job.trained, job.parts)):
        from ttc_rl.stages.preflight import preflight

        preflight(job)


def _note_base(job: Job) -> None:
    """Say in versions.json what the base model is made of; a warm-up is made, if it is not yet.

    That is done here by one process, before any ranks are started.
    """
    from ttc_rl.train.methods.supervised import warmup_of
    from ttc_rl.train.packaged import packaged_origin

    model, versions = job.recipe.model, read_json(job.run.versions)
    if model.warmup is not None:
        check_extras(job.recipe)
    origin = packaged_origin(model.path) if model.path else None
    warmup = warmup_of(starting_model(job.recipe)) if model.warmup else None
    about = {name: fact for name, fact in (("origin", origin), ("warmup", warmup)) if fact}
    if about and versions.get("base") != about:
        write_sealed(job.run.versions, versions | {"base": about}, job.run.corpus)


# --------------------------------------------------------------------------- train


def train(job: Job) -> None:
    """Train a model on the curriculum of every arm, or of every expert of an arm.

    One process at a time may train in a run folder.
    """
    with training(job.run.root) if is_main() else nullcontext():
        _train_all(job)


def train_expert(job: Job, name: str) -> None:
    """Train one expert, for the process that has the run folder and trains several at once."""
    if not job.trained(name):
        _train([name], job)


def _train_all(job: Job) -> None:
    if all(map(job.trained, job.recipe.arm_names)):
        logger.info("training: done already")
        return
    check_extras(job.recipe)
    from ttc_eval.report.model_card import write_cards
    from ttc_rl.stages.mixing import check_mix, mix
    from ttc_rl.stages.side_by_side import train_side_by_side

    check_mix(job)
    lacking = [name for name in job.parts if not job.trained(name)]
    _train(train_side_by_side(job, lacking), job)
    for name in job.recipe.arm_names:
        experts = job.arm(name)[0].experts
        if experts and experts.mix and not job.trained(name) and is_main():
            mix(job, name)
            write_cards(job.run, job.recipe, name)


def _train(arms: Sequence[str], job: Job) -> None:
    from ttc_eval.report.model_card import write_cards
    from ttc_rl.stages.publishing import checkpoints_sent
    from ttc_rl.tracking.wandb_run import keep_trackio_in, log_training, tracked
    from ttc_rl.train.curriculum import Pool, charged, follow, plan, read_curriculum, read_pool

    plans, tasks = {}, {}
    voting: dict[str, dict[str, Task]] = {}
    pools: dict[str, Pool | None] = {}
    for name in arms:
        recipe, folder = job.arm(name)
        if "trackio" in recipe.train.report_to:
            keep_trackio_in(job.run.root)
        order, tasks[name] = read_curriculum(folder)
        pools[name] = None if recipe.train.curriculum.method == "static" else read_pool(folder)
        if pool := pools[name]:
            tasks[name] |= {task.id: task for task in pool.tasks}
        compute = read_json(folder.selection).get("compute")
        voting[name] = _voting(job, recipe)
        tasks[name] |= voting[name]
        mixed = list(voting[name]) if recipe.train.ttrl else []
        plans[name] = charged(plan(order, recipe.train, mixed), recipe.train, compute)
    from ttc_rl.stages.checks import check_run
    from ttc_rl.train.ranks import main_first

    check_run(job.recipe, job.run, ["train"])
    with main_first() if job.recipe.model.pretrain else nullcontext():
        base = starting_model(job.recipe)
    from ttc_rl.stages.dev import dev_evaluation
    from ttc_rl.train import loop
    from ttc_rl.train.limits import check_room

    for name in arms:
        recipe = job.arm(name)[0]
        check_room(base, tasks[name].values(), recipe.prompts, recipe.train)
    for name in arms:
        recipe, folder = job.arm(name)
        less = f" ({n} charged for selection)" if (n := plans[name].charged) else ""
        logger.info(f"training arm {name}: {plans[name].steps} steps{less}")
        given = recipe.train, recipe.selection.noise, recipe.places, plans[name], pools[name]
        curriculum = follow(*given) if recipe.train.follows else None
        with (
            heading(name),
            tracked(recipe, folder.root) as track,
            checkpoints_sent(recipe.track.hub, name, folder) as saved,
        ):
            loop.train(
                recipe,
                plans[name],
                tasks[name],
                base,
                folder,
                track=track,
                graders=job.graders,
                dev=dev_evaluation(job, name),
                curriculum=curriculum,
                drawn=partial(_base_groups, job, recipe, base),
                targets=list(voting[name]),
                saved=saved,
            )
            write_cards(job.run, job.recipe, name)
            if track:
                log_training(folder)


def _base_groups(job: Job, recipe: Recipe, base: str | Path, tasks: Sequence[Task]) -> list[Group]:
    """Return the base model's graded completions of tasks; arms of one run share them."""
    from ttc_rl.stages.base_model import BaseModel

    model = BaseModel(base, recipe, job.run, job.graders)
    try:
        return model.groups("training", tasks, recipe.train.rollouts_per_task, grade=True)
    finally:
        model.close()


def _voting(job: Job, recipe: Recipe) -> dict[str, Task]:
    """Return the target prompts by id, without gold or tests, so that nothing after this can read
    them; none where an arm does not ask them."""
    aligned = recipe.train.curriculum.method == "gradalign"
    if not (aligned or recipe.train.ttrl):
        return {}
    from ttc_rl.corpus.benchmarks import together
    from ttc_rl.stages.same_tasks import read_targets

    targets = together(read_targets(job)).tasks
    key = "train.curriculum.method gradalign" if aligned else "train.ttrl"
    check_voting(targets, key, job.graders)
    return {task.id: replace(task, gold=None, tests=()) for task in targets}


# --------------------------------------------------------------------------- evaluate


def evaluate(job: Job, *, join: bool = False) -> None:
    """Evaluate base and trained models on the target and on the recipe's other benchmarks.

    One process at a time may evaluate in a run folder, except for those that `join`.
    """
    alone("eval")
    from ttc_rl.stages.evaluating import evaluate as evaluate_all
    from ttc_rl.stages.policies import BASE

    with evaluating(job.run.root, shared=join):
        evaluated = evaluate_all(job, join=join)
    for model, results in evaluated.items():
        if model != BASE and job.recipe.track.wandb:
            from ttc_rl.tracking.wandb_run import log_results, tracked

            with tracked(job.recipe, job.arm(model)[1].root):
                log_results(results)


def draw(job: Job) -> None:
    """Draw with one engine of several: take units of every drawing until none is left. Counts
    nothing."""
    from ttc_rl.stages.evaluating import evaluations, work
    from ttc_rl.stages.policies import Models

    models = Models(job)
    work(job, list(evaluations(job, models)), models)


# --------------------------------------------------------------------------- report


def report(job: Job) -> None:
    """Write summary.json and the results in the models' cards, where something was evaluated, and
    report.html."""
    from ttc_eval.records import write_record
    from ttc_eval.report.material import read_material
    from ttc_eval.report.model_card import write_cards
    from ttc_eval.report.run_page import write_page

    material = read_material(job.run, job.recipe)
    if material.results:
        write_record(job.run.summary, material.summary)
        for name in dict.fromkeys([*job.recipe.arm_names, *job.parts]):
            write_cards(job.run, job.recipe, name, material.summary)
    logger.info(f"report: {write_page(material)}")


def read_summary(run: RunDir) -> Summary:
    """Read summary.json. Raises UserError where nothing was evaluated."""
    from ttc_eval import records

    if not run.summary.exists():
        raise UserError(f"{run.root}: nothing evaluated yet; `ttc-rl eval RECIPE` does it")
    return records.read_summary(run.summary)
