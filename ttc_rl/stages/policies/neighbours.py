"""A vote of the nearest picks' golds, without any model: what a target owes to being known.

Where this solves a target, the corpus holds its answers. Picks of a task's own kind vote, the
`policy.count` nearest to it, each with its gold as an answer to the task (of a choice, the option
with the same text); in a tie, and where nobody agrees, the nearest one's counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ttc_rl.sampling import Decoding
from ttc_rl.schema import Completion, Task, UserError, content_hash
from ttc_rl.stages.job import Job
from ttc_rl.stages.policies.base import Policy, embedded
from ttc_rl.stages.policies.demonstrations import nearest_rows
from ttc_rl.train.curriculum import read_curriculum
from ttc_rl.verifiers import Graders
from ttc_rl.verifiers.majority import majority
from ttc_rl.verifiers.same_gold import gold_as_reply


def neighbours(job: Job, name: str) -> Policy:
    """Return the policy that answers by the vote of an arm's picks."""
    recipe, folder = job.arm(name)
    order, tasks = read_curriculum(folder)
    picks = [tasks[task_id] for task_id in dict.fromkeys(order)]
    count = recipe.policy.count
    vote = Vote(picks, count, lambda some: embedded(job, some), job.graders)
    fingerprint = content_hash(["neighbours", count, [[task.id, task.gold] for task in picks]])
    return Policy(name, fingerprint, lambda: Voting(vote))


@dataclass
class Vote:
    picks: Sequence[Task]
    count: int
    embed: Callable[[Sequence[Task]], np.ndarray]
    graders: Graders

    def __call__(self, tasks: Sequence[Task]) -> list[str]:
        """Return an answer to each task; an empty one where no pick of its kind has a gold.

        Raises UserError for a kind whose answers cannot vote.
        """
        answers = dict[int, str]()
        for kind in dict.fromkeys(task.kind for task in tasks):
            asked = [i for i, task in enumerate(tasks) if task.kind == kind]
            picks = [pick for pick in self.picks if pick.kind == kind]
            if kind not in self.graders.voting:
                raise UserError(
                    f"policy.method neighbours: answers of kind {kind} cannot vote; "
                    f"{', '.join(self.graders.voting)} can"
                )
            if picks:
                vectors = self.embed([tasks[i] for i in asked]), self.embed(picks)
                for i, rows in zip(asked, nearest_rows(*vectors, self.count), strict=True):
                    answers[i] = self._answer(tasks[i], [picks[row] for row in rows])
        return [answers.get(i, "") for i in range(len(tasks))]

    def _answer(self, task: Task, near: Sequence[Task]) -> str:
        given = [gold_as_reply(pick, task, self.graders) for pick in near]
        replies = [reply for reply in given if reply is not None]
        if not replies:
            return ""
        label = majority(task, replies, graders=self.graders).label
        return replies[0] if label is None else self.graders.reply(task, label)


@dataclass(frozen=True)
class Voting:
    """A completer that no decoding changes: all samples of a task are one answer."""

    vote: Callable[[Sequence[Task]], list[str]]

    def decoding_with(self, decoding: Decoding) -> Voting:
        return self

    def close(self) -> None:
        pass

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]:
        return [[Completion(text, "stop", 0)] * num_samples for text in self.vote(tasks)]
