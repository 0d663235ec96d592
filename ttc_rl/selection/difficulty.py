"""What the model can do already, in the selection: harder noise, or a band.

The signal of GRPO from a task that is solved with chance p scales with sqrt(p (1 - p)), and is
nothing where a group agrees. As the noise of an observation,

    lambda_i = lambda * 0.25 / (p_i (1 - p_i))

so that p = 1/2 keeps the recipe's lambda, and tasks that are hopeless or trivial fade instead of
being forbidden.
"""

from __future__ import annotations

import numpy as np

LIMIT = 1e-3
"""p is taken to lie between this and one minus this."""
BAND, MIDPOINT = (0.25, 0.60), 0.425
"""A-TTC's (jonhue/ttc, `FILTER_ACHIEVABILITY`)."""


def noise_of(success_N: np.ndarray, noise: float) -> np.ndarray:
    p_N = np.clip(success_N, LIMIT, 1 - LIMIT)
    return noise * 0.25 / (p_N * (1 - p_N))


def in_band(success_N: np.ndarray, size: int) -> np.ndarray:
    """Return the rows whose solve rate lies in the band, ascending. Where they are fewer than
    `size`, the rows nearest to its midpoint join them, ties to the lowest row."""
    low, high = BAND
    inside = np.flatnonzero((success_N >= low) & (success_N <= high))
    if len(inside) >= size:
        return inside
    ranked = np.argsort(np.abs(success_N - MIDPOINT), kind="stable")
    outside = ranked[~np.isin(ranked, inside)]
    return np.sort(np.concatenate([inside, outside[: size - len(inside)]]))
