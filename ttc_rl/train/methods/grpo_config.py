"""One arm's training as a GRPOConfig; the trainer itself, which is slow to import, stays out."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer
from transformers.optimization import get_scheduler
from trl.trainer.grpo_config import GRPOConfig

from ttc_rl.config import Recipe
from ttc_rl.run_dir import ArmDir
from ttc_rl.schema import UserError
from ttc_rl.system.ranks import world
from ttc_rl.tracking.wandb_run import run_name
from ttc_rl.train.curriculum import micro_batch
from ttc_rl.train.hardware import hardware_fields
from ttc_rl.train.reporting import told_to_trl
from ttc_rl.train.rollout_server import server_url
from ttc_rl.train.weights.adapters import loading


def check_trl(recipe: Recipe, arm: ArmDir) -> None:
    """Raise UserError where TRL, the optimiser or its schedule would refuse `train.trl` later.

    All three are made once, on one number. Not covered: optimisers that ask for the model.
    """
    config: Any = grpo_config(recipe, 1, arm, track=False)
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


def grpo_config(recipe: Recipe, steps: int, arm: ArmDir, track: bool) -> GRPOConfig:
    """Return what TRL is given for one arm. Raises UserError where TRL refuses `train.trl`."""
    train, cuda = recipe.train, torch.cuda.is_available()
    micro = micro_batch(train, world())
    passes = train.rollouts_per_step // (train.updates_per_step * micro * world())
    if (train.majority or train.ttrl) and train.tasks_per_step % world():
        name = "majority" if train.majority else "ttrl"
        raise UserError(
            f"train.{name}: a group's vote is counted on one device, but {train.tasks_per_step} "
            f"tasks a step do not divide over {world()}"
        )
    ours: dict[str, Any] = {
        "output_dir": str(arm.checkpoints),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": passes,
        "steps_per_generation": passes * train.updates_per_step,
        "num_generations": train.rollouts_per_task,
        "max_completion_length": train.max_completion_tokens,
        "max_steps": steps * train.updates,
        "shuffle_dataset": False,  # the curriculum's order is the point
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "save_strategy": "steps",
        "save_steps": train.save_steps * train.updates,  # never amid the updates of a step
        "save_total_limit": 2,
        "logging_steps": train.updates,
        "project": recipe.track.project,
        "run_name": run_name(arm.root),
        "disable_tqdm": True,
        "chat_template_kwargs": dict(recipe.prompts.get("template", {})) or None,
    } | hardware_fields(GRPOConfig, recipe.model.dtype)
    if train.vllm:
        ours |= {
            "use_vllm": True,
            "vllm_mode": train.vllm.mode,
            "vllm_enable_sleep_mode": train.vllm.sleep and train.vllm.mode == "colocate" and cuda,
            "vllm_gpu_memory_utilization": train.vllm.gpu_memory_utilization,
            "vllm_tensor_parallel_size": train.vllm.tensor_parallel_size,
            "vllm_server_base_url": server_url(train.vllm),
        }
    if loaded := loading(train.lora):
        ours["model_init_kwargs"] = loaded
    try:
        reported: dict[str, Any] = {"report_to": told_to_trl(train, track)}
        return GRPOConfig(**(ours | train.trl | reported))
    except (TypeError, ValueError, ImportError) as error:
        where, message = recipe.places.named("train.trl"), str(error).splitlines()[0]
        raise UserError(f"{where}: TRL's GRPOConfig says: {message}") from None
