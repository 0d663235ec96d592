"""One arm's training as a GRPOConfig; the trainer itself, which is slow to import, stays out."""

from __future__ import annotations

from typing import Any

import torch
from trl.trainer.grpo_config import GRPOConfig

from ttc_rl.config import Recipe
from ttc_rl.run_dir import ArmDir
from ttc_rl.schema import UserError
from ttc_rl.system.ranks import world
from ttc_rl.train.curriculum import micro_batch
from ttc_rl.train.methods.trl_config import trl_config
from ttc_rl.train.rollout_server import server_url


def grpo_config(recipe: Recipe, steps: int, arm: ArmDir, track: bool) -> GRPOConfig:
    """Return what TRL is given for one arm. Raises UserError where TRL refuses `train.trl`."""
    return trl_config(
        GRPOConfig, recipe, arm, updates=recipe.train.updates, steps=steps, track=track,
        **rollout_fields(recipe),
    )  # fmt: skip


def rollout_fields(recipe: Recipe) -> dict[str, Any]:
    """Return the fields by which TRL's online trainers draw a step's groups, in their order.

    Raises UserError where they do not divide over micro-batches and processes.
    """
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
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": passes,
        "steps_per_generation": passes * train.updates_per_step,
        "num_generations": train.rollouts_per_task,
        "max_completion_length": train.max_completion_tokens,
        "shuffle_dataset": False,  # the curriculum's order is the point
        "chat_template_kwargs": dict(recipe.prompts.get("template", {})) or None,
    }
    if train.vllm:
        ours |= {
            "use_vllm": True,
            "vllm_mode": train.vllm.mode,
            "vllm_enable_sleep_mode": train.vllm.sleep and train.vllm.mode == "colocate" and cuda,
            "vllm_gpu_memory_utilization": train.vllm.gpu_memory_utilization,
            "vllm_tensor_parallel_size": train.vllm.tensor_parallel_size,
            "vllm_server_base_url": server_url(train.vllm),
        }
    return ours
