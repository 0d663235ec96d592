"""The argument of every selector."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttc_rl.schema import UserError
from ttc_rl.selection.influence import Influence
from ttc_rl.vectors import Vectors

# N corpus tasks, M targets, D embedding size.


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """Embeddings and what else is known of the tasks. No gold of a target is among it."""

    corpus_ND: np.ndarray | Vectors
    target_MD: np.ndarray
    size: int
    noise: float = 0.1
    """The paper's lambda."""
    seed: int = 0
    success: np.ndarray | None = None
    """Estimated chance that the model solves each corpus task now."""
    corpus_groups: Sequence[str | None] | None = None
    target_groups: Sequence[str | None] | None = None
    corpus_kinds: Sequence[str] | None = None
    target_kinds: Sequence[str] | None = None
    features: Influence | None = None
    """What the model's gradients say of the tasks; for `less`."""

    def __post_init__(self) -> None:
        corpus, targets = self.corpus_ND.shape, self.target_MD.shape
        if len(corpus) != 2 or len(targets) != 2 or corpus[1] != targets[1]:
            raise UserError(
                f"embeddings must be (tasks, dimensions) with equal dimensions, got {corpus} "
                f"and {targets}"
            )
        if not targets[0]:
            raise UserError("no target to select for")
        if targets[0] > corpus[0]:
            logger.warning(
                f"the target ({targets[0]} tasks) is larger than the corpus ({corpus[0]}): "
                "are they swapped? A corpus should hold many tasks for each target"
            )
        if not 0 < self.size <= corpus[0]:
            raise UserError(
                f"selection.size {self.size}, but the corpus holds {corpus[0]} tasks: "
                "lower the size or add a source"
            )

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def known(self, name: str, method: str) -> Any:
        """Return a field that `method` cannot do without. Raises where the caller did not give
        it."""
        value = getattr(self, name)
        if value is None:
            raise UserError(f"selection.method {method} needs {name} of select()")
        return value

    @property
    def success_N(self) -> np.ndarray:
        if self.success is None:
            raise UserError(
                "no estimate of how often the model solves each task: give the recipe a "
                "`selection.difficulty:` block, or select() `success`"
            )
        success_N = np.asarray(self.success, np.float64)
        if success_N.shape != (len(self.corpus_ND),):
            raise UserError(f"success must be one number a corpus task, got {success_N.shape}")
        if not ((success_N >= 0) & (success_N <= 1)).all():
            raise UserError("success must lie between 0 and 1 for every corpus task")
        return success_N
