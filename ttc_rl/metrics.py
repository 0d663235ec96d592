"""pass@k, maj@k and intervals: exact where a formula exists, tasks resampled where none does.

Shapes: N tasks, Q quantities measured on the same tasks, R resamples.
Not covered: an interval around a mean whose tasks all agree (all 0, say) has no width; it tells
that the tasks agree, not that a new task would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist, fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval; `lo` and `hi` are None where one number says nothing of it."""

    value: float
    lo: float | None = None
    hi: float | None = None

    @property
    def excludes_zero(self) -> bool:
        return self.lo is not None and self.hi is not None and (self.lo > 0 or self.hi < 0)


# --------------------------------------------------------------------------- one task, n samples


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """P(at least one of k draws is correct) = 1 - C(n-c, k) / C(n, k).  arXiv:2107.03374, eq. 1."""
    _check_draw(num_samples, k, "pass")
    if not 0 <= num_correct <= num_samples:
        raise ValueError(f"{num_correct} correct of {num_samples} samples")
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def maj_at_k(
    class_sizes: Sequence[int], correct: Sequence[bool], num_no_answer: int, k: int
) -> float:
    """P(the majority vote over k of n samples, drawn without replacement, is correct); exact.

    Samples vote for their class of equivalent answers, `correct[i]` says whether class i is right.
    The `num_no_answer` others are drawn but do not vote. A tie is split: with a correct classes
    among L at the top the vote counts a/L; with no voter at all it counts 0. With s_i samples in
    class i and x_i of them drawn,

        maj@k = sum over x of  a(x)/L(x) * prod_i C(s_i, x_i) * C(z, k - sum x) / C(n, k),

    summed by dynamic programming over the classes, once for each top count t: W[d, L] holds the
    weight of d drawn with L classes at t and none above, A[d, L] the same times a.
    """
    if len(class_sizes) != len(correct) or min(class_sizes, default=1) < 1 or num_no_answer < 0:
        raise ValueError("one flag a class, and at least one sample in each")
    num_samples = sum(class_sizes) + num_no_answer
    _check_draw(num_samples, k, "maj")
    number = float if num_samples <= 1000 else Fraction  # C(1000, 500) still fits a double
    total = sum(
        _weight_at_top(class_sizes, correct, num_no_answer, k, top, number)
        for top in range(1, min(k, max(class_sizes, default=0)) + 1)
    )
    return float(total / math.comb(num_samples, k))


def _weight_at_top(
    sizes: Sequence[int],
    correct: Sequence[bool],
    num_no_answer: int,
    k: int,
    top: int,
    number: type[float] | type[Fraction],
) -> Any:
    """Sum of a/L times weight over the draws in which the largest class has `top` votes."""
    weight: Any = np.zeros((k + 1, k // top + 1), dtype=np.float64 if number is float else object)
    weight[0, 0] = number(1)
    right = weight * 0
    for size, is_correct in zip(sizes, correct, strict=True):
        new_weight, new_right = weight * 0, right * 0
        for votes in range(min(size, top) + 1):
            ways, rows = math.comb(size, votes), slice(0, k + 1 - votes)
            if votes < top:
                new_weight[votes:] += ways * weight[rows]
                new_right[votes:] += ways * right[rows]
            else:
                new_weight[votes:, 1:] += ways * weight[rows, :-1]
                new_right[votes:, 1:] += ways * (right + is_correct * weight)[rows, :-1]
        weight, right = new_weight, new_right
    silent = [math.comb(num_no_answer, k - drawn) for drawn in range(k + 1)]
    return sum(
        silent[drawn] * right[drawn, tied] / number(tied)
        for drawn in range(k + 1)
        for tied in range(1, k // top + 1)
        if silent[drawn]
    )


def _check_draw(num_samples: int, k: int, metric: str) -> None:
    if not 0 < k <= num_samples:
        raise ValueError(f"{metric}@{k} needs at least {k} samples, got {num_samples}")


# --------------------------------------------------------------------------- many tasks


def bootstrap_means(
    values_QN: npt.ArrayLike, *, seed: int = 0, resamples: int = 10_000
) -> list[Estimate]:
    """Means over tasks with 95 % percentile intervals: tasks are resampled, all Q on the same ones.

    Samples of one task are not independent of each other, so the task is what is drawn.
    One task says nothing about others: no interval.
    """
    values: Floats = np.atleast_2d(np.asarray(values_QN, dtype=np.float64))
    num_tasks = values.shape[1]
    if num_tasks == 0:
        raise ValueError("no tasks")
    means: list[float] = values.mean(axis=1).tolist()
    if num_tasks == 1:
        return [Estimate(mean) for mean in means]
    rng = np.random.default_rng(seed)
    at_once = max(1, 2_000_000 // num_tasks)
    resampled_RQ = np.concatenate(
        [
            rng.multinomial(num_tasks, np.full(num_tasks, 1 / num_tasks), size=count) @ values.T
            for count in _split(resamples, at_once)
        ]
    )
    lo, hi = np.quantile(resampled_RQ / num_tasks, [0.025, 0.975], axis=0)
    return [
        Estimate(m, float(low), float(high)) for m, low, high in zip(means, lo, hi, strict=True)
    ]


def bootstrap_mean(values: npt.ArrayLike, *, seed: int = 0, resamples: int = 10_000) -> Estimate:
    """Mean over tasks with a 95 % percentile interval from resampling the tasks."""
    return bootstrap_means(np.atleast_2d(np.asarray(values)), seed=seed, resamples=resamples)[0]


def paired_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, *, seed: int = 0, resamples: int = 10_000
) -> Estimate:
    """Mean of a - b over the same tasks; each resample takes the same tasks from both."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"not the same tasks: {first.shape} and {second.shape}")
    return bootstrap_mean(first - second, seed=seed, resamples=resamples)


def _split(total: int, at_once: int) -> list[int]:
    return [min(at_once, total - start) for start in range(0, total, at_once)]


# --------------------------------------------------------------------------- many runs


def t_interval(values: Sequence[float]) -> Estimate:
    """Mean over m independent replications (seeds), +- t(0.975, m-1) * s / sqrt(m)."""
    mean = fmean(values)
    if len(values) < 2:
        return Estimate(mean)
    half = t_quantile(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def t_quantile(p: float, df: int) -> float:
    """The t with P(T <= t) = p for Student's T with `df` degrees of freedom, 0.5 <= p < 1.

    Up to 200 degrees the distribution function, a finite sum, is inverted by bisection. Above it
    three terms of the expansion around the normal quantile are exact to 1e-6.
    """
    if not 0.5 <= p < 1 or df < 1:
        raise ValueError(f"t quantile of p={p}, df={df}")
    if df > 200:
        z = NormalDist().inv_cdf(p)
        return z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_inside(middle, df) < 2 * p - 1 else (low, middle)
    return math.sqrt(df) * math.tan(low)


def _t_inside(theta: float, df: int) -> float:
    """P(|T| <= t) with tan(theta) = t / sqrt(df).  Abramowitz & Stegun 26.7.3 and 26.7.4."""
    odd = df % 2
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for j in range(1 + odd, df, 2):
        total += term
        term *= math.cos(theta) ** 2 * j / (j + 1)
    if odd:
        return (theta + math.sin(theta) * total) * 2 / math.pi
    return math.sin(theta) * total
