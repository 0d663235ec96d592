"""A training method: everything in which GRPO and its alternatives differ.

The loop (`train/loop.py`) resumes, watches, saves and vouches, for all methods alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttc_rl.config import Recipe, TrainConfig
from ttc_rl.run_dir import ArmDir
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import Task
from ttc_rl.train.curriculum import Curriculum, Plan
from ttc_rl.verifiers import Graders


@dataclass(frozen=True)
class Setup:
    """One arm's training: the argument of a method."""

    recipe: Recipe
    plan: Plan
    tasks: Mapping[str, Task]
    base: Path | str
    arm: ArmDir
    tokenizer: Any
    graders: Graders
    curriculum: Curriculum | None
    """What chooses the tasks where they follow the model; None trains in the plan's order."""
    track: bool
    """Whether W&B is on."""
    callbacks: list[Any]
    """The loop's callbacks, for the trainer."""
    drawn: Callable[[Sequence[Task]], list[Group]]
    """Draws and grades `train.rollouts_per_task` completions of each task by the base model; what
    was drawn before, by another arm or another stage, is not drawn again."""
    checkpoint: Path | None
    step: int
    """Steps taken before the checkpoint."""
    targets: tuple[str, ...] = ()
    """Ids, among `tasks`, of the target prompts without golds; none where nothing asks for them."""


@dataclass(frozen=True)
class StepCost:
    """What a step does with its tokens: what `ttc-rl plan` prices."""

    sequences: int
    """Completions, or examples, of a step."""
    drawn: bool
    """Whether the model writes them first."""
    scorings: float
    """Forward passes over them, besides those of the updates."""
    iterations: float
    """Forward and backward passes over them: the updates'; a fraction where only some are learned
    from."""


@dataclass(frozen=True)
class Method:
    """A way to change weights."""

    signal: str
    """The key of TRL's logs that every step has: a row of metrics.jsonl, and what the report draws
    first."""
    progress: Callable[[Mapping[str, Any]], str]
    """Return what the console shows of a step's logs."""
    trainer: Callable[[Setup], Any]
    """Return TRL's trainer, which is imported only here."""
    step_cost: Callable[[TrainConfig], StepCost]
    """Counts the passes of a step, without importing TRL."""
    config: Callable[[Recipe, int, ArmDir, bool], Any] | None = None
    """Return TRL's config of so many steps, with W&B or not; it is made once before a run, which
    tells early what TRL would refuse. None leaves that out."""
    examples: bool = False
    """Whether TRL's `num_tokens` counts examples learned from, not all rollouts."""
