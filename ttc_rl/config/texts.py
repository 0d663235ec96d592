"""A study of test-time training on plain text: `ttc-rl ttt STUDY.yaml`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from ttc_rl.config.corpus import EmbedConfig
from ttc_rl.config.loading import parsed_overrides, read_tree
from ttc_rl.config.places import did_you_mean
from ttc_rl.config.section import Section, merge
from ttc_rl.schema import UserError

Study = TypeVar("Study", bound=Section)
SELECTORS = ("random", "nearest", "sift")


class ByteModelConfig(Section):
    """A small model of bytes, trained here on a part of the texts that is nothing else's."""

    hidden: int = Field(default=96, gt=0)
    """Width of the hidden states."""
    layers: int = Field(default=2, gt=0)
    """Number of transformer layers."""
    mlp: int = Field(default=288, gt=0)
    """Width of each layer's MLP."""
    steps: int = Field(default=300, ge=0)
    """Optimiser steps of 16 passages each."""


class TextStudy(Section):
    """Per target: the base model, a gradient step on each pick, bits per byte, and back."""

    model: str | None = None
    """A Hugging Face model id or a local folder."""
    bytes: ByteModelConfig | None = None
    """A small model trained from scratch, in the place of `model`."""
    texts: Annotated[list[str], Field(min_length=1)]
    """Files by pattern (`docs/**/*.md`), or `package:NAME` for the sources of an installed
    package. A file is a target's, the store's or the base model's, by its hash."""
    passage: int = Field(default=512, ge=64)
    """Bytes of a passage, at most; it ends at the end of a line where there is one."""
    store: int = Field(default=2000, gt=0)
    """Passages to choose from, drawn at random, echoes not counted."""
    echoes: int = Field(default=0, ge=0)
    """Near-duplicates of every passage of the store: with a word left out in two places."""
    targets: int = Field(default=32, gt=1)
    """Passages that are tested, for each seed others."""
    candidates: int = Field(default=200, gt=0)
    """The store's passages nearest to a target by cosine, among which SIFT chooses."""
    picks: int = Field(default=20, gt=0)
    """Passages to train on, one gradient step each, in the selector's order."""
    noise: float = Field(default=0.01, gt=0)
    """SIFT's lambda."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of AdamW, constant."""
    arms: list[Literal["random", "nearest", "sift"]] = list(SELECTORS)
    """Selectors, each for every target."""
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    """Of the targets and the store drawn, and of random picks."""
    embed: EmbedConfig = EmbedConfig()
    """Settings of the vectors that passages are compared by."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.model is None) == (self.bytes is None):
            raise ValueError("model: name one, or a `bytes:` block to train one, not both")
        if self.picks > self.candidates:
            raise ValueError(f"picks: {self.picks} of {self.candidates} candidates: take fewer")
        return self


def load_study(path: Path, overrides: Sequence[str] = ()) -> TextStudy:
    """Read a study, with `a.b=value` from the command line. Raises UserError in one line."""
    tree: dict[str, Any] = functools.reduce(merge, parsed_overrides(overrides), read_tree(path))
    return checked(TextStudy, path, tree)


def checked(kind: type[Study], path: Path, tree: dict[str, Any]) -> Study:
    """Return the study that a file holds. Raises UserError in one line."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            hint = did_you_mean(key, kind.model_fields)
            raise UserError(f"{path}: {key}: unknown key{hint}") from None
        message = problem["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}: {': '.join(filter(None, [key, message]))}") from None
