"""What is known of the targets after some observations: a linear-Gaussian model, in float64.

Prior covariance I over weights, observation noise lambda_i of row i. After rows X the posterior
covariance is S = (I + X^T L^-1 X)^-1 with L = diag(lambda), and the variance left of target t is
t^T S t. Observing x as well takes S x x^T S / (lambda_x + x^T S x) off S.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttc_rl.selection.arrays import Array, Numpy, Torch

# M targets, D embedding size, k observations, r rows.
ZERO = 1e-24
"""Gains below this share of the targets' initial variance are rounding: they count as none."""


@dataclass(frozen=True)
class Observation:
    """A row x observed: w = S x, s = lambda + x^T w, c = T w, z = S T^T c, all before it."""

    index: int
    w_D: Array
    z_D: Array
    s: float
    c_M: Array
    cc: float

    @property
    def gain(self) -> float:
        """Return by how much the pick lowered the summed variance of the targets."""
        return self.cc / self.s


Saved = tuple[Any, Any, int]


class Posterior:
    """S = B - F^T F, with one row w / sqrt(s) of F for each observation since B was made.

    F is folded into B when it is so long that using both costs more than B alone; until the first
    time B is the identity and takes no room.
    """

    def __init__(self, xp: Numpy | Torch, target_MD: Array) -> None:
        self.xp, self.t_MD = xp, target_MD
        self.zero = ZERO * float((target_MD**2).sum())
        self.dimensions = target_MD.shape[1]
        self.base_DD: Array | None = None
        self.f_kD, self.count = self._rows(16), 0

    def _rows(self, count: int) -> Array:
        return self.xp.full((count, self.dimensions), 0.0, self.xp.float64)

    def times(self, x: Array, at: Saved | None = None) -> Array:
        """Return S x for one row x or several, now or as saved."""
        base_DD, f_kD, count = at or self.saved()
        f_kD = f_kD[:count]
        return (x if base_DD is None else x @ base_DD) - (x @ f_kD.T) @ f_kD

    def observe(self, index: int, x_D: Array, noise: float) -> Observation:
        w_D = self.times(x_D)
        c_M = self.t_MD @ w_D
        s, cc = noise + float(x_D @ w_D), float(c_M @ c_M)
        seen = Observation(index, w_D, self.times(c_M @ self.t_MD), s, c_M, cc)
        self.repeat(seen)
        return seen

    def repeat(self, seen: Observation) -> None:
        if self.count == len(self.f_kD):
            longer = self._rows(2 * self.count)
            longer[: self.count] = self.f_kD
            self.f_kD = longer
        self.f_kD[self.count] = seen.w_D / math.sqrt(seen.s)
        self.count += 1
        if 2 * self.count >= self.dimensions:
            self.base_DD = self.times(self.xp.array(np.eye(self.dimensions)))
            self.f_kD, self.count = self._rows(16), 0

    def saved(self) -> Saved:
        """Return the present state, which is good until the posterior is restored to an earlier
        one."""
        return self.base_DD, self.f_kD, self.count

    def restore(self, saved: Saved) -> None:
        self.base_DD, self.f_kD, self.count = saved

    def g(self) -> Array:
        """Return G = T S; shape (M, D)."""
        return self.times(self.t_MD)

    def qv(self, x_rD: Array, at: Saved | None = None) -> tuple[Array, Array]:
        """Return sum_t (t^T S x)^2 and x^T S x of each row, now or as saved."""
        w_rD = self.times(x_rD, at)
        cross_rM = w_rD @ self.t_MD.T
        squares_r = self.xp.einsum("rm,rm->r", cross_rM, cross_rM)
        return squares_r, self.xp.einsum("rd,rd->r", w_rD, x_rD)


def compressed(target_MD: np.ndarray) -> np.ndarray:
    """Return at most D rows with the same Gram matrix T^T T, hence the same summed gains."""
    if target_MD.shape[0] <= target_MD.shape[1]:
        return target_MD
    return np.asarray(np.linalg.qr(target_MD, mode="r"))


def variances(
    rows_nD: np.ndarray, target_MD: np.ndarray, noise: float | Sequence[float] | np.ndarray
) -> np.ndarray:
    """Return each target's variance after 0, 1, ..., n of the rows; shape (n + 1, M), float64.

    `noise` is one number, or one for each row.
    """
    rows_nD = np.asarray(rows_nD, np.float64)
    posterior = Posterior(Numpy(), np.asarray(target_MD, np.float64))
    left_nM = np.empty((len(rows_nD) + 1, len(target_MD)))
    left_nM[0] = np.einsum("md,md->m", posterior.t_MD, posterior.t_MD)
    for step, (row_D, noise_i) in enumerate(
        zip(rows_nD, np.broadcast_to(noise, len(rows_nD)), strict=True)
    ):
        seen = posterior.observe(step, row_D, float(noise_i))
        left_nM[step + 1] = left_nM[step] - seen.c_M**2 / seen.s
    return left_nM
