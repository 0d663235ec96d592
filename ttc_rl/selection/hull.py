"""HullFT (arXiv 2605.30337): rebuild each target from a few corpus tasks, and train on those.

Frank-Wolfe finds weights w on the simplex that bring X^T w near to a target t; a task's part of the
curriculum is its weight, rounded to whole repetitions. The paper has one query; with several, the
weights of all are added, so each target has an equal part.
"""

from __future__ import annotations

import numpy as np

from ttc_rl.selection.problem import Problem
from ttc_rl.selection.shares import whole_numbers
from ttc_rl.selection.sift import tiles

# N corpus tasks, M targets, D embedding size.
STEPS = 50


def hull(problem: Problem) -> list[int]:
    """Return the tasks of the hulls, the heaviest first, each as often as its weight says. O(50 N M
    D)."""
    weight_N = hull_weights(problem).sum(axis=1)
    used = np.flatnonzero(weight_N)
    unlimited = np.full(len(used), problem.size)
    counts = whole_numbers(weight_N[used] / weight_N.sum(), problem.size, unlimited)
    ranked = sorted(range(len(used)), key=lambda i: (-weight_N[used[i]], used[i]))
    return [int(used[i]) for turn in range(int(counts.max())) for i in ranked if turn < counts[i]]


def hull_weights(problem: Problem) -> np.ndarray:
    """Return the weights of the corpus tasks for each target; shape (N, M), columns sum to 1.

    Each step moves towards the task x with the largest x^T (t - X^T w), by the best length.
    """
    t_MD = np.asarray(problem.target_MD, np.float64)
    weight_NM = np.zeros((len(problem.corpus_ND), len(t_MD)))
    found_MD = np.zeros_like(t_MD)
    every = np.arange(len(t_MD))
    for step in range(STEPS):
        best_M = _best_rows(problem, t_MD - found_MD)
        x_MD = np.asarray(problem.corpus_ND[best_M], np.float64)
        way_MD, length_M = x_MD - found_MD, np.ones(len(t_MD))
        if step:
            squares_M = (way_MD**2).sum(axis=1)
            along_M = (way_MD * (t_MD - found_MD)).sum(axis=1)
            length_M = np.clip(along_M / np.where(squares_M == 0, 1.0, squares_M), 0.0, 1.0)
        found_MD += length_M[:, None] * way_MD
        weight_NM *= 1 - length_M
        weight_NM[best_M, every] += length_M
    return weight_NM


def _best_rows(problem: Problem, residual_MD: np.ndarray) -> np.ndarray:
    """Return, for each target, the row with the largest inner product with the target's
    residual."""
    best_M, value_M = np.zeros(len(residual_MD), int), np.full(len(residual_MD), -np.inf)
    for tile in tiles(len(problem.corpus_ND)):
        product_rM = np.asarray(problem.corpus_ND[tile], np.float64) @ residual_MD.T
        row_M = product_rM.argmax(axis=0)
        found_M = product_rM[row_M, np.arange(len(row_M))]
        better_M = found_M > value_M
        best_M[better_M], value_M[better_M] = row_M[better_M] + tile.start, found_M[better_M]
    return best_M
