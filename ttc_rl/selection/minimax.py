"""Greedy for the target that is worst off: minimise max_t t^T S t instead of the sum.

The sum favours targets that are easy to cover; this one never leaves a target behind. One pass of
the corpus a pick, since which target is the worst changes from pick to pick.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ttc_rl.selection.arrays import Numpy
from ttc_rl.selection.posterior import Observation, Posterior
from ttc_rl.selection.sift import TIE, tiles
from ttc_rl.vectors import Vectors

# N corpus tasks, M targets, D embedding size, r rows of a tile.


def minimax(
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
    noise_N: np.ndarray,
    *,
    size: int,
    repeat: bool = False,
    before: tuple[int, ...] = (),
) -> Iterator[Observation]:
    """Yield the picks in order, ties to the lowest index. Memory beside the corpus: 8 x N x (M + 1)
    bytes.

    After a candidate x the variance of target t is left_t - (t^T S x)^2 / (lambda_x + x^T S x).
    """
    t_MD = np.asarray(target_MD, np.float64)
    posterior, left_M = Posterior(Numpy(), t_MD), np.einsum("md,md->m", t_MD, t_MD)
    cross_NM = np.empty((len(corpus_ND), len(left_M)))
    v_N = np.empty(len(corpus_ND))
    for tile in tiles(len(corpus_ND)):
        x_rD = np.asarray(corpus_ND[tile], np.float64)
        cross_NM[tile], v_N[tile] = x_rD @ t_MD.T, np.einsum("rd,rd->r", x_rD, x_rD)
    open_N = np.ones(len(corpus_ND), dtype=bool)
    for step in range(size):
        if step < len(before):
            pick = before[step]
        else:
            pick = _best(cross_NM, v_N + noise_N, left_M, open_N)
        row_D = np.asarray(corpus_ND[np.array([pick])], np.float64)[0]
        seen = posterior.observe(pick, row_D, float(noise_N[pick]))
        left_M = left_M - seen.c_M**2 / seen.s
        open_N[pick] = repeat
        for tile in tiles(len(corpus_ND)):
            u_r = np.asarray(corpus_ND[tile], np.float64) @ seen.w_D
            cross_NM[tile] -= np.outer(u_r, seen.c_M / seen.s)
            v_N[tile] -= u_r**2 / seen.s
        if step >= len(before):
            yield seen


def _best(cross_NM: np.ndarray, level_N: np.ndarray, left_M: np.ndarray, open_N: np.ndarray) -> int:
    """Return the candidate after which the largest variance is smallest. Among equals it is the one
    that lowers the sum most, since a single task can rarely help two targets that are worst off
    together."""
    worst_N, gain_N = np.empty(len(level_N)), np.empty(len(level_N))
    for tile in tiles(len(level_N)):
        drop_rM = cross_NM[tile] ** 2 / level_N[tile, None]
        worst_N[tile], gain_N[tile] = (left_M - drop_rM).max(axis=1), drop_rM.sum(axis=1)
    worst_N[~open_N] = np.inf
    gain_N[worst_N > worst_N.min() + TIE * left_M.max()] = -np.inf
    return int((gain_N >= gain_N.max() - TIE * left_M.sum()).argmax())
