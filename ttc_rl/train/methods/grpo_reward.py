"""The reward function that TRL is given, and the record of what was rolled out in which order.

P tasks a step, G rollouts a task; a step's completions arrive as P groups of G.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ttc_rl.config import Recipe
from ttc_rl.run_dir import ArmDir, read_jsonl, sync
from ttc_rl.sampling.prompts import read_completion
from ttc_rl.schema import Rollout, Task, Verdict
from ttc_rl.system.ranks import rank, world
from ttc_rl.train.own_reward import Batch, own_reward
from ttc_rl.train.rewards import reward, shuffled_golds
from ttc_rl.verifiers import BUILT_IN, Graders, check_infra_errors
from ttc_rl.verifiers.majority import label_accuracy, verify_groups

ROLLOUTS = pa.schema(
    [
        ("step", pa.int64()),
        ("task_id", pa.string()),
        ("completion", pa.string()),
        ("finish_reason", pa.string()),
        ("tokens", pa.int64()),
        ("correct", pa.bool_()),
        ("answer", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("reward", pa.float64()),
    ]
)
"""Of rollouts/*.parquet, the same where a step has no answer or no reward at all."""


ANY_SHARE = 0.0, 1.0
"""Of a group that must agree on a target prompt: TTRL trusts every vote that is no tie."""


class Order(Protocol):
    """A plan, or a curriculum that follows the model."""

    def step(self, number: int) -> tuple[str, ...]:
        """Return the task ids of a step, counted from 1."""
        ...

    @property
    def redrawn(self) -> int:
        """Return how often the step under way was drawn before."""
        ...


class Ledger:
    """The reward function, and the record of what was rolled out in which order."""

    def __init__(
        self,
        recipe: Recipe,
        plan: Order,
        tasks: Mapping[str, Task],
        arm: ArmDir,
        tokenizer: Any,
        ends: Collection[int],
        *,
        after: int = 0,
        graders: Graders = BUILT_IN,
    ) -> None:
        """Keep what rewards are made from. `ends` are the tokens that end a completion; a resumed
        training begins `after` this many steps."""
        self.plan, self.tasks, self.arm = plan, tasks, arm
        self.tokenizer, self.ends, self.graders = tokenizer, ends, graders
        self.reward: str = recipe.train.reward
        self.own = own_reward(recipe.train.reward, recipe.places)
        self.malformed = recipe.train.malformed
        if self.reward == "shuffled":
            self.tasks = shuffled_golds(tasks, recipe.seed)
        self.group = recipe.train.rollouts_per_task
        self.updates = recipe.train.updates
        self.majority = recipe.train.majority
        self.ttrl = recipe.train.ttrl
        self.max_infra_errors = recipe.train.max_infra_errors
        self.generated = _generated(arm, after)
        self.rolled: list[Rollout] = []
        """What this process drew last."""

    def verified_reward(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        task_id: Sequence[str],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        **more: Any,
    ) -> list[float | None]:
        """Return one reward a completion: 1 or 0 by the verifier's verdict, or None where
        undecided."""
        step = trainer_state.global_step // self.updates + 1
        self._check_order(step, task_id)
        # Read as an evaluation reads them: TRL may have cut out what a template calls thought.
        read = [read_completion(ids, self.ends, self.tokenizer) for ids in completion_ids]
        texts = [text for text, _ in read]
        started = time.perf_counter()
        verdicts = self._verdicts([self.tasks[i] for i in task_id], texts, log_metric)
        log_metric("time/verify", time.perf_counter() - started)
        if torch.cuda.is_available():
            log_metric("memory/peak_gb", torch.cuda.max_memory_allocated() / 1e9)
        given = {"prompts": prompts, "completions": completions, "completion_ids": completion_ids}
        given |= {"trainer_state": trainer_state, "log_metric": log_metric, **more}
        paid = self._paid([self.tasks[i] for i in task_id], verdicts, read, given)
        rollouts = [
            Rollout(i, text, "stop" if ended else "length", len(ids), verdict, number)
            for i, (text, ended), ids, verdict, number in zip(
                task_id, read, completion_ids, verdicts, paid, strict=True
            )
        ]
        self.generated += sum(map(len, completion_ids)) * world()  # TRL logs the ranks' mean
        log_metric("tokens/generated", float(self.generated))
        for status in ("no_answer", "timeout", "infra_error"):
            count = sum(verdict.status == status for verdict in verdicts)
            log_metric(f"curriculum/{status}_rate", count / len(verdicts))
        self.rolled = rollouts
        _write_rollouts(self.arm.rollouts, step, rollouts, self.plan.redrawn)
        failed = sum(verdict.status == "infra_error" for verdict in verdicts)
        check_infra_errors(failed, len(verdicts), self.max_infra_errors, f"step {step}")
        return [rollout.reward for rollout in rollouts]

    def _paid(
        self,
        tasks: Sequence[Task],
        verdicts: Sequence[Verdict],
        read: Sequence[tuple[str, bool]],
        given: Mapping[str, Any],
    ) -> list[float | None]:
        """Return a reward for each completion, read as text and whether it ended by itself."""
        if self.own is not None:
            return self.own(Batch(tasks, verdicts, given))
        shares = self.reward in ("correct", "shuffled")
        return [
            reward(
                verdict,
                "partial" if shares and self.graders.pays_shares(task) else self.reward,
                truncated=not ended,
                malformed=self.malformed,
            )
            for task, verdict, (_, ended) in zip(tasks, verdicts, read, strict=True)
        ]

    def _verdicts(
        self, tasks: Sequence[Task], texts: Sequence[str], log_metric: Callable[[str, float], None]
    ) -> list[Verdict]:
        """Return verdicts by gold; with `train.majority`, by the vote of each group, which is
        reported. With `train.ttrl`, return verdicts by vote for the target prompts, which have no
        gold, and by gold for the rest."""
        if self.ttrl is not None:
            voting = [task.gold is None and not task.tests for task in tasks]
            own = [i for i, votes in enumerate(voting) if not votes]
            rest = [i for i, votes in enumerate(voting) if votes]
            verdict_of = dict(zip(own, self._by_gold(tasks, texts, own, log_metric), strict=True))
            voted = self._by_vote(tasks, texts, rest, ANY_SHARE, "ttrl", log_metric)
            verdict_of |= zip(rest, voted, strict=True)
            return [verdict_of[i] for i in range(len(tasks))]
        every = range(len(tasks))
        if self.majority is None:
            return self._by_gold(tasks, texts, every, log_metric)
        return self._by_vote(tasks, texts, every, self.majority, "majority", log_metric)

    def _by_gold(
        self,
        tasks: Sequence[Task],
        texts: Sequence[str],
        rows: Sequence[int],
        log_metric: Callable[[str, float], None],
    ) -> list[Verdict]:
        verdicts = self.graders.verify_many([tasks[i] for i in rows], [texts[i] for i in rows])
        if verdicts:
            undecided = sum(v.correct is None and v.status == "ok" for v in verdicts)
            log_metric("curriculum/undecided_rate", undecided / len(verdicts))
        return verdicts

    def _by_vote(
        self,
        tasks: Sequence[Task],
        texts: Sequence[str],
        rows: Sequence[int],
        band: tuple[float, float],
        name_of: str,
        log_metric: Callable[[str, float], None],
    ) -> list[Verdict]:
        voting, theirs = [tasks[i] for i in rows], [texts[i] for i in rows]
        votes = verify_groups(voting, theirs, band, self.graders)
        for name, number in label_accuracy(votes).items():
            if number is not None:
                log_metric(f"{name_of}/{name}", number)
        return [verdict for vote in votes for verdict in vote.verdicts]

    def _check_order(self, step: int, task_ids: Sequence[str]) -> None:
        """Raise where the tasks rolled out are not those of the plan for this step.

        A rank sees its share of the completions, which may begin and end within a group.
        """
        planned = [task for task in self.plan.step(step) for _ in range(self.group)]
        share = len(planned) // world()
        expected = planned[rank() * share : (rank() + 1) * share]
        if list(task_ids) != expected:
            raise RuntimeError(
                f"step {step} rolled out tasks {_in_turn(task_ids)}, but the curriculum has "
                f"{_in_turn(expected)}: TRL did not keep the order"
            )


def _in_turn(task_ids: Sequence[str]) -> list[str]:
    return [name for name, _ in itertools.groupby(task_ids)]


def _generated(arm: ArmDir, step: int) -> int:
    """Return the tokens written up to a step, by all processes together."""
    rows = [row for row in read_jsonl(arm.metrics, "step") if row["step"] <= step]
    return int(rows[-1].get("tokens/generated", 0)) if rows else 0


def _write_rollouts(folder: Path, step: int, rollouts: Sequence[Rollout], redrawn: int = 0) -> None:
    """Write what a rank has drawn; a file of its own for each time that a step is drawn."""
    verdicts = [r.verdict for r in rollouts]
    columns: list[Sequence[Any]] = [
        [step] * len(rollouts),
        [r.task_id for r in rollouts],
        [r.completion for r in rollouts],
        [r.finish_reason for r in rollouts],
        [r.tokens for r in rollouts],
        [v.correct for v in verdicts],
        [v.answer for v in verdicts],
        [v.status for v in verdicts],
        [v.reason for v in verdicts],
        [r.reward for r in rollouts],
    ]
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"step-{step:05d}-{rank()}{f'-{redrawn}' * bool(redrawn)}.part"
    pq.write_table(pa.table(columns, schema=ROLLOUTS), beside)
    sync(beside)  # a checkpoint stands for the rollouts before it
    beside.replace(beside.with_suffix(".parquet"))
