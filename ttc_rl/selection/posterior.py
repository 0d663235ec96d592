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
DENSE = 1024
"""S is kept whole up to this D; above, what the observations took off it, row by row."""


@dataclass(frozen=True)
class Observation:
    """A row x observed: w = S x, s = lambda + x^T w, c = G x, z = G^T c, all before it."""

    index: int
    w_D: Array
    z_D: Array
    s: float
    c_M: Array
    cc: float

    @property
    def gain(self) -> float:
        """By how much it lowered the summed variance of the targets."""
        return self.cc / self.s


class Posterior:
    """S, and G = T S."""

    def __init__(self, xp: Numpy | Torch, target_MD: Array, *, dense: bool | None = None) -> None:
        self.xp, self.g_MD = xp, xp.copy(target_MD)
        self.zero = ZERO * float((target_MD**2).sum())
        dimensions = target_MD.shape[1]
        dense = dimensions <= DENSE if dense is None else dense
        self.s: _Dense | _LowRank = (_Dense if dense else _LowRank)(xp, dimensions)

    def observe(self, index: int, x_D: Array, noise: float) -> Observation:
        w_D, c_M = self.s.times(x_D), self.g_MD @ x_D
        seen = Observation(
            index, w_D, c_M @ self.g_MD, noise + float(x_D @ w_D), c_M, float(c_M @ c_M)
        )
        self.repeat(seen)
        return seen

    def repeat(self, seen: Observation) -> None:
        self.s.subtract(seen.w_D, seen.s)
        self.g_MD -= self.xp.outer(seen.c_M, seen.w_D / seen.s)

    def saved(self) -> tuple[Any, Array]:
        return self.s.saved(), self.xp.copy(self.g_MD)

    def restore(self, saved: tuple[Any, Array]) -> None:
        self.s.restore(saved[0])
        self.g_MD = self.xp.copy(saved[1])

    def v(self, x_rD: Array, at: tuple[Any, Array] | None = None) -> Array:
        """x^T S x of each row, now or as saved."""
        return self.s.quadratic(x_rD, None if at is None else at[0])

    def q(self, x_rD: Array, at: tuple[Any, Array] | None = None) -> Array:
        """sum_t (t^T S x)^2 of each row, now or as saved."""
        cross_rM = x_rD @ (self.g_MD if at is None else at[1]).T
        return self.xp.einsum("rm,rm->r", cross_rM, cross_rM)


class _Dense:
    """S itself: D x D."""

    def __init__(self, xp: Numpy | Torch, dimensions: int) -> None:
        self.xp, self.s_DD = xp, xp.array(np.eye(dimensions))

    def times(self, x_D: Array) -> Array:
        return self.s_DD @ x_D

    def quadratic(self, x_rD: Array, saved: Array | None) -> Array:
        return self.xp.einsum("rd,rd->r", x_rD @ (self.s_DD if saved is None else saved), x_rD)

    def subtract(self, w_D: Array, s: float) -> None:
        self.s_DD -= self.xp.outer(w_D, w_D / s)

    def saved(self) -> Array:
        return self.xp.copy(self.s_DD)

    def restore(self, saved: Array) -> None:
        self.s_DD = self.xp.copy(saved)


class _LowRank:
    """S = I - F^T F with one row w / sqrt(s) of F an observation."""

    def __init__(self, xp: Numpy | Torch, dimensions: int) -> None:
        self.xp, self.count = xp, 0
        self.f_kD = xp.full((64, dimensions), 0.0, xp.float64)

    def times(self, x_D: Array) -> Array:
        f_kD = self.f_kD[: self.count]
        return x_D - (f_kD @ x_D) @ f_kD

    def quadratic(self, x_rD: Array, saved: int | None) -> Array:
        fx_rk = x_rD @ self.f_kD[: self.count if saved is None else saved].T
        squares_r = self.xp.einsum("rd,rd->r", x_rD, x_rD)
        return squares_r - self.xp.einsum("rk,rk->r", fx_rk, fx_rk)

    def subtract(self, w_D: Array, s: float) -> None:
        if self.count == len(self.f_kD):
            larger = self.xp.full((2 * self.count, self.f_kD.shape[1]), 0.0, self.xp.float64)
            larger[: self.count] = self.f_kD
            self.f_kD = larger
        self.f_kD[self.count] = w_D / math.sqrt(s)
        self.count += 1

    def saved(self) -> int:
        return self.count

    def restore(self, saved: int) -> None:
        self.count = saved


def compressed(target_MD: np.ndarray) -> np.ndarray:
    """At most D rows with the same Gram matrix T^T T, hence the same summed gains."""
    if target_MD.shape[0] <= target_MD.shape[1]:
        return target_MD
    return np.asarray(np.linalg.qr(target_MD, mode="r"))


def variances(
    rows_nD: np.ndarray, target_MD: np.ndarray, noise: float | Sequence[float] | np.ndarray
) -> np.ndarray:
    """Each target's variance after 0, 1, ..., n of the rows; shape (n + 1, M), float64.

    `noise` is one number, or one for each row.
    """
    rows_nD = np.asarray(rows_nD, np.float64)
    posterior = Posterior(Numpy(), np.asarray(target_MD, np.float64))
    left_nM = np.empty((len(rows_nD) + 1, len(target_MD)))
    left_nM[0] = np.einsum("md,md->m", posterior.g_MD, posterior.g_MD)
    for step, (row_D, noise_i) in enumerate(
        zip(rows_nD, np.broadcast_to(noise, len(rows_nD)), strict=True)
    ):
        seen = posterior.observe(step, row_D, float(noise_i))
        left_nM[step + 1] = left_nM[step] - seen.c_M**2 / seen.s
    return left_nM
