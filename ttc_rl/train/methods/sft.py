"""Supervised fine-tuning on the curriculum, with TRL's SFTTrainer.

It learns the tasks' gold replies, or (`train.replies: own`) right rollouts of the base model:
rejection sampling, as in RAFT (arXiv 2304.06767). The loss is the mean over the replies' tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ttc_rl.config import Recipe, TrainConfig
from ttc_rl.run_dir import ArmDir
from ttc_rl.schema import UserError
from ttc_rl.train.methods.base import Method, Setup, StepCost


def progress(logs: Mapping[str, Any]) -> str:
    """Return the loss, and the share of tokens that the model would have written itself."""
    accuracy = logs.get("mean_token_accuracy")
    share = "" if accuracy is None else f"  tokens right {accuracy:.0%}"
    return f"loss {logs['loss']:.3f}{share}"


def make_trainer(setup: Setup) -> Any:
    """Return an SFTTrainer on one reply a slot, in the plan's order.

    Raises UserError where TRL refuses the recipe's `train.trl`, or where there is nothing to learn.
    """
    from trl.trainer.sft_trainer import SFTTrainer

    from ttc_rl.train.methods.learned import gold_replies, own_replies, trainer_on
    from ttc_rl.train.methods.supervised import labelled_row

    recipe = setup.recipe
    replies = own_replies(setup) if recipe.train.replies == "own" else gold_replies(setup)
    rows = [labelled_row(reply, recipe.prompts, setup.tokenizer) for reply in replies]
    return trainer_on(SFTTrainer, config, rows, setup)


def config(recipe: Recipe, steps: int, arm: ArmDir, track: bool) -> Any:
    """Return TRL's SFTConfig. Raises UserError where TRL refuses `train.trl`, and where
    the installed TRL lacks what we use of it."""
    from trl.trainer.sft_config import SFTConfig

    from ttc_rl.train.methods.trl_compat import check_trl
    from ttc_rl.train.methods.trl_config import trl_config

    check_trl("sft")
    fields = example_fields(recipe.train) | {"max_length": None}
    return trl_config(SFTConfig, recipe, arm, updates=1, steps=steps, track=track, **fields)


def example_fields(train: TrainConfig) -> dict[str, Any]:
    """Return the fields by which TRL takes `tasks_per_step` examples a step, in their order.

    Raises UserError where they do not divide over micro-batches and processes.
    """
    from ttc_rl.system.ranks import world

    micro = min(train.micro_batch or train.tasks_per_step, train.tasks_per_step)
    if train.tasks_per_step % (micro * world()):
        raise UserError(
            f"train: {train.tasks_per_step} examples a step do not divide over {world()} processes "
            f"in micro-batches of {micro}"
        )
    return {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": train.tasks_per_step // (micro * world()),
        "train_sampling_strategy": "sequential",  # the curriculum's order is the point
    }


def step_cost(train: TrainConfig) -> StepCost:
    """Count an update of one example a task; with `replies: own` also its group's drawing."""
    if train.replies == "gold":
        return StepCost(train.tasks_per_step, drawn=False, scorings=0, iterations=1)
    learned = 1 / train.rollouts_per_task
    return StepCost(train.rollouts_per_step, drawn=True, scorings=0, iterations=learned)


METHOD = Method("loss", progress, make_trainer, step_cost, config, examples=True)
