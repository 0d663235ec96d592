"""One arm's training, whatever its method: resumed, watched, saved, vouched for."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer
from transformers.trainer_callback import PrinterCallback
from transformers.utils.logging import disable_progress_bar

from ttc_rl.config import Recipe
from ttc_rl.run_dir import ArmDir, follow_umask, room_at, write_sealed
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import Task, UserError
from ttc_rl.system.peft_warnings import ignore_warnings_of_peft
from ttc_rl.system.ranks import is_main
from ttc_rl.train.callbacks import Progress
from ttc_rl.train.checkpoints import MarkComplete, Saved, forget_after, newest_checkpoint
from ttc_rl.train.curriculum import Curriculum, Plan
from ttc_rl.train.dev import Dev, Due, Evaluate, best_step
from ttc_rl.train.methods import Setup, method_of
from ttc_rl.train.ranks import barrier
from ttc_rl.train.reporting import own_reporters
from ttc_rl.train.rollout_server import server_url, server_watched
from ttc_rl.train.watchdog import Watchdog
from ttc_rl.train.weights.adapters import merged
from ttc_rl.train.weights.masks import only_masked
from ttc_rl.train.weights.mixture import local_folder
from ttc_rl.train.weights.patches import make_patch
from ttc_rl.verifiers import BUILT_IN, Graders

logger = logging.getLogger(__name__)

Drawn = Callable[[Sequence[Task]], list[Group]]
"""Draws and grades completions of tasks by the base model."""


def train(
    recipe: Recipe,
    plan: Plan,
    tasks: Mapping[str, Task],
    base: Path | str,
    arm: ArmDir,
    *,
    track: bool,
    graders: Graders = BUILT_IN,
    dev: tuple[Due, Dev] | None = None,
    curriculum: Curriculum | None = None,
    drawn: Drawn | None = None,
    targets: Sequence[str] = (),
    saved: Saved | None = None,
) -> None:
    """Train `base` on `plan` and leave the model in `arm.model`, in Hugging Face format.

    With a `curriculum` the plan says how many steps there are, and it says which tasks they train.
    `drawn` gives the base model's graded completions of tasks to a method that learns from them.
    `targets` are the ids of the target prompts among `tasks`, where something asks for them.
    `saved` is told of each checkpoint, on the main rank.

    Goes on from the newest complete checkpoint where there is one; the result is the same as
    without the interruption. Raises UserError where TRL refuses the recipe's `train.trl`.
    """
    disable_progress_bar()
    ignore_warnings_of_peft()
    checkpoint, update = newest_checkpoint(arm)
    step = update // recipe.train.updates
    if is_main():
        forget_after(arm, checkpoint, step)
    if checkpoint:
        logger.info(f"training goes on after step {step}")
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    method = method_of(recipe)
    callbacks = [
        *own_reporters(recipe.train, arm, update),
        Progress(arm, recipe.train.updates, method),
        MarkComplete(arm, recipe.train.updates, saved),
    ]
    setup = Setup(
        recipe, plan, tasks, base, arm, tokenizer, graders, curriculum, track, callbacks,
        drawn or _undrawn, checkpoint, step, tuple(targets),
    )  # fmt: skip
    url = server_url(recipe.train.vllm) if is_main() else None  # one rank speaks with it
    with server_watched(url, lambda: newest_checkpoint(arm)[1] // recipe.train.updates):
        trainer = method.trainer(setup)
        if recipe.train.mask is not None:
            only_masked(trainer, Path(recipe.train.mask))
        if dev is not None:
            trainer.add_callback(Evaluate(*dev, trainer, recipe.train, recipe.prompts, arm, base))
        trainer.remove_callback(PrinterCallback)
        _watched(trainer, recipe, arm, checkpoint, method.signal)
        with room_at(arm.root):
            _save_model(trainer, tokenizer, recipe, base, arm)


def _undrawn(tasks: Sequence[Task]) -> list[Group]:
    raise UserError(f"train.method: learns from completions of {len(tasks)} tasks, drawn by nobody")


def _watched(
    trainer: Any, recipe: Recipe, arm: ArmDir, checkpoint: Path | None, signal: str
) -> None:
    """Take all steps. Raises UserError where the watchdog stopped it or the disk is full."""
    watchdog = Watchdog(recipe.train.watchdog, arm, recipe.train.updates, signal)
    trainer.add_callback(watchdog)
    with closing(watchdog), room_at(arm.root):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if watchdog.stopped:
        raise UserError(
            f"{arm.root}: stopped by the watchdog, {watchdog.stopped}; --resume goes on from "
            "the last checkpoint until it happens again, with train.watchdog.stop=[] it never stops"
        )


def _save_model(
    trainer: Any, tokenizer: Any, recipe: Recipe, base: Path | str, arm: ArmDir
) -> None:
    """Save the whole model; of an expert only what it changed, the adapter or a patch.

    With `train.keep: best` it is that of the best evaluation.
    """
    beside, adapted = arm.model.with_name("model.part"), recipe.train.adapter is not None
    saved = arm.adapter.with_name("adapter.part") if adapted else beside
    steps = trainer.state.global_step // recipe.train.updates
    kept = best_step(arm) if recipe.train.keep == "best" else None
    if kept is None:
        if recipe.train.keep == "best" and is_main():
            logger.warning(
                f"{arm.best(0).parent}: the weights of the best evaluation are gone; the model is "
                "that of the last step"
            )
        trainer.save_model(str(saved))
        kept = steps
    elif trainer.accelerator.is_main_process:
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(arm.best(kept), saved)
        logger.info(f"the model is that of step {kept} of {steps}, the best on the dev tasks")
    barrier()
    if trainer.accelerator.is_main_process:
        _vouch(arm, steps, kept)
        if adapted:
            _in_place(arm.adapter.with_name("adapter.part"), arm.adapter)
        if recipe.experts is None:
            if adapted:
                merged(base, arm.adapter).save_pretrained(beside)
            tokenizer.save_pretrained(beside)
            _vouch(arm, steps, kept, beside)
            _in_place(beside, arm.model)
        elif not adapted:
            make_patch(local_folder(base), beside, arm.patch)
            shutil.rmtree(beside)
        shutil.rmtree(arm.checkpoints, ignore_errors=True)
        shutil.rmtree(arm.best(0).parent, ignore_errors=True)
    barrier()


def _vouch(arm: ArmDir, steps: int, kept: int, model: Path | None = None) -> None:
    """Seal in training.json what is read later: the record, and a model about to be in place."""
    files = [arm.metrics, arm.dev, arm.alarms, *sorted(arm.rollouts.glob("*.parquet"))]
    files += sorted(model.iterdir()) if model else []
    write_sealed(
        arm.training, {"steps": steps, "kept": kept}, *(path for path in files if path.is_file())
    )


def _in_place(beside: Path, folder: Path) -> None:
    follow_umask(beside)
    shutil.rmtree(folder, ignore_errors=True)
    beside.replace(folder)
