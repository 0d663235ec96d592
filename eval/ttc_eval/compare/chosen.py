"""What a score loses that was the highest of several."""

from __future__ import annotations

import numpy as np

# E evaluations, T tasks.
SPLITS = 2000


def selection_effect(shares_ET: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the score of the best evaluation, and a fair one: chosen on some tasks, measured on
    the others.

    Tasks are drawn with replacement; the evaluation that is best on those drawn is measured on
    those that were not, some 37 %; the mean over draws. `shares_ET` has each task's share of right
    samples.
    """
    best = float(shares_ET.mean(axis=1).max())
    tasks, rng = shares_ET.shape[1], np.random.default_rng(seed)
    if tasks < 2:
        return best, best
    found: list[float] = []
    for _ in range(SPLITS):
        drawn = rng.integers(tasks, size=tasks)
        left = np.setdiff1d(np.arange(tasks), drawn)
        if len(left):
            chosen = int(shares_ET[:, drawn].mean(axis=1).argmax())
            found.append(float(shares_ET[chosen, left].mean()))
    return best, float(np.mean(found))
