"""Direct preference optimisation (arXiv 2305.18290), with TRL's DPOTrainer.

It learns from right and wrong rollouts of the base model for the tasks of the curriculum: as many
rollouts as GRPO draws in one epoch, drawn once, from the model as it is before training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ttc_rl.config import Recipe, TrainConfig
from ttc_rl.run_dir import ArmDir
from ttc_rl.train.methods.base import Method, Setup, StepCost
from ttc_rl.train.methods.sft import example_fields


def progress(logs: Mapping[str, Any]) -> str:
    """Return the loss, and the share of pairs whose right completion is preferred."""
    preferred = logs.get("rewards/accuracies")
    share = "" if preferred is None else f"  pairs in order {preferred:.0%}"
    return f"loss {logs['loss']:.3f}{share}"


def make_trainer(setup: Setup) -> Any:
    """Return a DPOTrainer on one pair a slot, in the plan's order.

    Raises UserError where TRL refuses the recipe's `train.trl`, or where no task has a pair.
    """
    from trl.trainer.dpo_trainer import DPOTrainer

    from ttc_rl.sampling.prompts import prompt_ids
    from ttc_rl.train.methods.learned import pairs, trainer_on
    from ttc_rl.train.methods.supervised import reply_ids

    class AsTokens(DPOTrainer):
        """TRL's, on rows of tokens: prompts as every stage reads them, which TRL would write anew
        with another template, and completions as they ended."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    rows = [
        {
            "prompt_ids": prompt_ids(pair.task, setup.recipe.prompts, setup.tokenizer),
            "chosen_ids": reply_ids(setup.tokenizer, pair.right),
            "rejected_ids": reply_ids(setup.tokenizer, pair.wrong),
        }
        for pair in pairs(setup)
    ]
    return trainer_on(AsTokens, config, rows, setup)


def config(recipe: Recipe, steps: int, arm: ArmDir, track: bool) -> Any:
    """Return TRL's DPOConfig. Raises UserError where TRL refuses `train.trl`, and where
    the installed TRL lacks what we use of it."""
    from trl.trainer.dpo_config import DPOConfig

    from ttc_rl.train.methods.trl_compat import check_trl
    from ttc_rl.train.methods.trl_config import trl_config

    check_trl("dpo")
    fields = example_fields(recipe.train) | {"max_length": None}
    return trl_config(DPOConfig, recipe, arm, updates=1, steps=steps, track=track, **fields)


def step_cost(train: TrainConfig) -> StepCost:
    """Count a group's drawing for each task, and a pair's update and scoring by the reference."""
    learned = 2 / train.rollouts_per_task
    return StepCost(train.rollouts_per_step, drawn=True, scorings=learned, iterations=learned)


METHOD = Method("loss", progress, make_trainer, step_cost, config, examples=True)
