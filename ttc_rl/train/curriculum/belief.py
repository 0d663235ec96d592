"""How often the model solves each task now: Beta posteriors that share what they see.

    p_i = (m q_i + S_i) / (m + S_i + F_i),    q_i = sigmoid(logit prior_i + shift),    m = 2

S_i and F_i count right and wrong rollouts, each times decay^age, because the model that made it is
gone (MoPPS, arXiv 2507.04632), and times exp((cos_ij - 1) / reach) for a rollout of task j, because
similar tasks are similarly hard (correlated Beta processes, Goetschalckx et al., IJCAI 2011). With
decay 1 and a reach near 0 that is the plain Beta posterior.

`shift` is what tasks without such neighbours move by: the mean surprise of a step, in logits,

    D = mean_j (rate_j - p_j) / w,    w = mean_j p_j (1 - p_j)

followed by a Kalman filter whose state may drift by DRIFT logits a step, and whose observation of n
groups has the variance 1 / (n w) that it would have if each were all right or all wrong. It is at
rest where as many succeed as were expected to; A-TTC's mean of log-odds is not, where tasks are
either solved or not: there it runs away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ttc_rl.train.curriculum.following import Seen
from ttc_rl.train.curriculum.logits import OFFSET, logit, sigmoid
from ttc_rl.vectors import unit

# N tasks of the pool, n groups of a step, D embedding size.
STRENGTH = 2.0
"""m: rollouts that the prior is worth."""
DRIFT = 0.05
"""A-TTC's bound, 0.5 in ten steps, taken as a standard deviation a step."""
EDGE = 1e-3
"""Probabilities are kept so far from 0 and 1."""


class Belief:
    def __init__(
        self, corpus_ND: np.ndarray, prior_N: np.ndarray, decay: float, reach: float
    ) -> None:
        self.prior_N = prior_N
        self.see(corpus_ND)
        self.decay, self.reach = decay, reach
        self.right_N, self.wrong_N = np.zeros(len(prior_N)), np.zeros(len(prior_N))
        self.shift, self.variance = 0.0, 1.0

    def see(self, corpus_ND: np.ndarray) -> None:
        """Measure likeness by these embeddings from now on. The counts stay."""
        self.unit_ND = unit(np.asarray(corpus_ND, np.float64))

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return both parameters of every task's Beta; each of shape (N,)."""
        q_N = sigmoid(logit(self.prior_N, EDGE) + self.shift)
        return STRENGTH * q_N + self.right_N, STRENGTH * (1 - q_N) + self.wrong_N

    def mean_N(self) -> np.ndarray:
        right_N, wrong_N = self.counts()
        return right_N / (right_N + wrong_N)

    def logit_N(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of every task's log-odds, by the delta method."""
        right_N, wrong_N = self.counts()
        return np.log(right_N / wrong_N), np.sqrt(1 / right_N + 1 / wrong_N)

    def learn(self, seen: Sequence[Seen]) -> None:
        """Learn from the groups of one step."""
        rows_n = np.array([observed.row for observed in seen])
        trials_n = np.array([float(observed.trials) for observed in seen])
        right_n = np.array([observed.rate for observed in seen]) * trials_n
        self._move(self.mean_N()[rows_n], right_n / trials_n)
        self.right_N *= self.decay
        self.wrong_N *= self.decay
        alike_nN = np.exp((self.unit_ND[rows_n] @ self.unit_ND.T - 1) / self.reach)
        alike_nN[np.arange(len(rows_n)), rows_n] = 1.0
        self.right_N += right_n @ alike_nN
        self.wrong_N += (trials_n - right_n) @ alike_nN

    def _move(self, p_n: np.ndarray, rate_n: np.ndarray) -> None:
        spread = max(float((p_n * (1 - p_n)).mean()), EDGE)
        surprise = float((rate_n - p_n).mean()) / spread
        self.variance += DRIFT**2
        gain = self.variance / (self.variance + 1 / (len(p_n) * spread))
        self.shift += min(max(gain * surprise, -OFFSET), OFFSET)
        self.variance *= 1 - gain

    def state_dict(self) -> dict[str, Any]:
        return {
            "right": self.right_N.tolist(),
            "wrong": self.wrong_N.tolist(),
            "shift": self.shift,
            "variance": self.variance,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.right_N, self.wrong_N = np.array(state["right"]), np.array(state["wrong"])
        self.shift, self.variance = state["shift"], state["variance"]
