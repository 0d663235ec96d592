"""TRL's GRPOTrainer on a curriculum that is asked at the moment of generation.

TRL's sampler and accelerate's loader read a batch ahead, so a curriculum asked there would know the
rewards of the step before last. Here the rows of the data set are slots: when the rollouts of a
step are to be generated, and so after the update on those of the step before, the slots take the
curriculum's next tasks. The main process alone holds the curriculum and tells the others what was
chosen; rewards are gathered by TRL, in the order of the slots. A checkpoint holds its state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from ttc_rl.train.curriculum.guard import Groups, kept, shrink
from ttc_rl.train.rewards import pass_at_k_advantages

# P tasks a step, G rollouts a task; a step's completions are P groups of G over all processes.
STATE = "curriculum.json"
"""Of a checkpoint."""
VECTORS = "curriculum.npz"


@dataclass
class Director:
    """What a step trains on, and how far it may move the model."""

    curriculum: Curriculum
    prompt: Callable[[str], Any]
    """Task id -> the prompt as TRL takes it."""
    guard: GuardConfig | None
    tasks_per_step: int
    pass_at_k: int | None = None
    scale: bool = True
    """Advantages are divided by their group's spread."""
    tasks: list[str] = field(default_factory=list[str])
    """Of the step under way."""
    kept_P: np.ndarray = field(default_factory=lambda: np.ones(0, bool))
    advantages: np.ndarray | None = None
    """Of all completions of the step, where they are not TRL's."""
    shrink: float = 1.0
    steps: int = 0

    def step(self, number: int) -> tuple[str, ...]:
        """Return the tasks that step `number`, counted from 1, has to roll out."""
        return tuple(self.tasks) if number == self.steps else ()

    def begin(self, *, main: bool) -> None:
        """Ask for the next step's tasks, on the main process, and tell all."""
        tasks = [self.curriculum.next_tasks(self.tasks_per_step) if main else []]
        self.tasks = broadcast_object_list(tasks)[0]
        self.steps += 1

    def end(self, rewards: np.ndarray, *, main: bool) -> None:
        """End a step with the rewards of all its completions, in the order of its tasks."""
        groups = Groups(rewards.reshape(self.tasks_per_step, -1))
        if main:
            for task_id, right, trials in zip(
                self.tasks, groups.right_P, groups.trials_P, strict=True
            ):
                if trials:
                    self.curriculum.observe(task_id, float(right / trials), int(trials))
        self.kept_P = np.ones(len(self.tasks), bool)
        if self.guard:
            self.kept_P = kept(groups, self.guard)
            self.shrink = shrink(self.kept_P)
        self.flat = groups.flat
        if self.pass_at_k:
            advantages_PG = pass_at_k_advantages(
                groups.rewards_PG, self.pass_at_k, scale=self.scale
            )
            self.advantages = advantages_PG.ravel()

    def metrics(self) -> dict[str, float]:
        numbers = {f"curriculum/{k}": v for k, v in self.curriculum.metrics().items()}
        numbers["curriculum/flat"] = self.flat
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
        self.add_callback(_ShrunkStep(director))

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        main = self.accelerator.is_main_process
        self.director.begin(main=main)
        output = super()._generate_and_score_completions(self._filled(inputs))
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
        rewards = super()._calculate_rewards(*arguments, **options)  # of all processes
        values = rewards[:, 0].double().cpu().numpy()
        self.director.end(values, main=self.accelerator.is_main_process)
        return rewards

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.accelerator.is_main_process:
            folder = f"{self.args.output_dir}/checkpoint-{self.state.global_step}"
            write_json(Path(folder) / STATE, self.director.curriculum.state_dict())
            if vectors := self.director.curriculum.vectors():
                np.savez(Path(folder) / VECTORS, corpus=vectors["corpus"], target=vectors["target"])


def restore(director: Director, checkpoint: Path | None, step: int) -> None:
    """Go on after `step` rolled-out steps, where `checkpoint` has left the curriculum."""
    director.steps = step
    if checkpoint:
        director.curriculum.load_state_dict(read_json(checkpoint / STATE))
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
