"""Train only some weights: those that another run has changed.

Reinforcement learning changes a small share of a model's weights, much the same ones from run to
run (arXiv 2505.11711). A patch of one run says which; here they are all that another run may move.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ttc_rl.schema import UserError
from ttc_rl.train.weights.patches import places_in


def only_masked(trainer: Any, patch: Path) -> None:
    """Have the trainer move only the numbers that `patch` changes; all others keep their bits.

    A gradient of 0 leaves Adam's moments, and with them its update, at 0. Raises UserError where
    the patch is of another architecture, and where the weights are in pieces.
    """
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        raise UserError("train.mask: needs whole weights on each GPU; launch with ddp or single")
    allowed = places_in(patch)
    parameters = dict(trainer.model.named_parameters())
    if missing := sorted(allowed.keys() - parameters.keys()):
        raise UserError(f"train.mask: {patch} names {missing[0]}, which this model does not have")
    for name, parameter in parameters.items():
        if name not in allowed:
            parameter.requires_grad_(False)
        elif (places := allowed[name]) is not None:
            if len(places) and int(places[-1]) >= parameter.numel():
                raise UserError(f"train.mask: {patch} holds a larger {name} than this model")
            _keep_only(parameter, places)


def _keep_only(parameter: torch.nn.Parameter, places: torch.Tensor) -> None:
    mask = torch.zeros(parameter.numel(), dtype=torch.bool, device=parameter.device)
    mask[places.to(parameter.device)] = True
    mask = mask.view_as(parameter)
    parameter.register_hook(lambda gradient: gradient * mask)
