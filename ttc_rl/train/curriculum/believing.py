"""Three curricula on one belief of what the model can do: `beta`, `difficulty` and `discover`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ttc_rl.selection.arrays import Numpy
from ttc_rl.selection.difficulty import noise_of
from ttc_rl.selection.posterior import Posterior, compressed
from ttc_rl.train.curriculum.achievable import in_band
from ttc_rl.train.curriculum.belief import Belief
from ttc_rl.train.curriculum.following import Following, Seen
from ttc_rl.train.curriculum.logits import sigmoid

# N tasks of the pool, r rows among which is chosen.
HALF = 0.5
"""The share of rollouts that DISCOVER wants to succeed."""
DECAY = 0.95
"""Weight that a rollout keeps from step to step: half of it after fourteen. Ours, not tuned."""
REACH = 0.05
"""A rollout says a third as much about a task at a cosine of 0.95. Ours, not tuned."""
NOVELTY = 1.0
"""Standard deviations of a task's success that count as success. Ours, not tuned."""
RATE = 0.1
"""Speed at which relevance gives way to success where less than half succeeds. Ours, not tuned."""
TINY = 1e-12
"""A gain of nothing still has a logarithm."""


class Believing(Following):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.belief = Belief(self.pool.corpus_ND, self.prior_N, DECAY, REACH)

    def success_N(self) -> np.ndarray:
        return self.belief.mean_N()

    def learn(self, seen: Sequence[Seen]) -> None:
        self.belief.learn(seen)

    def see(self, corpus_ND: np.ndarray, target_MD: np.ndarray) -> None:
        super().see(corpus_ND, target_MD)
        self.belief.see(corpus_ND)

    def metrics(self) -> dict[str, float]:
        return super().metrics() | {"shift": self.belief.shift}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"belief": self.belief.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.belief.load_state_dict(state["belief"])


class Beta(Believing):
    """A-TTC's band with this belief, and SIFT in it given what was trained."""

    def choose(self, rows: np.ndarray, size: int) -> list[int]:
        least = max(self.config.candidates, size)
        inside = in_band(self.success_N()[rows], self.config.band, least)
        noise_N = np.full(len(self.pool), self.noise)
        return self.sift(rows[inside], size, noise_N, known=True)


class Difficulty(Believing):
    """SIFT given what was trained, where hopeless and trivial tasks are noisy: no band.

    lambda_i = lambda * 0.25 / (p_i (1 - p_i)) of `selection/difficulty.py`, with the p_i of now.
    """

    def choose(self, rows: np.ndarray, size: int) -> list[int]:
        return self.sift(rows, size, noise_of(self.success_N(), self.noise), known=True)


class Discover(Believing):
    """Solve rate, novelty and relevance in one score; half of the rollouts are to succeed.

    One after the other, the task with the largest

        (1 - a) log sigmoid(mean_i + NOVELTY sd_i) + a log gain_i

    where mean and sd are of the log-odds of success, and gain is how much SIFT's uncertainty about
    the targets falls, given what was trained (a task that was hopeless taught little: the noise of
    `Difficulty`). They stand for V(s0, g) with its deviation, and V(g, g*), of arXiv 2505.19850,
    whose values are logarithms too; a sum of plain numbers favours both ends, trivial tasks and
    hopeless ones, over those between. After each step a <- clip(a + RATE (success - 1/2), 0, 1).
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.relevance = HALF

    def learn(self, seen: Sequence[Seen]) -> None:
        super().learn(seen)
        success = sum(observed.rate * observed.trials for observed in seen) / sum(
            observed.trials for observed in seen
        )
        moved = self.relevance + RATE * (success - HALF)
        self.relevance = min(max(moved, 0.0), 1.0)

    def choose(self, rows: np.ndarray, size: int) -> list[int]:
        mean_N, sd_N = self.belief.logit_N()
        able_r = np.log(sigmoid((mean_N + NOVELTY * sd_N)[rows]))
        posterior = Posterior(Numpy(), compressed(np.asarray(self.pool.target_MD, np.float64)))
        corpus_ND = np.asarray(self.pool.corpus_ND, np.float64)
        noise_N = noise_of(self.success_N(), self.noise)
        for row in self.order:
            posterior.observe(row, corpus_ND[row], float(noise_N[row]))
        picks: list[int] = []
        left_r = np.ones(len(rows), bool)
        while len(picks) < size:
            squares_r, variance_r = posterior.qv(corpus_ND[rows])
            gain_r = np.log(np.maximum(squares_r / (self.noise + variance_r), TINY))
            score_r = (1 - self.relevance) * able_r + self.relevance * gain_r
            best = int(np.where(left_r, score_r, -np.inf).argmax())
            left_r[best] = False
            picks.append(int(rows[best]))
            posterior.observe(picks[-1], corpus_ND[picks[-1]], self.noise)
        return picks

    def metrics(self) -> dict[str, float]:
        return super().metrics() | {"relevance": self.relevance}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"relevance": self.relevance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.relevance = state["relevance"]
