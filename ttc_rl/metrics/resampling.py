"""Percentile intervals from resampled tasks, for quantities that are no share of samples.

Shapes: N tasks, Q quantities measured on the same tasks, R resamples. For shares and their
differences `intervals` has what covers better where tasks are few.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ttc_rl.metrics.estimate import Estimate, Floats


def bootstrap_means(
    values_QN: npt.ArrayLike, *, seed: int = 0, resamples: int = 10_000
) -> list[Estimate]:
    """Return means over tasks with 95 % percentile intervals: tasks are resampled, all Q on the
    same ones.

    Samples of one task are not independent of each other, so the task is what is drawn.
    One task says nothing about others: no interval.
    """
    values: Floats = np.atleast_2d(np.asarray(values_QN, dtype=np.float64))
    num_tasks = values.shape[1]
    if num_tasks == 0:
        raise ValueError("no tasks")
    means: list[float] = values.mean(axis=1).tolist()
    if num_tasks == 1:
        return [Estimate(mean, None, None) for mean in means]
    resampled_RQ = resampled_means(values, seed=seed, resamples=resamples)
    lo, hi = np.quantile(resampled_RQ, [0.025, 0.975], axis=0)
    return [
        Estimate(m, float(low), float(high)) for m, low, high in zip(means, lo, hi, strict=True)
    ]


def resampled_means(values_QN: npt.ArrayLike, *, seed: int = 0, resamples: int = 10_000) -> Floats:
    """Return means over resampled tasks, all Q on the same ones; shape (R, Q). For functions of
    means."""
    values: Floats = np.atleast_2d(np.asarray(values_QN, dtype=np.float64))
    num_tasks = values.shape[1]
    rng = np.random.default_rng(seed)
    at_once = max(1, 2_000_000 // num_tasks)
    sums_RQ: Floats = np.concatenate(
        [
            rng.multinomial(num_tasks, np.full(num_tasks, 1 / num_tasks), size=count) @ values.T
            for count in _split(resamples, at_once)
        ]
    )
    return sums_RQ / num_tasks


def _split(total: int, at_once: int) -> list[int]:
    return [min(at_once, total - start) for start in range(0, total, at_once)]
