"""Curricula, which name the tasks of a step, observe the rewards, and can be saved and restored.

A choice is made every few steps, of all tasks until the next one, among those trained fewer than
`train.epochs` times. What was seen since enters it: nothing is one step behind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ttc_rl.config import CurriculumConfig
from ttc_rl.selection.sift import greedy
from ttc_rl.train.curriculum.pool import Pool
from ttc_rl.train.curriculum.static import Plan

# N tasks of the pool, M targets, D embedding size.
PRIOR = 0.5
"""Success believed in before a rollout, where selection has not measured it: nothing is known."""


class Curriculum(ABC):
    """Which tasks when. The same calls in the same order give the same tasks, also across a save.

    Of a step's tasks `observe` hears those with a decided verdict, before the next step is asked.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.solved: dict[str, bool] = {}
        """Tasks trained so far: was one ever solved?"""

    @abstractmethod
    def next_tasks(self, count: int) -> list[str]:
        """Return the ids of the tasks of the next step."""

    def observe(self, task_id: str, pass_rate: float, trials: int) -> None:
        """Observe that `trials` rollouts of a task were decided, a share `pass_rate` of them
        right."""
        self.solved[task_id] = self.solved.get(task_id, False) or pass_rate > 0

    def metrics(self) -> dict[str, float]:
        """Return what to log after a step."""
        return {"never_solved": 1 - sum(self.solved.values()) / max(len(self.solved), 1)}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next tasks depend on, as JSON has it."""
        return {"steps": self.steps, "solved": self.solved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.solved = state["steps"], dict(state["solved"])

    def vectors(self) -> dict[str, np.ndarray]:
        """Return the state that is no JSON: embeddings other than those it began with."""
        return {}

    def load_vectors(self, vectors: Mapping[str, np.ndarray]) -> None:
        assert not vectors


class Static(Curriculum):
    """The selection's picks in their order, whatever happens."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan, self.taken = plan, 0

    def next_tasks(self, count: int) -> list[str]:
        self.steps += 1
        tasks = self.plan.task_ids[self.taken : self.taken + count]
        self.taken += len(tasks)
        return list(tasks)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.taken = state.get("taken", self.steps * self.plan.tasks_per_step)


@dataclass(frozen=True)
class Seen:
    """One group of rollouts: a row of the pool, the share of them that is right, their number."""

    row: int
    rate: float
    trials: int


class Following(Curriculum):
    """Chooses from a pool every `every` steps; subclasses say how."""

    def __init__(
        self, pool: Pool, config: CurriculumConfig, *, every: int, noise: float, passes: int
    ) -> None:
        super().__init__()
        self.pool, self.config = pool, config
        self.every, self.noise, self.passes = config.every or every, noise, passes
        self.ids = [task.id for task in pool.tasks]
        self.row_of = {task_id: row for row, task_id in enumerate(self.ids)}
        measured_N = pool.success_N
        self.prior_N = np.full(len(pool), PRIOR) if measured_N is None else measured_N
        self.order: list[int] = []
        """Rows trained so far, in order."""
        self.queue: list[int] = []
        """Rows chosen and not yet trained."""
        self.fresh: list[Seen] = []
        """What was observed since the last step was asked for."""
        self.choices = 0
        self.expected = 0.0
        self.look: Callable[[], tuple[np.ndarray, np.ndarray] | None] | None = None
        """Embeds pool and targets again, or does not this time; set by the holder of the model."""

    # What subclasses say.

    @abstractmethod
    def success_N(self) -> np.ndarray:
        """Return the solve rate that is believed of each task now, shape (N,)."""

    @abstractmethod
    def learn(self, seen: Sequence[Seen]) -> None:
        """Learn from the rollouts of one step."""

    @abstractmethod
    def choose(self, rows: np.ndarray, size: int) -> list[int]:
        """Return the next `size` of `rows`, in training order."""

    # What they share.

    def next_tasks(self, count: int) -> list[str]:
        if self.fresh:
            self.learn(self.fresh)
        self.fresh = []
        if self.steps % self.every == 0 or len(self.queue) < count:
            if self.look and (seen := self.look()):
                self.see(*seen)
            rows = self.open(count)
            self.queue = self.choose(rows, min(self.every * count, len(rows)))
            self.choices += 1
        taken, self.queue = self.queue[:count], self.queue[count:]
        self.expected = float(self.success_N()[taken].mean())
        self.steps += 1
        self.order += taken
        return [self.ids[row] for row in taken]

    def observe(self, task_id: str, pass_rate: float, trials: int) -> None:
        super().observe(task_id, pass_rate, trials)
        self.fresh.append(Seen(self.row_of[task_id], pass_rate, trials))

    def see(self, corpus_ND: np.ndarray, target_MD: np.ndarray) -> None:
        """Take other embeddings of the same pool and targets, of other dimensions perhaps."""
        self.pool = replace(self.pool, corpus_ND=corpus_ND, target_MD=target_MD)

    def open(self, count: int) -> np.ndarray:
        """Return the rows trained fewer than `passes` times; all rows, where those do not fill a
        step."""
        times_N = np.bincount(np.asarray(self.order, int), minlength=len(self.pool))
        rows = np.flatnonzero(times_N < self.passes)
        return rows if len(rows) >= count else np.arange(len(self.pool))

    def sift(self, rows: np.ndarray, size: int, noise_N: np.ndarray, *, known: bool) -> list[int]:
        """Return SIFT's next picks among `rows`; with `known`, given the tasks trained so far."""
        before = np.asarray(self.order if known else [], int)
        both = np.concatenate([rows, before])
        picks = greedy(
            self.pool.corpus_ND[both],
            self.pool.target_MD,
            len(before) + size,
            noise_N[both],
            before=range(len(rows), len(both)),
        )
        return rows[picks].tolist()

    def metrics(self) -> dict[str, float]:
        return super().metrics() | {
            "achievability": self.expected,
            "pool_achievability": float(self.success_N().mean()),
            "reselections": float(self.choices),
        }

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "order": [self.ids[row] for row in self.order],
            "queue": [self.ids[row] for row in self.queue],
            "fresh": [
                [self.ids[observed.row], observed.rate, observed.trials] for observed in self.fresh
            ],
            "choices": self.choices,
            "expected": self.expected,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.order = [self.row_of[i] for i in state["order"]]
        self.queue = [self.row_of[i] for i in state["queue"]]
        self.fresh = [Seen(self.row_of[i], rate, trials) for i, rate, trials in state["fresh"]]
        self.choices, self.expected = state["choices"], state["expected"]

    def vectors(self) -> dict[str, np.ndarray]:
        pool = self.pool
        return {"corpus": pool.corpus_ND, "target": pool.target_MD} if self.config.reembed else {}

    def load_vectors(self, vectors: Mapping[str, np.ndarray]) -> None:
        if vectors:
            self.see(vectors["corpus"], vectors["target"])
