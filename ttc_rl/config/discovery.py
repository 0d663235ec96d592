"""A study of discovery, training on the one problem that is to be solved: `ttc-rl discover`."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, PrivateAttr, model_validator

from ttc_rl.config.loading import parsed_overrides, read_tree
from ttc_rl.config.section import Section, merge
from ttc_rl.config.texts import checked
from ttc_rl.config.train import AdapterConfig

Way = Literal["best-of-n", "reuse", "train", "mean", "discover"]
WAYS: tuple[Way, ...] = get_args(Way)
"""Draw from the model as it is; go on from good answers; train, always from the start; train for
the mean reward and go on from good answers; train for the best one and go on from good answers."""


class ScheduleConfig(Section):
    """Scheduling problems made here, with a small model that has learned to propose schedules."""

    jobs: int = Field(default=16, gt=1)
    """Jobs of a problem, each of 10 to 99 minutes."""
    machines: int = Field(default=4, gt=1, le=10)
    """Machines that share them; the longest busy one counts."""
    count: int = Field(default=10, gt=0)
    """Problems."""
    hidden: int = Field(default=64, gt=0)
    """Width of the model's hidden states."""
    layers: int = Field(default=2, gt=0)
    """Number of its transformer layers."""
    mlp: int = Field(default=192, gt=0)
    """Width of each layer's MLP."""
    pretraining: int = Field(default=400, ge=0)
    """Optimiser steps in which it learns to write a schedule, and to change a few jobs of one."""


class DiscoveryStudy(Section):
    """The best answer to each problem, found while the model trains on it (arXiv 2601.16175)."""

    model: str | None = None
    """A Hugging Face model id or a local folder."""
    problems: str | None = None
    """A jsonl file: `id`, `prompt` with the place `{answer}`, perhaps also `{value}`, where the
    answer to be improved stands; perhaps `start`, a list of answers to begin with."""
    score: str | None = None
    """`my_module:function`, called with (problem, completion): a problem's row and the text that
    the model wrote. Returns the answer in it and its value, of which more is better, or None."""
    schedules: ScheduleConfig | None = None
    """Problems and model made here, in the place of the three above."""
    ways: Annotated[list[Way], Field(min_length=1)] = list(WAYS)
    """What is compared, each with the same number of completions."""
    steps: int = Field(default=50, gt=0)
    """Updates of a problem's model."""
    groups: int = Field(default=8, gt=0)
    """Answers that a step goes on from."""
    rollouts: int = Field(default=64, gt=1)
    """Completions for each of them."""
    floor: float = 0.0
    """What a completion pays that holds no answer; no answer may be worth less."""
    tilt: float = Field(default=math.log(2), gt=0)
    """Nats by which a group's weights may differ from equal ones, which sets the entropic
    objective's beta."""
    exploration: float = Field(default=1.0, ge=0)
    """PUCT's c: how much an answer gains that was rarely gone on from."""
    children: int = Field(default=2, gt=0)
    """Best new answers that are kept of each answer gone on from."""
    archive: int = Field(default=1000, gt=0)
    """Answers kept to go on from."""
    learning_rate: float = Field(default=4e-5, gt=0)
    """Constant."""
    kl: float = Field(default=0.0, ge=0)
    """Weight of the divergence from the model at the start."""
    max_completion_tokens: int = Field(default=2048, gt=0)
    """Longer completions are cut, and hold no answer."""
    save_steps: int = Field(default=10, gt=0)
    """Steps between two checkpoints."""
    lora: AdapterConfig | None = None
    """Train an adapter instead of all weights."""
    trl: dict[str, Any] = {}
    """Further fields of TRL's GRPOConfig, such as `use_vllm`."""
    dtype: Literal["bfloat16", "float32"] | None = None
    """Numbers to compute with; bfloat16 on a GPU, float32 elsewhere when left out."""
    seed: int = 0
    """Of the problems that are made, and of all that is drawn."""
    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """Return the folder of the study's file, where the function's module is looked for."""
        return self._folder

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        own = {"model": self.model, "problems": self.problems, "score": self.score}
        if self.schedules is not None:
            if named := [name for name, value in own.items() if value is not None]:
                raise ValueError(f"schedules: come with their own {named[0]}; leave one out")
        elif missing := [name for name, value in own.items() if value is None]:
            raise ValueError(f"{missing[0]}: name one, or a `schedules:` block to have all made")
        return self


def load_discovery(
    path: Path, overrides: Annotated[Sequence[str], "a.b=value"] = ()
) -> DiscoveryStudy:
    """Read a study. Raises UserError in one line."""
    tree: dict[str, Any] = functools.reduce(merge, parsed_overrides(overrides), read_tree(path))
    study = checked(DiscoveryStudy, path, tree)
    study._folder = path.parent  # pyright: ignore[reportPrivateUsage]
    return study
