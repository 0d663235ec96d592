"""Dose and response: how the gain grows with the number of tasks trained on.

    gain(n) = A (1 - exp(-n / b))

fitted to runs that differ in `selection.size`, by least squares over the seeds' means. An interval
is over seeds: each seed's own fit, and Student's t. A is what no larger curriculum would exceed if
the form holds; b log 10 the size from which nine tenths of it are there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ttc_eval.compare.comparison import Dose, OverSeeds
from ttc_rl.metrics import t_interval

SIZES = 3
"""Different sizes below which no curve is fitted."""


def dose(gains: Mapping[int, Mapping[int, float]]) -> Dose | None:
    """Return the curve of one arm from size -> seed -> gain; None for fewer than three sizes."""
    if len(gains) < SIZES:
        return None
    sizes = sorted(gains)
    shared = sorted(set.intersection(*(set(gains[size]) for size in sizes)))
    if not shared:
        return None
    rows = {seed: [gains[size][seed] for size in sizes] for seed in shared}
    means = np.mean(list(rows.values()), axis=0)
    _, scale = fitted(sizes, means)
    each = [fitted(sizes, row, scale)[0] for row in rows.values()]
    return Dose(
        gains={
            size: OverSeeds.of(t_interval(list(gains[size].values())), len(gains[size]))
            for size in sizes
        },
        asymptote=OverSeeds.of(t_interval(each), len(each)),
        scale=scale,
        nine_tenths=scale * math.log(10),
    )


def fitted(
    sizes: Sequence[int], gains: Sequence[float] | np.ndarray, scale: float | None = None
) -> tuple[float, float]:
    """Return A and b of the curve nearest to the gains; A alone is fitted where b is given.

    b lies between a tenth of the smallest size and ten times the largest.
    """
    n, y = np.asarray(sizes, np.float64), np.asarray(gains, np.float64)
    grid = np.geomspace(n.min() / 10, n.max() * 10, 400) if scale is None else np.array([scale])
    shapes = 1 - np.exp(-n[None, :] / grid[:, None])
    tops = (shapes @ y) / (shapes**2).sum(axis=1)
    errors = ((y - tops[:, None] * shapes) ** 2).sum(axis=1)
    best = int(errors.argmin())
    return float(tops[best]), float(grid[best])


def curve(dose: Dose, points: int = 60) -> list[tuple[float, float]]:
    """Return the fitted curve from no task to the largest size."""
    largest = max(dose.gains)
    return [
        (n, dose.asymptote.value * (1 - math.exp(-n / dose.scale)))
        for n in np.linspace(0, largest, points)
    ]
