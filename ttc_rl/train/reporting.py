"""Reporters that `train.trl.report_to` names: transformers' callbacks, writing into the run.

Left alone, TensorBoard's events would lie under checkpoints/, which training deletes at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    TrackioCallback,
)

from ttc_rl.config import TrainConfig
from ttc_rl.run_dir import ArmDir
from ttc_rl.system.ranks import is_main


def told_to_trl(train: TrainConfig, track: bool) -> list[str]:
    """Return TRL's `report_to`. TensorBoard's callback is made here instead."""
    others = [name for name in train.report_to if name != "tensorboard"]
    return [*(["wandb"] if track else []), *others]


def own_reporters(train: TrainConfig, arm: ArmDir, update: int) -> list[TrainerCallback]:
    """Return TensorBoard's callback, which writes into `arm.tensorboard` from optimiser update
    `update` on.

    Whoever reads the events drops those that an interrupted run wrote after its checkpoint
    (`purge_step` of torch's SummaryWriter).
    """
    if "tensorboard" not in train.report_to:
        return []
    if not is_main():
        return [TensorBoardCallback()]  # writes nothing on other ranks
    from torch.utils.tensorboard import SummaryWriter

    purge = update + 1 if update else None
    return [TensorBoardCallback(SummaryWriter(str(arm.tensorboard), purge_step=purge))]


def report_dev(
    callbacks: list[TrainerCallback],
    scores: Mapping[str, float],
    args: Any,
    state: Any,
    control: Any,
) -> None:
    """Report dev scores as `eval/dev/...` to TensorBoard and Trackio. W&B gets them by
    `tracking`."""
    logs = {f"eval_dev/{name}": value for name, value in scores.items()}
    for callback in callbacks:
        if isinstance(callback, TensorBoardCallback | TrackioCallback):
            callback.on_log(args, state, control, logs=logs)
