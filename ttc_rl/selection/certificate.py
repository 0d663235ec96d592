"""How good a curriculum is, proved: a bound that holds for every curriculum of the same size.

With weights w on the corpus, f(w) = sum_t t^T (I + sum_i w_i x_i x_i^T / lambda_i)^-1 t is convex,
and a curriculum of n tasks is a whole-numbered point of {0 <= w <= 1, sum w <= n}, or, where tasks
may be repeated, of {0 <= w, sum w <= n}. So from any w there,

    f(w) + min_s <grad f(w), s - w>     with grad_i = -sum_t (t^T S(w) x_i)^2 / lambda_i

is at most the f of every curriculum of n tasks; the minimum puts weight 1 on the n largest
gradients (all of n on the largest). Frank-Wolfe steps move w to where this bound is tight. Since
the whole corpus is looked at, the bound also says what a pre-filter may have cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ttc_rl.selection.posterior import compressed
from ttc_rl.selection.sift import tiles
from ttc_rl.vectors import Vectors

# N corpus tasks, M targets, D embedding size, n tasks of the curriculum.
STEPS = 40
Noise = float | Sequence[float] | np.ndarray


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
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
    chosen: Sequence[int] | np.ndarray,
    noise: Noise,
    *,
    size: int | None = None,
    repeat: bool = False,
    enough: float = 1e-3,
) -> Certificate:
    """Return the certificate of the tasks `chosen` (row numbers), after at most `STEPS` passes.

    Against curricula of `size` tasks, as many as chosen when left out. `noise` is lambda, one
    number or one a corpus task. It stops at a bound that is off by at most the share `enough`.
    """
    t_MD = compressed(np.asarray(target_MD, np.float64))
    noise_N = np.broadcast_to(np.asarray(noise, np.float64), len(corpus_ND))
    size = len(chosen) if size is None else size
    weight_N = np.bincount(np.asarray(chosen, int), minlength=len(corpus_ND)).astype(np.float64)
    gram_DD = _gram(corpus_ND, weight_N / noise_N)
    start, after = float((t_MD**2).sum()), _variance(t_MD, gram_DD)
    bound = 0.0
    for _ in range(STEPS):
        g_MD = np.linalg.solve(np.eye(len(gram_DD)) + gram_DD, t_MD.T).T
        slope_N = _cross_squares(corpus_ND, g_MD) / noise_N
        towards_N = np.zeros(len(corpus_ND))
        if repeat:
            towards_N[slope_N.argmax()] = size
        else:
            towards_N[np.argpartition(-slope_N, size - 1)[:size]] = 1.0
        gap = float((towards_N - weight_N) @ slope_N)
        bound = max(bound, float((g_MD * t_MD).sum()) - gap)
        if gap <= enough * (start - bound):
            break
        other_DD = _gram(corpus_ND, towards_N / noise_N)
        move = _line_search(t_MD, gram_DD, other_DD)
        gram_DD = (1 - move) * gram_DD + move * other_DD
        weight_N = (1 - move) * weight_N + move * towards_N
    removable = start - bound
    share = (start - after) / removable if removable > 0 else 1.0
    return Certificate(start, after, bound, min(share, 1.0))


@dataclass(frozen=True)
class Coverage:
    """What is left of each target's variance, and of a direction that has nothing to do with it."""

    targets: list[dict[str, float]]
    """`start`, `after` the curriculum, `floor` if all tasks were observed, and `cosine` with the
    nearest corpus task."""
    random: dict[str, float]
    """`after` and `floor` of a random unit vector, on average: trace(S) / D."""


def coverage(
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
    chosen: Sequence[int] | np.ndarray,
    noise: Noise,
) -> Coverage:
    """Return how much of each target the corpus explains, and how much the curriculum.

    A corpus of many tasks lowers the variance of every direction, related to it or not. The random
    direction shows which part of a target's floor is relation.
    """
    t_MD = np.asarray(target_MD, np.float64)
    noise_N = np.broadcast_to(np.asarray(noise, np.float64), len(corpus_ND))
    picked_N = np.bincount(np.asarray(chosen, int), minlength=len(corpus_ND))
    start_M = np.einsum("md,md->m", t_MD, t_MD)
    floors: dict[str, np.ndarray] = {}
    random: dict[str, float] = {}
    for name, weight_N in (("after", picked_N / noise_N), ("floor", 1 / noise_N)):
        gram_DD = _gram(corpus_ND, weight_N)
        s_DD = np.linalg.inv(np.eye(len(gram_DD)) + gram_DD)
        floors[name] = np.einsum("md,de,me->m", t_MD, s_DD, t_MD, optimize=True)
        random[name] = float(np.trace(s_DD) / len(s_DD))
    cosine_M = _nearest(corpus_ND, t_MD / np.maximum(np.sqrt(start_M), 1e-12)[:, None])
    columns = {"start": start_M, **floors, "cosine": cosine_M}
    rows = zip(*columns.values(), strict=True)
    return Coverage([dict(zip(columns, map(float, row), strict=True)) for row in rows], random)


def _nearest(corpus_ND: np.ndarray | Vectors, unit_MD: np.ndarray) -> np.ndarray:
    """Return the greatest cosine of each unit vector with a corpus task."""
    greatest_M = np.full(len(unit_MD), -1.0)
    for tile in tiles(len(corpus_ND)):
        x_rD = np.asarray(corpus_ND[tile], np.float64)
        norm_r = np.maximum(np.linalg.norm(x_rD, axis=1), 1e-12)
        greatest_M = np.maximum(greatest_M, (unit_MD @ (x_rD / norm_r[:, None]).T).max(axis=1))
    return greatest_M


def _gram(corpus_ND: np.ndarray | Vectors, weight_N: np.ndarray) -> np.ndarray:
    """Return sum_i w_i x_i x_i^T over the rows of positive weight."""
    rows = np.flatnonzero(weight_N)
    total_DD = np.zeros((corpus_ND.shape[1],) * 2)
    for tile in tiles(len(rows)):
        x_rD = np.asarray(corpus_ND[rows[tile]], np.float64)
        total_DD += (x_rD.T * weight_N[rows[tile]]) @ x_rD
    return total_DD


def _cross_squares(corpus_ND: np.ndarray | Vectors, g_MD: np.ndarray) -> np.ndarray:
    """Return sum_t (t^T S x)^2 of every task."""
    q_N = np.empty(len(corpus_ND))
    for tile in tiles(len(corpus_ND)):
        cross_rM = np.asarray(corpus_ND[tile], np.float64) @ g_MD.T
        q_N[tile] = np.einsum("rm,rm->r", cross_rM, cross_rM)
    return q_N


def _variance(t_MD: np.ndarray, gram_DD: np.ndarray) -> float:
    return float((t_MD * np.linalg.solve(np.eye(len(gram_DD)) + gram_DD, t_MD.T).T).sum())


def _line_search(t_MD: np.ndarray, gram_DD: np.ndarray, other_DD: np.ndarray) -> float:
    """Return the move in [0, 1] that lowers f most, to about 1 %: f is convex along it."""
    low, high = 0.0, 1.0

    def value(move: float) -> float:
        return _variance(t_MD, (1 - move) * gram_DD + move * other_DD)

    while high - low > 0.01:
        lower, upper = low + (high - low) / 3, high - (high - low) / 3
        if value(lower) < value(upper):
            high = upper
        else:
            low = lower
    return (low + high) / 2
