"""Which paired difference N tasks x n samples can resolve: 80 % power, two-sided 5 %.

With D a task's difference of avg@n between two models,

    Var(D) = between + (within_a + within_b) / n,    within = E[p (1-p)],

between being the variance over tasks of the true difference: the part no number of samples removes.
The difference found four times in five is (t(0.975) + t(0.8)) * sqrt(Var(D) / N), N - 1 degrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

import numpy as np
import numpy.typing as npt

from ttc_rl.metrics.estimate import Floats
from ttc_rl.metrics.student import t_quantile

POWER, LEVEL = 0.8, 0.05


@dataclass(frozen=True, slots=True)
class Spread:
    """Variances of one sampled answer's difference: over tasks, and of both models within them."""

    between: float
    within: float

    def resolvable(self, tasks: int, samples: int) -> float:
        """Return the smallest true difference in avg@n that is found with 80 % power."""
        if tasks < 2:
            raise ValueError("one task tells nothing about others")
        quantiles = t_quantile(1 - LEVEL / 2, tasks - 1) + t_quantile(POWER, tasks - 1)
        return quantiles * math.sqrt((self.between + self.within / samples) / tasks)

    def tasks_needed(self, difference: float, samples: int) -> int:
        """Return the fewest tasks with which `difference` is resolved; at most ten million."""
        low, high = 1, 2
        while high < 10_000_000 and self.resolvable(high, samples) > difference:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            enough = self.resolvable(middle, samples) <= difference
            low, high = (low, middle) if enough else (middle, high)
        return high


def resolvable_by_seeds(differences: Sequence[float]) -> float | None:
    """Return the smallest true difference that as many training runs find with 80 % power, from the
    differences of paired runs; None for one run, and where nothing varied."""
    count = len(differences)
    if count < 2 or (spread := stdev(differences)) == 0:
        return None
    quantiles = t_quantile(1 - LEVEL / 2, count - 1) + t_quantile(POWER, count - 1)
    return quantiles * spread / math.sqrt(count)


def measured_spread(a_correct: npt.ArrayLike, b_correct: npt.ArrayLike, samples: int) -> Spread:
    """Return the spread from counts of correct samples a task. With one sample the two parts cannot
    be separated: all counts as variance over tasks."""
    a: Floats = np.asarray(a_correct, dtype=np.float64)
    b: Floats = np.asarray(b_correct, dtype=np.float64)
    total = float(((a - b) / samples).var(ddof=1))
    if samples == 1:
        return Spread(total, 0.0)
    within = float((a * (samples - a) + b * (samples - b)).mean()) / (samples * (samples - 1))
    return Spread(max(0.0, total - within / samples), within)


def assumed_spread(accuracy: float, over_tasks: float, gain_over_tasks: float) -> Spread:
    """Return a spread for planning, from mean accuracy and the standard deviations over tasks of
    accuracy and of gain.

    E[p (1-p)] = mean (1 - mean) - Var(p), for either model.
    """
    within = accuracy * (1 - accuracy) - over_tasks**2
    if within < 0:
        raise ValueError(f"an accuracy of {accuracy:g} cannot vary by {over_tasks:g} over tasks")
    return Spread(gain_over_tasks**2, 2 * within)
