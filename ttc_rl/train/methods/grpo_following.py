"""TRL's GRPOTrainer on a curriculum that is asked at the moment of generation.

TRL's sampler and accelerate's loader read a batch ahead, so a curriculum asked there would know the
rewards of the step before last. Here the rows of the data set are slots: when the rollouts of a
step are to be generated, and so after the update on those of the step before, the slots take the
curriculum's next tasks. The main process alone holds the curriculum and tells the others what was
chosen; rewards are gathered by TRL, in the order of the slots. A checkpoint holds its state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback
from trl.trainer.grpo_trainer import GRPOTrainer

from ttc_rl.config import EmbedConfig, GuardConfig
from ttc_rl.embed.encoders import encode_with, text_of
from ttc_rl.run_dir import read_json, write_json
from ttc_rl.schema import UserError
from ttc_rl.train.curriculum import Curriculum, Following
from ttc_rl.train.curriculum.gradalign import GradAlign
from ttc_rl.train.curriculum.guard import Groups, kept, shrink
from ttc_rl.train.methods.trl_compat import COMPLETION_IDS, COMPLETIONS

# P tasks a step, G rollouts a task; a step's completions are P groups of G over all processes.
STATE = "curriculum.json"
"""Of a checkpoint."""
VECTORS = "curriculum.npz"
DRAWN = "groups drawn"


@dataclass
class Director:
    """What a step trains on, and how far it may move the model."""

    curriculum: Curriculum
    prompt: Callable[[str], Any]
    """Task id -> the prompt as TRL takes it."""
    guard: GuardConfig | None
    tasks_per_step: int
    weigh: Callable[[np.ndarray], np.ndarray] | None = None
    """Rewards of P groups of G -> advantages of that shape; None leaves them to TRL."""
    draws: int = 1
    """How often a step may be drawn, until no group of it is flat."""
    slots: int = 0
    """The most groups that are drawn in all, where a step may be drawn again."""
    rollouts: int = 0
    """Completions of a group."""
    updates: int = 1
    """Optimiser updates a step."""
    answers: Mapping[str, float] = field(default_factory=dict[str, float])
    """How many answers each task could have, where the guard asks."""
    drawn: int = 0
    """Groups drawn so far."""
    redrawn: int = -1
    """How often the step under way was drawn before."""
    tasks: list[str] = field(default_factory=list[str])
    """Of the step under way."""
    rolling: list[str] = field(default_factory=list[str])
    """Those whose completions are drawn now."""
    kept_P: np.ndarray = field(default_factory=lambda: np.ones(0, bool))
    advantages: np.ndarray | None = None
    """Of all completions of the step, where they are not TRL's."""
    shrink: float = 1.0
    steps: int = 0

    def step(self, number: int) -> tuple[str, ...]:
        """Return the tasks that step `number`, counted from 1, has to roll out now."""
        return tuple(self.rolling) if number == self.steps else ()

    def begin(self, *, main: bool) -> None:
        """Ask for the next step's tasks, on the main process, and tell all."""
        self.steps, self.redrawn = self.steps + 1, -1
        self.tasks = self.more(self.tasks_per_step, main=main)

    def more(self, count: int, *, main: bool) -> list[str]:
        """Return the curriculum's next tasks, the same on every process."""
        self.rolling = broadcast_object_list([self.curriculum.next_tasks(count) if main else []])[0]
        self.drawn += len(self.rolling)
        self.redrawn += 1
        return self.rolling

    @property
    def charged(self) -> bool:
        """Return whether a step may draw more than its own groups, at the cost of later ones."""
        return self.draws > 1 or isinstance(self.curriculum, GradAlign)

    @property
    def left(self) -> int:
        """Return how many groups may still be drawn."""
        return self.slots - self.drawn

    def observe(self, rewards: np.ndarray, *, main: bool) -> None:
        """Tell the curriculum the rewards of the completions just drawn, in their tasks' order."""
        groups = Groups(rewards.reshape(len(self.rolling), -1))
        for task_id, right, trials in zip(
            self.rolling if main else [], groups.right_P, groups.trials_P, strict=False
        ):
            if trials:
                self.curriculum.observe(task_id, float(right / trials), int(trials))

    def end(self, rewards: np.ndarray) -> None:
        """End a step with the rewards of all its completions, in the order of its tasks."""
        groups = Groups(rewards.reshape(self.tasks_per_step, -1))
        self.kept_P = np.ones(len(self.tasks), bool)
        if self.guard:
            asked = self.guard.max_guess is not None
            answers_P = np.array([self.answers[task] for task in self.tasks]) if asked else None
            self.kept_P = kept(groups, self.guard, answers_P)
            self.shrink = shrink(self.kept_P)
        self.flat = groups.flat
        if self.weigh:
            self.advantages = self.weigh(groups.rewards_PG).ravel()

    def metrics(self) -> dict[str, float]:
        numbers = {f"curriculum/{k}": v for k, v in self.curriculum.metrics().items()}
        numbers["curriculum/flat"] = self.flat
        if self.charged:
            numbers["dynamic_sampling/groups"] = float(self.drawn)
        if self.guard:
            numbers["guard/dropped"] = float(1 - self.kept_P.mean())
            numbers["guard/shrink"] = self.shrink
        return numbers


class FollowingTrainer(GRPOTrainer):
    def __init__(self, *arguments: Any, director: Director, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if director.guard and self.is_deepspeed_enabled:
            raise UserError("train.guard: DeepSpeed steps by itself, out of reach; leave it out")
        self.director = director
        self.slots: list[dict[str, Any]] = []
        """This process's rows of the step under way."""
        self.scored: torch.Tensor | None = None
        """Rewards of all processes' completions, where they were drawn until they differed."""
        self.add_callback(_ShrunkStep(director))
        if director.charged:
            self.add_callback(_Exhausted(director))
        if director.draws > 1 and director.tasks_per_step % self.accelerator.num_processes:
            raise UserError(
                f"train.dynamic_sampling: {director.tasks_per_step} tasks a step do not divide "
                f"over {self.accelerator.num_processes} processes, each of which draws whole "
                "groups"
            )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        main = self.accelerator.is_main_process
        self.director.begin(main=main)
        self.slots = self._filled(inputs)
        output = super()._generate_and_score_completions(self.slots)
        if self.director.advantages is not None:
            first = self.accelerator.process_index * len(inputs)
            ours = torch.as_tensor(self.director.advantages[first : first + len(inputs)])
            output["advantages"] = ours.to(output["advantages"])
        rows = self._groups(len(inputs))
        mask = torch.as_tensor(self.director.kept_P[rows], device=output["advantages"].device)
        output["advantages"] = output["advantages"] * mask
        if main:
            for name, value in self.director.metrics().items():
                self._metrics["train"][name].append(value)
        return output

    def _groups(self, count: int) -> list[int]:
        """Return, for each of this process's `count` completions, the position of its task in the
        step."""
        first = self.accelerator.process_index * count
        group = self.accelerator.num_processes * count // self.director.tasks_per_step
        return [(first + i) // group for i in range(count)]

    def _filled(self, inputs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return this process's share of the slots with the step's tasks in them."""
        ids = [self.director.tasks[i] for i in self._groups(len(inputs))]
        prompts = {task_id: self.director.prompt(task_id) for task_id in set(ids)}
        return [
            slot | {"prompt": prompts[i], "task_id": i} for slot, i in zip(inputs, ids, strict=True)
        ]

    def _calculate_rewards(self, *arguments: Any, **options: Any) -> torch.Tensor:
        rewards, self.scored = self.scored, None
        if rewards is None:
            rewards = self._observed(*arguments, **options)
        self.director.end(_values(rewards))
        return rewards

    def _observed(self, *arguments: Any, **options: Any) -> torch.Tensor:
        """Return the rewards of all processes' completions; the curriculum has heard them."""
        rewards = super()._calculate_rewards(*arguments, **options)
        self.director.observe(_values(rewards), main=self.accelerator.is_main_process)
        return rewards

    def _generate(self, prompts: list[Any]) -> Any:
        """Draw a step's completions; those of groups without a difference anew, of other tasks.

        `prompts` and the rows behind them then are those of the tasks kept.
        """
        drawn = super()._generate(prompts)
        if self.director.draws > 1:
            batch = self._batch(drawn, self.slots, prompts)
            for _ in range(self.director.draws - 1):
                if not self._refill(batch):
                    break
            self.director.rolling = self.director.tasks
            self.scored = batch.rewards
        return drawn

    def _batch(self, drawn: Any, slots: list[dict[str, Any]], prompts: list[Any]) -> _Batch:
        """Return what was drawn for this process's slots, with the rewards of all processes."""
        rewards = self._observed(slots, prompts, drawn[COMPLETIONS], drawn[COMPLETION_IDS])
        columns: list[list[Any]] = [part for part in drawn if isinstance(part, list) and part]
        return _Batch([*columns, slots, prompts], rewards, len(slots) // self._group)

    @property
    def _group(self) -> int:
        return self.director.rollouts

    def _refill(self, batch: _Batch) -> bool:
        """Draw other tasks in the place of groups without a difference; False where none is drawn.

        Each process draws as many groups as the one with the most to replace, and keeps those with
        a difference that it needs.
        """
        director, mine = self.director, self.accelerator.process_index
        processes = self.accelerator.num_processes
        flat_of = _shares(_flat(batch.rewards, self._group), processes, batch.groups)
        count = max(map(len, flat_of))
        if not count or count * processes > director.left:
            return False
        tasks = director.more(count * processes, main=self.accelerator.is_main_process)
        own = tasks[mine * count : (mine + 1) * count]
        slots = [
            self.slots[0] | {"prompt": director.prompt(task_id), "task_id": task_id}
            for task_id in own
            for _ in range(self._group)
        ]
        asked = [slot["prompt"] for slot in slots]
        others = self._batch(super()._generate(asked), slots, asked)
        useless = set(_flat(others.rewards, self._group))
        useful_of = _shares([n for n in range(len(tasks)) if n not in useless], processes, count)
        for process, (flat, useful) in enumerate(zip(flat_of, useful_of, strict=True)):
            for old, new in zip(flat, useful, strict=False):
                director.tasks[old] = tasks[new]
                batch.rewards[_rows(old, self._group)] = others.rewards[_rows(new, self._group)]
                if process == mine:
                    batch.take(old % batch.groups, others, new % count, self._group)
        return True

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.accelerator.is_main_process:
            folder = f"{self.args.output_dir}/checkpoint-{self.state.global_step}"
            state = self.director.curriculum.state_dict() | {DRAWN: self.director.drawn}
            write_json(Path(folder) / STATE, state)
            if vectors := self.director.curriculum.vectors():
                np.savez(Path(folder) / VECTORS, corpus=vectors["corpus"], target=vectors["target"])


def restore(director: Director, checkpoint: Path | None, step: int) -> None:
    """Go on after `step` rolled-out steps, where `checkpoint` has left the curriculum."""
    director.steps = step
    if checkpoint:
        state = read_json(checkpoint / STATE)
        director.drawn = state.pop(DRAWN, step * director.tasks_per_step)
        director.curriculum.load_state_dict(state)
        if (checkpoint / VECTORS).exists():
            with np.load(checkpoint / VECTORS) as vectors:
                director.curriculum.load_vectors(dict(vectors))


def look_with_policy(trainer: FollowingTrainer, base: Path | str, config: EmbedConfig) -> None:
    """Have the curriculum embed pool and targets with the model under training."""
    curriculum = trainer.director.curriculum
    if not isinstance(curriculum, Following):
        return
    if trainer.accelerator.num_processes > 1:
        raise UserError("train.curriculum.reembed: works in one process only; leave it out")
    pool = curriculum.pool
    texts = [*(text_of(task, config) for task in pool.tasks), *pool.target_texts]
    weights_M1 = np.linalg.norm(pool.target_MD, axis=1, keepdims=True)

    def look() -> tuple[np.ndarray, np.ndarray]:
        model = trainer.accelerator.unwrap_model(trainer.model)
        vectors_nD = encode_with(model, base, texts, config)
        return vectors_nD[: len(pool)], weights_M1 * vectors_nD[len(pool) :]

    curriculum.look = look


def _values(rewards: torch.Tensor) -> np.ndarray:
    """Return the rewards of our one reward function."""
    return rewards[:, 0].double().cpu().numpy()


def _rows(group: int, size: int) -> slice:
    return slice(group * size, (group + 1) * size)


def _flat(rewards: torch.Tensor, size: int) -> list[int]:
    """Return the numbers of the groups whose decided rewards are all alike."""
    values_PG = _values(rewards).reshape(-1, size)
    spread_P = [len({*row[~np.isnan(row)].tolist()}) for row in values_PG]
    return [number for number, values in enumerate(spread_P) if values < 2]


def _shares(groups: Sequence[int], processes: int, share: int) -> list[list[int]]:
    """Return those of some groups that each process holds: `share` in turn are one's."""
    return [[n for n in groups if n // share == process] for process in range(processes)]


@dataclass
class _Batch:
    """Completions of this process, and the rewards of all."""

    columns: list[list[Any]]
    """Lists of one entry a completion: what TRL drew, and the rows and prompts behind it."""
    rewards: torch.Tensor
    groups: int
    """That this process holds."""

    def take(self, number: int, other: _Batch, theirs: int, size: int) -> None:
        """Put a group of another batch in the place of one of this."""
        for column, new in zip(self.columns, other.columns, strict=True):
            column[_rows(number, size)] = new[_rows(theirs, size)]


class _Exhausted(TrainerCallback):
    """Ends the training where no whole step can be drawn any more."""

    def __init__(self, director: Director) -> None:
        self.director = director

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        whole = state.global_step % self.director.updates == 0
        if whole and self.director.left < self.director.tasks_per_step:
            state.max_steps = state.global_step
            control.should_training_stop = True


class _ShrunkStep(TrainerCallback):
    """The optimiser's learning rates times the guard's factor, for the one update."""

    def __init__(self, director: Director) -> None:
        self.director = director
        self.rates: list[Any] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        groups = others["optimizer"].param_groups
        self.rates = [group["lr"] for group in groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * self.director.shrink

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        for group, rate in zip(others["optimizer"].param_groups, self.rates, strict=True):
            group["lr"] = rate
