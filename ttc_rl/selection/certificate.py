"""How good a curriculum is, proved: a bound that holds for every curriculum of the same size.

With weights w on the corpus, f(w) = sum_t t^T (I + sum_i w_i x_i x_i^T / lambda)^-1 t is convex,
and a curriculum of n tasks is a 0/1 point of {0 <= w <= 1, sum w <= n}. So from any w there,

    f(w) + min_s <grad f(w), s - w>     with grad_i = -sum_t (t^T S(w) x_i)^2 / lambda

is at most the f of every curriculum of n tasks; the minimum puts weight 1 on the n largest
gradients. Frank-Wolfe steps move w to where this bound is tight. The bound is over curricula
without repetition, from the whole corpus.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ttc_rl.selection.posterior import compressed
from ttc_rl.selection.sift import tiles

# N corpus tasks, M targets, D embedding size, n tasks of the curriculum.
STEPS = 40


@dataclass(frozen=True)
class Certificate:
    """Summed target variances. `share` of what any curriculum of this size could remove."""

    start: float
    after: float
    lower_bound: float
    share: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def certify(
    corpus_ND: np.ndarray, target_MD: np.ndarray, chosen: np.ndarray, noise: float
) -> Certificate:
    """The certificate of the tasks `chosen` (row numbers), after at most `STEPS` passes."""
    t_MD = compressed(np.asarray(target_MD, np.float64))
    identity_DD = np.eye(t_MD.shape[1])
    size, weights_N = len(chosen), np.zeros(len(corpus_ND))
    weights_N[chosen] = 1.0
    gram_DD = _gram(corpus_ND, chosen)
    start, after = float((t_MD**2).sum()), _variance(t_MD, identity_DD + gram_DD / noise)
    bound = 0.0
    for _ in range(STEPS):
        g_MD = np.linalg.solve(identity_DD + gram_DD / noise, t_MD.T).T
        q_N = _cross_squares(corpus_ND, g_MD)
        largest = np.argpartition(-q_N, size - 1)[:size]
        gap = float(q_N[largest].sum() - weights_N @ q_N) / noise
        bound = max(bound, float((g_MD * t_MD).sum()) - gap)
        if gap <= 1e-3 * (start - bound):
            break
        other_DD = _gram(corpus_ND, largest)
        move = _line_search(t_MD, gram_DD, other_DD, noise)
        gram_DD = (1 - move) * gram_DD + move * other_DD
        weights_N *= 1 - move
        weights_N[largest] += move
    removable = start - bound
    share = (start - after) / removable if removable > 0 else 1.0
    return Certificate(start, after, bound, min(share, 1.0))


def coverage(
    corpus_ND: np.ndarray, target_MD: np.ndarray, chosen: np.ndarray, noise: float
) -> list[dict[str, float]]:
    """For each target its variance at the start, after the curriculum, and if all were observed."""
    t_MD = np.asarray(target_MD, np.float64)
    everything = np.arange(len(corpus_ND))
    start_M = np.einsum("md,md->m", t_MD, t_MD)
    after_M, floor_M = (
        np.einsum(
            "md,dm->m",
            t_MD,
            np.linalg.solve(np.eye(t_MD.shape[1]) + _gram(corpus_ND, rows) / noise, t_MD.T),
        )
        for rows in (chosen, everything)
    )
    return [
        {"start": float(start), "after": float(after), "floor": float(floor)}
        for start, after, floor in zip(start_M, after_M, floor_M, strict=True)
    ]


def _gram(corpus_ND: np.ndarray, rows: np.ndarray) -> np.ndarray:
    total_DD = np.zeros((corpus_ND.shape[1],) * 2)
    for tile in tiles(len(rows)):
        x_rD = np.asarray(corpus_ND[rows[tile]], np.float64)
        total_DD += x_rD.T @ x_rD
    return total_DD


def _cross_squares(corpus_ND: np.ndarray, g_MD: np.ndarray) -> np.ndarray:
    """sum_t (t^T S x)^2 of every task."""
    q_N = np.empty(len(corpus_ND))
    for tile in tiles(len(corpus_ND)):
        cross_rM = np.asarray(corpus_ND[tile], np.float64) @ g_MD.T
        q_N[tile] = np.einsum("rm,rm->r", cross_rM, cross_rM)
    return q_N


def _variance(t_MD: np.ndarray, precision_DD: np.ndarray) -> float:
    return float((t_MD * np.linalg.solve(precision_DD, t_MD.T).T).sum())


def _line_search(
    t_MD: np.ndarray, gram_DD: np.ndarray, other_DD: np.ndarray, noise: float
) -> float:
    """The move in [0, 1] that lowers f most, to about 1 %: f is convex along it."""
    low, high, identity_DD = 0.0, 1.0, np.eye(t_MD.shape[1])

    def value(move: float) -> float:
        mixed_DD = (1 - move) * gram_DD + move * other_DD
        return _variance(t_MD, identity_DD + mixed_DD / noise)

    while high - low > 0.01:
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if value(left) < value(right):
            high = right
        else:
            low = left
    return (low + high) / 2
