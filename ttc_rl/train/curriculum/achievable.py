"""Achievable TTC (A-TTC), with the estimate of the authors' release (jonhue/ttc, 4acfbc4).

Every task has an estimate a of how often the model solves it, at first the prior. When tasks are
chosen anew, those trained since take the mean score observed, and all others

    a <- sigmoid(logit a + clip(D, -0.5, 0.5)),   D = mean over the trained of
                                                      logit observed - logit a before

with a clipped to [0.05, 0.95] inside every logit. SIFT then picks among the tasks with a in
[0.25, 0.60]; where fewer than 1,000 are, those nearest to the midpoint fill.

Where the release differs, it is a defect that is not copied: it counts undecided answers as wrong
and a penalty for their form as skill, and offers trained tasks again in the only epoch. What this
keeps is the estimate's own weakness, which `beta` mends: one group's mean is believed as it stands,
and all tasks that were not trained move by one and the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ttc_rl.train.curriculum.following import Following, Seen
from ttc_rl.train.curriculum.logits import OFFSET, logit, sigmoid

# N tasks of the pool, n tasks trained.


class Achievable(Following):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.estimate_N = self.prior_N.copy()
        self.window: list[Seen] = []
        self.shift = 0.0

    def success_N(self) -> np.ndarray:
        return self.estimate_N

    def learn(self, seen: Sequence[Seen]) -> None:
        self.window += seen

    def choose(self, rows: np.ndarray, size: int) -> list[int]:
        if self.window:
            means = observed_means(self.window)
            trained_n, mean_n = np.array(list(means)), np.array(list(means.values()))
            self.estimate_N, self.shift = moved(self.estimate_N, trained_n, mean_n)
        self.window = []
        least = max(self.config.candidates, size)
        inside = in_band(self.estimate_N[rows], self.config.band, least)
        noise_N = np.full(len(self.pool), self.noise)
        return self.sift(rows[inside], size, noise_N, known=False)

    def metrics(self) -> dict[str, float]:
        return super().metrics() | {"shift": self.shift}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "estimate": self.estimate_N.tolist(),
            "window": [[observed.row, observed.rate, observed.trials] for observed in self.window],
            "shift": self.shift,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.estimate_N = np.array(state["estimate"])
        self.window = [Seen(*row) for row in state["window"]]
        self.shift = state["shift"]


def observed_means(seen: Sequence[Seen]) -> dict[int, float]:
    """Return the mean score of each row's rollouts."""
    right: dict[int, float] = {}
    trials: dict[int, int] = {}
    for observed in seen:
        right[observed.row] = right.get(observed.row, 0.0) + observed.rate * observed.trials
        trials[observed.row] = trials.get(observed.row, 0) + observed.trials
    return {row: right[row] / trials[row] for row in right}


def moved(
    estimate_N: np.ndarray, trained_n: np.ndarray, mean_n: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the estimates after `mean_n` was observed of rows `trained_n`, and D before it is
    clipped."""
    shift = float(np.mean(logit(mean_n) - logit(estimate_N[trained_n])))
    moved_N = sigmoid(logit(estimate_N) + np.clip(shift, -OFFSET, OFFSET))
    moved_N[trained_n] = mean_n
    return moved_N, shift


def in_band(success_n: np.ndarray, band: tuple[float, float], least: int) -> np.ndarray:
    """Return the positions inside the band, ascending. Where they are fewer than `least`, those
    nearest to its midpoint join them, and all that are as near as the last of those."""
    low, high = band
    inside = (success_n >= low) & (success_n <= high)
    missing = least - int(inside.sum())
    if missing > 0:
        distance_n = np.where(inside, np.inf, np.abs(success_n - (low + high) / 2))
        return np.flatnonzero(inside | (distance_n <= np.sort(distance_n)[:missing].max()))
    return np.flatnonzero(inside)
