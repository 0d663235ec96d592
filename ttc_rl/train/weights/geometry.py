"""What training changed, module by module: how many weights, how far, in how many directions.

"Reinforcement learning changes 5 to 30 % of the weights" (arXiv 2505.11711) counts weights that
differ as bfloat16 numbers, so that the share also says how small the steps were: learning rate,
number of steps and the dtype compared belong beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from ttc_rl.schema import UserError
from ttc_rl.train.weights.patches import tensors_in

WIDEST = 4096
"""Of a matrix, the shorter side up to which its singular values are computed."""


@dataclass(frozen=True)
class Changed:
    """The weights of one kind of module, over all layers."""

    module: str
    weights: int
    changed: float
    """Share that differs as bfloat16 numbers."""
    relative: float
    """Norm of the change over the norm of the base's weights."""
    rank: float | None
    """Mean effective rank of the change, exp of the entropy of its singular values' shares; None
    for vectors and what is too large."""
    full_rank: int | None
    """The most that rank could be."""


def changes(base: Path, model: Path) -> list[Changed]:
    """Return the change of every kind of module, and last that of all weights.

    Raises UserError for models of other shapes.
    """
    before, after = dict(tensors_in(base)), dict(tensors_in(model))
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())[0]
        raise UserError(f"{model}: was not trained from {base}: only one of them has {odd}")
    kinds: dict[str, list[_One]] = {}
    for name in before:
        one = _compared(_read(before[name], name), _read(after[name], name))
        kinds.setdefault(kind_of(name), []).append(one)
    every = [one for those in kinds.values() for one in those]
    return [*(_together(kind, those) for kind, those in kinds.items()), _together("all", every)]


def kind_of(name: str) -> str:
    """Return `mlp.up_proj` of `model.layers.3.mlp.up_proj.weight`: what it is in every layer."""
    inside = re.sub(r"^.*?\.(layers|h|blocks)\.\d+\.", "", name)
    return inside.removesuffix(".weight").removeprefix("model.")


@dataclass(frozen=True)
class _One:
    weights: int
    changed: int
    square: float
    base_square: float
    rank: float | None
    full_rank: int | None


def _compared(old: torch.Tensor, new: torch.Tensor) -> _One:
    if old.shape != new.shape:
        raise UserError(f"a tensor is {tuple(new.shape)}, in the base {tuple(old.shape)}")
    short = [part.to(torch.bfloat16) for part in (old, new)]
    difference = new.double() - old.double()
    square = float(difference.square().sum())
    matrix = old.ndim == 2 and min(old.shape) <= WIDEST and square > 0
    return _One(
        old.numel(),
        int((short[0] != short[1]).sum()),
        square,
        float(old.double().square().sum()),
        effective_rank(difference) if matrix else None,
        min(old.shape) if old.ndim == 2 else None,
    )


def effective_rank(matrix: torch.Tensor) -> float:
    """Return exp(- sum p log p), p the singular values over their sum: between 1 and the shorter
    side."""
    values = torch.linalg.svdvals(matrix.float()).double()
    shares = values[values > 0] / values.sum()
    return float(torch.exp(-(shares * shares.log()).sum()))


def _together(kind: str, those: Iterable[_One]) -> Changed:
    ones = list(those)
    weights = sum(one.weights for one in ones)
    ranks = [one.rank for one in ones if one.rank is not None]
    sides = [one.full_rank for one in ones if one.full_rank is not None]
    norm = sum(one.base_square for one in ones)
    return Changed(
        kind,
        weights,
        sum(one.changed for one in ones) / weights,
        float(np.sqrt(sum(one.square for one in ones) / norm)) if norm else 0.0,
        float(np.mean(ranks)) if ranks and kind != "all" else None,
        max(sides) if sides and kind != "all" else None,
    )


def _read(path: Path, name: str) -> torch.Tensor:
    with safe_open(path, "pt") as file:
        return file.get_tensor(name)
