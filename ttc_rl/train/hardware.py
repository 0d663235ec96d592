"""TRL's settings for this machine: the device, and the type of number to compute with."""

from __future__ import annotations

from typing import Any

import torch


def hardware_fields(config_class: Any, dtype: str | None) -> dict[str, Any]:
    """Return fields of a TRL config for this machine; `dtype` is the recipe's `model.dtype`.

    With bfloat16 the weights stay float32 and each product is computed in bfloat16 (autocast):
    an update of 1e-5 would be rounded away in a bfloat16 weight.
    """
    cuda = torch.cuda.is_available()
    return {
        "bf16": cuda if dtype is None else dtype == "bfloat16",
        "use_cpu": not cuda,
        "dataloader_pin_memory": cuda,
        _checkpointing_key(config_class): cuda,
    }


def _checkpointing_key(config_class: Any) -> str:
    """Return the field's name: transformers renamed it in 5.23, where the old name warns and before
    which the new one fails."""
    new = "activation_checkpointing"
    return new if new in config_class.__dataclass_fields__ else "gradient_checkpointing"
