"""Groups that teach nothing may not move the model.

A group with no success or no failure has no gradient, and a lone success of G has the largest
advantage of all, sqrt(G - 1), whether it was skill or a guess. Adam rescales whatever is left to a
whole step, so a batch with one lucky answer moves the model as far as an informative one: training
on tasks that are never solved then costs old skills (arXiv 2605.28388). So both:

    groups with fewer than `min_successes` successes, or without a failure, are dropped
    learning rate of the step *= min(1, share of groups kept / FULL_AT)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ttc_rl.config import GuardConfig

# P groups of G rollouts.
FULL_AT = 0.5
"""Share of groups kept from which a step has its whole learning rate; below, in proportion.
Ours, not tuned."""


@dataclass(frozen=True)
class Groups:
    """A step's rewards; undecided ones are NaN."""

    rewards_PG: np.ndarray

    @property
    def trials_P(self) -> np.ndarray:
        return (~np.isnan(self.rewards_PG)).sum(axis=1)

    @property
    def right_P(self) -> np.ndarray:
        return np.nansum(self.rewards_PG, axis=1)

    @property
    def flat(self) -> float:
        """Return the share of groups without spread."""
        return float(((self.right_P == 0) | (self.right_P == self.trials_P)).mean())


def kept(groups: Groups, guard: GuardConfig) -> np.ndarray:
    """Return which groups teach something; shape (P,)."""
    return (groups.right_P >= guard.min_successes) & (groups.right_P < groups.trials_P)


def shrink(kept_P: np.ndarray) -> float:
    return float(min(1.0, kept_P.mean() / FULL_AT))
