"""Groups that teach nothing may not move the model.

A group with no success or no failure has no gradient, and a lone success of G has the largest
advantage of all, sqrt(G - 1), whether it was skill or a guess. Adam rescales whatever is left to a
whole step, so a batch with one lucky answer moves the model as far as an informative one: training
on tasks that are never solved then costs old skills (arXiv 2605.28388). So both:

    groups with fewer than `min_successes` successes, or without a failure, are dropped
    learning rate of the step *= min(1, share of groups kept / FULL_AT)

A success may also be a guess. Where one of A answers is right and the model knows it with chance s,
it is right with chance r = s + (1 - s) / A, so of its successes

    P(guess | success) = (1 - s) / A / r

are guesses: all of them where no more than one in A is right. With `max_guess` such groups are
dropped as well. A is the number of a task's options, else the perplexity of the golds of its source
and kind: few different golds are easily hit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ttc_rl.config import GuardConfig
from ttc_rl.schema import Task

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


def kept(groups: Groups, guard: GuardConfig, answers_P: np.ndarray | None = None) -> np.ndarray:
    """Return which groups teach something; shape (P,). `answers_P` counts the answers that each
    task could have, which `max_guess` asks for."""
    teaches_P = (groups.right_P >= guard.min_successes) & (groups.right_P < groups.trials_P)
    if guard.max_guess is not None:
        assert answers_P is not None
        teaches_P &= guessed(groups, answers_P) <= guard.max_guess
    return teaches_P


def guessed(groups: Groups, answers_P: np.ndarray) -> np.ndarray:
    """Return the chance that a success of each group is a guess, 1 without any; shape (P,)."""
    rate_P = groups.right_P / np.maximum(groups.trials_P, 1)
    chance_P = 1 / answers_P
    skill_P = np.clip((rate_P - chance_P) / np.maximum(1 - chance_P, 1e-12), 0, 1)
    return np.clip(1 - skill_P / np.maximum(rate_P, 1e-12), 0, 1)


def answers_of(tasks: Iterable[Task]) -> dict[str, float]:
    """Return for each task's id how many answers it could have."""
    every = list(tasks)
    golds: dict[tuple[str, str], Counter[str]] = {}
    for task in every:
        golds.setdefault((task.source, task.kind), Counter())[str(task.gold)] += 1
    perplexity = {place: _perplexity(counts) for place, counts in golds.items()}
    return {task.id: _answers(task, perplexity[task.source, task.kind]) for task in every}


def _answers(task: Task, perplexity: float) -> float:
    """Return how many answers a task could have; no program is guessed."""
    if task.gold is None or task.tests:
        return math.inf
    return float(len(task.meta.get("options") or ())) or perplexity


def _perplexity(counts: Counter[str]) -> float:
    shares_N = np.array(list(counts.values())) / counts.total()
    return float(np.exp(-(shares_N * np.log(shares_N)).sum()))


def shrink(kept_P: np.ndarray) -> float:
    return float(min(1.0, kept_P.mean() / FULL_AT))
