"""What every TRL config is given for an arm, and a check of it before anything is computed."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer
from transformers.optimization import get_scheduler

from ttc_rl.config import Recipe
from ttc_rl.run_dir import ArmDir
from ttc_rl.schema import UserError
from ttc_rl.tracking.wandb_run import run_name
from ttc_rl.train.hardware import hardware_fields
from ttc_rl.train.reporting import told_to_trl
from ttc_rl.train.weights.adapters import loading


def trl_config(
    config_class: Any,
    recipe: Recipe,
    arm: ArmDir,
    *,
    updates: int,
    steps: int,
    track: bool,
    **more: Any,
) -> Any:
    """Return a config of TRL for one arm: `steps` steps of so many `updates`, what the method gives
    in `more`, and over both the recipe's `train.trl`.

    Raises UserError where TRL refuses it.
    """
    train = recipe.train
    ours: dict[str, Any] = {
        "output_dir": str(arm.checkpoints),
        "max_steps": steps * updates,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "save_strategy": "steps",
        "save_steps": train.save_steps * updates,  # never amid the updates of a step
        "save_total_limit": 2,
        "logging_steps": updates,
        "project": recipe.track.project,
        "run_name": run_name(arm.root),
        "disable_tqdm": True,
    } | hardware_fields(config_class, recipe.model.dtype)
    if loaded := loading(train.lora):
        ours["model_init_kwargs"] = loaded
    try:
        reported: dict[str, Any] = {"report_to": told_to_trl(train, track)}
        return config_class(**(ours | more | train.trl | reported))
    except (TypeError, ValueError, ImportError) as error:
        where, message = recipe.places.named("train.trl"), str(error).splitlines()[0]
        raise UserError(f"{where}: TRL's {config_class.__name__} says: {message}") from None


def check_config(recipe: Recipe, config: Any) -> None:
    """Raise UserError where the optimiser or its schedule would refuse `train.trl` later.

    Both are made once, on one number. Not covered: optimisers that ask for the model.
    """
    if config.optim_target_modules:
        return
    names = f"{config.optim.value} with schedule {config.lr_scheduler_type.value}"
    try:
        kind, options = Trainer.get_optimizer_cls_and_kwargs(config)
        get_scheduler(
            config.lr_scheduler_type,
            kind([torch.nn.Parameter(torch.zeros(1))], **options),
            num_warmup_steps=0,
            num_training_steps=1,
            scheduler_specific_kwargs=config.lr_scheduler_kwargs,
        )
    except (TypeError, ValueError, ImportError, RuntimeError) as error:
        where, message = recipe.places.named("train.trl"), str(error).splitlines()[0]
        raise UserError(f"{where}: {names}: {message}") from None
