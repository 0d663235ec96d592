"""A sentence encoder whose products are computed in bfloat16, also in processes of its own."""

from __future__ import annotations

from typing import Any

import torch
from sentence_transformers import SentenceTransformer


class InBfloat16(SentenceTransformer):
    """Weights, sums and norms stay float32; autocast multiplies matrices in bfloat16."""

    def forward(self, *arguments: Any, **given: Any) -> Any:
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            found = super().forward(*arguments, **given)
        return {
            name: value.float() if isinstance(value, torch.Tensor) and value.is_floating_point()
            else value
            for name, value in found.items()
        }  # fmt: skip


def in_bfloat16(model: SentenceTransformer) -> SentenceTransformer:
    """Return the same encoder, which computes in bfloat16 from now on."""
    model.__class__ = InBfloat16
    return model
