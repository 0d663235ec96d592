"""GradAlign (arXiv 2602.21492): the tasks whose policy gradient, at the model as it is now, points
where that of the target prompts does.

    score_i = cos(g_i, sum over targets j of g_j / |g_j|),   g = grad of sum_r A_r log pi(y_r) / G

The paper's validation set has golds. Target prompts here have none that training may read: their
rewards are the votes of their own completions. A task whose rollouts are all alike has no gradient,
and a score of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ttc_rl.train.curriculum.following import Following, Seen

# N tasks of the pool, M targets, F features of a gradient.


class GradAlign(Following):
    """Its `look` returns features of gradients, not embeddings; it is set by the trainer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.score_N = np.zeros(len(self.pool))
        self.rate_N = self.prior_N.copy()
        self.alignment = 0.0
        """Mean score of the step's tasks."""

    def see(self, corpus_ND: np.ndarray, target_MD: np.ndarray) -> None:
        """Take gradients, shapes (N, F) and (M, F)."""
        towards_F = unit(target_MD).sum(axis=0)
        self.score_N = unit(corpus_ND) @ unit(towards_F[None])[0]

    def success_N(self) -> np.ndarray:
        return self.rate_N

    def learn(self, seen: Sequence[Seen]) -> None:
        for observed in seen:
            self.rate_N[observed.row] = observed.rate

    def choose(self, rows: np.ndarray, size: int) -> list[int]:
        order = np.argsort(-self.score_N[rows], kind="stable")
        return rows[order[:size]].tolist()

    def next_tasks(self, count: int) -> list[str]:
        taken = super().next_tasks(count)
        self.alignment = float(self.score_N[[self.row_of[task] for task in taken]].mean())
        return taken

    def metrics(self) -> dict[str, float]:
        return super().metrics() | {"alignment": self.alignment}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "scores": self.score_N.tolist(),
            "rates": self.rate_N.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.score_N, self.rate_N = np.array(state["scores"]), np.array(state["rates"])


def unit(vectors_nF: np.ndarray) -> np.ndarray:
    """Return the vectors at length 1; those of length 0 as they are."""
    lengths_n1 = np.linalg.norm(vectors_nF, axis=1, keepdims=True)
    return vectors_nF / np.where(lengths_n1 > 0, lengths_n1, 1.0)
