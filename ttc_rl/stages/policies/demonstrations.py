"""Picks with their answers in the prompt: learning in context, without any training.

Before a task stand the `policy.count` picks of the arm that are nearest to it, each as a turn of
its own with a gold reply behind it, the nearest last. Whatever the model is asked, the picks are
those of the curriculum alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ttc_rl.config.marks import KEY
from ttc_rl.sampling import Decoding, ModelCompleter
from ttc_rl.sampling.prompts import Turn, as_messages, render
from ttc_rl.schema import BEFORE, Completion, Task, UserError, content_hash
from ttc_rl.selection.less.examples import gold_reply
from ttc_rl.stages.job import Job
from ttc_rl.stages.policies.base import Policy, begins_with, embedded, loaded
from ttc_rl.system.versions import model_fingerprint
from ttc_rl.train.curriculum import read_curriculum

# N tasks asked, P picks, D embedding size.


@dataclass(frozen=True)
class Shown:
    """A pick that can be shown, and what stands there of it."""

    task: Task
    reply: str


def demonstrations(job: Job, name: str) -> Policy:
    """Return the policy of the base model, or of `policy.of`, that reads picks before each task.

    Raises UserError where no pick of the arm can be shown.
    """
    recipe, folder = job.arm(name)
    order, tasks = read_curriculum(folder)
    picks = list(shown(job, [tasks[task_id] for task_id in dict.fromkeys(order)]))
    if not picks:
        raise UserError(
            f"{folder.curriculum}: no task has a gold reply to show, which policy.method "
            "demonstrations needs: programs have none"
        )
    model, count = begins_with(job, name), recipe.policy.count
    preface = Preface(picks, count, recipe.prompts, lambda some: embedded(job, some))
    written = [[pick.task.id, pick.reply] for pick in picks]
    fingerprint = content_hash([model_fingerprint(model), count, written])
    return Policy(name, fingerprint, lambda: Prefaced(loaded(job, model), preface))


def shown(job: Job, tasks: Sequence[Task]) -> list[Shown]:
    """Return the tasks that have a gold reply, and are one turn of a conversation."""
    found: list[Shown] = []
    for task in tasks:
        try:
            reply = gold_reply(task, job.graders)
        except UserError:
            continue
        if not any(task.meta.get(key) for key in BEFORE):
            found.append(Shown(task, reply))
    return found


class Preface:
    """Puts the picks that are nearest to a task before it."""

    def __init__(
        self,
        picks: Sequence[Shown],
        count: int,
        templates: Mapping[str, Any],
        embed: Callable[[Sequence[Task]], np.ndarray],
    ) -> None:
        self.picks, self.count, self.templates, self.embed = picks, count, templates, embed
        self.pick_PD: np.ndarray | None = None
        self.turns: dict[str, list[Turn]] = {}
        """Of a task that was asked before, by id."""

    def __call__(self, tasks: Sequence[Task]) -> list[Task]:
        """Return the tasks with their picks before them; their ids stay."""
        new = [task for task in tasks if task.id not in self.turns]
        if new:
            if self.pick_PD is None:
                self.pick_PD = self.embed([pick.task for pick in self.picks])
            for task, rows in zip(
                new, nearest_rows(self.embed(new), self.pick_PD, self.count), strict=True
            ):
                # The nearest one last, where a model looks first.
                self.turns[task.id] = [
                    turn for row in reversed(rows) for turn in self._turns(task, self.picks[row])
                ]
        return [self._prefaced(task) for task in tasks]

    def _turns(self, asked: Task, pick: Shown) -> list[Turn]:
        """Return a pick as two turns; it is asked for in the words that announce the task's own
        answer."""
        meta = {**pick.task.meta, KEY: asked.meta[KEY]} if KEY in asked.meta else pick.task.meta
        question = render(replace(pick.task, meta=meta), self.templates)
        return [*as_messages(question), {"role": "assistant", "content": pick.reply}]

    def _prefaced(self, task: Task) -> Task:
        turns = [*self.turns[task.id], *task.meta.get("turns", ())]
        return replace(task, meta={**task.meta, "turns": turns})


def nearest_rows(asked_ND: np.ndarray, pick_PD: np.ndarray, count: int) -> list[list[int]]:
    """Return for each task the rows of its nearest picks by cosine, the nearest first; the earlier
    pick first in a tie."""
    asked_ND = asked_ND / np.linalg.norm(asked_ND, axis=1, keepdims=True)
    pick_PD = pick_PD / np.linalg.norm(pick_PD, axis=1, keepdims=True)
    order_NP = np.argsort(-(asked_ND @ pick_PD.T), axis=1, kind="stable")
    return order_NP[:, :count].tolist()


@dataclass
class Prefaced:
    """A completer that reads something before each task."""

    model: ModelCompleter
    preface: Callable[[Sequence[Task]], list[Task]]

    def decoding_with(self, decoding: Decoding) -> Prefaced:
        return replace(self, model=self.model.decoding_with(decoding))

    def close(self) -> None:
        self.model.close()

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]:
        return self.model(self.preface(tasks), num_samples, seed=seed, first=first)
