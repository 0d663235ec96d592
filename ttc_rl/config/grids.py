"""A study of test-time training on grid puzzles (ARC's format): `ttc-rl arc STUDY.yaml`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from ttc_rl.config.loading import parsed_overrides, read_tree
from ttc_rl.config.section import Section, merge
from ttc_rl.config.texts import checked

METHODS = ("direct", "plain", "augmented")


class GridModelConfig(Section):
    """A small model of grids, trained here: the base, and the base tuned on similar puzzles."""

    hidden: int = Field(default=96, gt=0)
    """Width of the hidden states."""
    layers: int = Field(default=3, gt=0)
    """Number of transformer layers."""
    mlp: int = Field(default=288, gt=0)
    """Width of each layer's MLP."""
    steps: int = Field(default=600, ge=0)
    """Optimiser steps of the base, on puzzles whose grids stay as they are but for colours."""
    tuning_steps: int = Field(default=1200, ge=0)
    """Further steps on puzzles like the tested ones, whose rules are never tested together."""


class GridStudy(Section):
    """The three components of arXiv 2411.07279: fine-tuning on similar puzzles, augmentation of
    what a puzzle shows, and an adapter for each puzzle."""

    model: str | None = None
    """A Hugging Face model id or a local folder; it is tested as it is, without the tuned one."""
    small: GridModelConfig | None = None
    """A small model trained here, in the place of `model`."""
    puzzles: str | None = None
    """A folder of ARC's JSON files, one such file, or a file of many (`..._challenges.json`, with
    `..._solutions.json` beside it); puzzles made here when left out."""
    count: int = Field(default=60, gt=1)
    """Puzzles that are tested."""
    seed: int = 0
    """Of the puzzles that are made, and of all that is drawn."""
    rank: int = Field(default=16, gt=0)
    """Rank of the adapter that each puzzle has."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Of AdamW, constant."""
    items: int = Field(default=64, gt=0)
    """The most leave-one-out tasks made of a puzzle; without augmentation there are fewer."""
    epochs: int = Field(default=2, gt=0)
    """Passes over them."""
    batch: int = Field(default=8, gt=0)
    """Leave-one-out tasks of a step."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.model is None) == (self.small is None):
            raise ValueError("model: name one, or a `small:` block to train one, not both")
        return self


def load_grid_study(path: Path, overrides: Annotated[Sequence[str], "a.b=value"] = ()) -> GridStudy:
    """Read a study. Raises UserError in one line."""
    tree: dict[str, Any] = functools.reduce(merge, parsed_overrides(overrides), read_tree(path))
    return checked(GridStudy, path, tree)
