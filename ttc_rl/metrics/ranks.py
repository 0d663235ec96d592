"""Do two lists of numbers rise together? Spearman's rank correlation, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ttc_rl.metrics.estimate import Estimate

Z95 = 1.959963984540054
FIELLER = 1.06
"""Variance of the z-transformed correlation times (n - 3): Fieller, Hartley and Pearson, 1957."""


def average_ranks(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return ranks from 1; equal values share the mean of theirs. Shape (n,)."""
    array = np.asarray(values, dtype=float)
    _, first, counts = np.unique(array, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return ((2 * ends - counts + 1) / 2)[first]


def rank_correlation(
    first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray
) -> Estimate | None:
    """Return Spearman's rho with its 95 % interval; None where one list does not vary.

    rho is Pearson's correlation of the ranks. The interval is tanh(atanh(rho) -+ 1.96 s) with
    s^2 = 1.06 / (n - 3), and is missing below 4 pairs or where rho is 1 or -1.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} numbers cannot be paired")
    a, b = (average_ranks(values) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    if norm == 0:
        return None
    rho = float(a @ b) / norm
    if len(a) < 4 or abs(rho) > 1 - 1e-12:
        return Estimate(rho, None, None)
    reach = Z95 * math.sqrt(FIELLER / (len(a) - 3))
    return Estimate(rho, math.tanh(math.atanh(rho) - reach), math.tanh(math.atanh(rho) + reach))
