"""95 % intervals of a share and of a paired difference of shares, from N tasks.

Which population. All but `same_tasks_interval` speak of NEW TASKS AND NEW SAMPLES: what another N
tasks of this kind, sampled anew, would give. A task's value holds its own sampling noise, so the
variance between tasks,

    E[s^2] = Var over tasks of p  +  E[p (1-p)] / n      (avg@n; alike for pass@k and maj@k),

is that of both levels already. Resampling tasks and then samples adds the second term once more,
and samples drawn with replacement bias pass@k and maj@k low. docs/intervals.md measures how much.

Means of few tasks near 0 or 1 are skewed, so that mean +- t s/sqrt(N) covers 86 % there and has no
width where all tasks agree. Wilson's score interval (1927) has neither fault. It needs a number of
independent trials; as surveys do (Korn & Graubard 1998) we take the one with the variance measured:

    m = N (v + e) / (s^2 + e),   v = mean (1 - mean),   e = 1 / N^2.

e is one task's worth of variance. Where all tasks are at 0 or at 1 nothing tells how alike tasks
are, and m = N: they count as N trials, the worst case. It was chosen for coverage between 93 and
97 % at 30 tasks. With 10 tasks or fewer the intervals are wider than they need be.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ttc_rl.metrics.estimate import Difference, Estimate, Floats
from ttc_rl.metrics.student import t_quantile, t_two_sided_p


def mean_interval(values: npt.ArrayLike) -> Estimate:
    """Return the mean over tasks of values in [0, 1], for new tasks and new samples; one task has
    no interval."""
    shares = _checked(values)
    if len(shares) == 1:
        return Estimate(float(shares[0]), None, None)
    lo, hi = _wilson(shares, t_quantile(0.975, len(shares) - 1))
    return Estimate(float(shares.mean()), lo, hi)


def same_tasks_interval(num_correct: npt.ArrayLike, samples: int) -> Estimate:
    """Return avg@n for THESE TASKS and new samples: sampling noise alone, the variance within
    tasks.

    Narrower than `mean_interval`. It says what evaluating again would give, nothing of other tasks.
    """
    counts: Floats = np.asarray(num_correct, dtype=np.float64)
    mean = float(counts.mean()) / samples
    if samples < 2:
        return Estimate(mean, None, None)
    within = float((counts * (samples - counts)).mean()) / (samples * (samples - 1))
    trials = counts.size * samples
    lo, hi = _score(mean, within, trials, t_quantile(0.975, counts.size * (samples - 1)))
    return Estimate(mean, lo, hi)


def paired_difference(a: npt.ArrayLike, b: npt.ArrayLike) -> Difference:
    """Return the mean of a - b over the same tasks, values in [0, 1], for new tasks and new
    samples.

    Newcombe's hybrid score interval (1998, method 10; Zou & Donner 2008): with (l, u) the score
    limits of either mean and r the correlation of a and b over tasks,

        lo = d - sqrt((a-la)^2 - 2 r (a-la)(ub-b) + (ub-b)^2),   hi with the other limits.

    Where a and b agree on all tasks it has a width still: other tasks may tell them apart. p is the
    level at which the interval just touches 0.
    """
    first, second = _checked(a), _checked(b)
    if first.shape != second.shape:
        raise ValueError(f"not the same tasks: {first.shape} and {second.shape}")
    value, tasks = float((first - second).mean()), len(first)
    if tasks == 1:
        return Difference(value, None, None, None)
    pair = _Pair(first, second)
    lo, hi = pair.limits(t_quantile(0.975, tasks - 1))
    return Difference(value, lo, hi, t_two_sided_p(pair.touching(), tasks - 1))


class _Pair:
    """Both means, and what their limits need, so that limits at many levels are cheap."""

    def __init__(self, a: Floats, b: Floats):
        self.tasks = len(a)
        self.means = float(a.mean()), float(b.mean())
        self.variances = _variance(a), _variance(b)
        a_from, b_from = a - a.mean(), b - b.mean()
        spread = math.sqrt(float((a_from**2).sum()) * float((b_from**2).sum()))
        self.correlation = float((a_from * b_from).sum()) / spread if spread > 1e-12 else 0.0

    def limits(self, t: float) -> tuple[float, float]:
        (a, b), (va, vb) = self.means, self.variances
        (la, ua), (lb, ub) = _score(a, va, self.tasks, t), _score(b, vb, self.tasks, t)
        return a - b - self._reach(a - la, ub - b), a - b + self._reach(ua - a, b - lb)

    def _reach(self, x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x - 2 * self.correlation * x * y + y * y))

    def touching(self) -> float:
        """Return the t at which one limit is 0, by bisection; 0 where the means are equal."""
        value = self.means[0] - self.means[1]
        if value == 0:
            return 0.0
        low, high = 0.0, 1e3
        for _ in range(60):
            middle = (low + high) / 2
            lo, hi = self.limits(middle)
            low, high = (low, middle) if lo <= 0 <= hi else (middle, high)
        return low


def _wilson(values: Floats, t: float) -> tuple[float, float]:
    return _score(float(values.mean()), _variance(values), len(values), t)


def _score(mean: float, variance: float, tasks: int, t: float) -> tuple[float, float]:
    """Score limits of a mean of `tasks` independent values in [0, 1] with this variance."""
    worst, extra = mean * (1 - mean), 1 / tasks**2
    trials = tasks * (worst + extra) / (variance + extra)
    shrink = 1 + t * t / trials
    centre = (mean + t * t / (2 * trials)) / shrink
    half = t / shrink * math.sqrt(worst / trials + t * t / (4 * trials * trials))
    return (
        max(0.0, centre - half) if mean > 0 else 0.0,
        min(1.0, centre + half) if mean < 1 else 1.0,
    )


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1))


def _checked(values: npt.ArrayLike) -> Floats:
    shares: Floats = np.asarray(values, dtype=np.float64)
    if shares.ndim != 1 or not shares.size:
        raise ValueError("no tasks")
    if shares.min() < -1e-9 or shares.max() > 1 + 1e-9:
        raise ValueError(f"a share lies in [0, 1], got {shares.min():g} to {shares.max():g}")
    return shares.clip(0.0, 1.0)
