"""What the model can do already, in the selection: harder noise, or a band.

The signal of GRPO from a task that is solved with chance p scales with sqrt(p (1 - p)), and is
nothing where a group agrees. As the noise of an observation,

    lambda_i = lambda * 0.25 / (p_i (1 - p_i))

so that p = 1/2 keeps the recipe's lambda, and tasks that are hopeless or trivial fade instead of
being forbidden. Where p is drawn, it is the mean of the Beta posterior with prior Beta(a, b):

    p = (a + correct) / (a + b + decided)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ttc_rl.config import DifficultyConfig
from ttc_rl.schema import Task, UserError

LIMITS = 0.01, 0.99
"""Rates read from `meta` are kept inside: at 0 and 1 a task would be infinitely noisy."""
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


def posterior_mean(correct: Sequence[bool | None], prior: tuple[float, float]) -> float:
    """Return (a + correct) / (a + b + decided). An undecided verdict is no trial."""
    decided = [verdict for verdict in correct if verdict is not None]
    return (prior[0] + sum(decided)) / (sum(prior) + len(decided))


def rates_from_meta(tasks: Sequence[Task], config: DifficultyConfig) -> dict[int, float]:
    """Return the solve rate by row, where a task's `meta` holds one. Raises UserError outside 0 to
    1."""
    rates: dict[int, float] = {}
    for row, task in enumerate(tasks):
        value = task.meta.get(config.key or "")
        if value is None:
            continue
        if not isinstance(value, int | float) or not 0 <= value * config.scale <= 1:
            raise UserError(
                f"selection.difficulty: meta.{config.key} of task {task.id} is {value!r}; times "
                f"scale {config.scale:g} it should be a solve rate from 0 to 1"
            )
        rates[row] = min(max(value * config.scale, LIMITS[0]), LIMITS[1])
    if not rates:
        raise UserError(f"selection.difficulty: no corpus task holds meta.{config.key}")
    return rates


def fill(rates: dict[int, float], num_tasks: int) -> np.ndarray:
    """Return the solve rates of all tasks, shape (N,): the mean of the known ones where there is no
    estimate."""
    success_N = np.full(num_tasks, float(np.mean(list(rates.values()))))
    success_N[list(rates)] = list(rates.values())
    return success_N
