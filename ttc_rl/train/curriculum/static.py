"""Which task when: a static curriculum, cut into steps of exactly `tasks_per_step` tasks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ttc_rl.config import TrainConfig
from ttc_rl.metrics.flops import charged_steps
from ttc_rl.run_dir import SELECT_ANEW, ArmDir, check_vouched, read_jsonl
from ttc_rl.schema import Task, UserError


@dataclass(frozen=True)
class Plan:
    """The order in which training reads the tasks."""

    task_ids: tuple[str, ...]
    """One a slot; `tasks_per_step` slots a step."""
    tasks_per_step: int
    padding: int
    """Slots of the last step filled from the curriculum's start, so that no task is left out."""
    charged: int = 0
    """Steps taken off the end for what selection spent on the model."""

    redrawn = 0
    """A step is drawn once."""

    @property
    def steps(self) -> int:
        return len(self.task_ids) // self.tasks_per_step

    def step(self, number: int) -> tuple[str, ...]:
        """Return the task ids of step `number`, counted from 1."""
        start = (number - 1) * self.tasks_per_step
        return self.task_ids[start : start + self.tasks_per_step]


def read_curriculum(folder: ArmDir) -> tuple[list[str], dict[str, Task]]:
    """Return the task ids in training order, in which one may occur several times, and the tasks by
    id."""
    if not folder.curriculum.exists():
        raise UserError(f"{folder.curriculum}: not there yet; `ttc-rl select RECIPE` makes it")
    check_vouched(folder.selection, SELECT_ANEW.format(folder.selection), folder.curriculum)
    rows = list(read_jsonl(folder.curriculum, "task_id", "task"))
    return [row["task_id"] for row in rows], {r["task_id"]: Task(**r["task"]) for r in rows}


def plan(curriculum: Sequence[str], config: TrainConfig, targets: Sequence[str] = ()) -> Plan:
    """Return the plan: `epochs` passes in the selector's order. The last step is filled from the
    start.

    TRL would drop a partial last batch without a word. With `train.ttrl`, a step ends with
    `train.ttrl.tasks` of the `targets`, which take turns in their order.
    """
    per_step = config.curriculum_tasks_per_step
    if len(curriculum) < per_step:
        raise UserError(
            f"the curriculum holds {len(curriculum)} tasks, fewer than one step's "
            f"train.tasks_per_step {per_step}: raise selection.size or lower tasks_per_step"
        )
    slots = list(curriculum) * config.epochs
    padding = -len(slots) % per_step
    filled = [*slots, *curriculum[:padding]]
    around = itertools.cycle(targets)
    steps = [
        [*filled[i : i + per_step], *itertools.islice(around, config.tasks_per_step - per_step)]
        for i in range(0, len(filled), per_step)
    ]
    return Plan(tuple(itertools.chain(*steps)), config.tasks_per_step, padding)


def charged(whole: Plan, config: TrainConfig, compute: dict[str, Any] | None) -> Plan:
    """Return the plan cut to what selection left of its compute; the whole one without
    `charge_selection`.

    `compute` is that of selection.json, None where selection did not use the model.
    """
    if not config.charge_selection:
        return whole
    updates = config.trl.get("num_iterations", 1)
    steps = charged_steps(whole.steps, config.rollouts_per_step, updates, compute)
    task_ids = whole.task_ids[: steps * whole.tasks_per_step]
    return replace(whole, task_ids=task_ids, charged=whole.steps - steps)


def micro_batch(train: TrainConfig, devices: int) -> int:
    """Return the completions per pass on one device: `train.micro_batch`, or all of an update's.

    Raises UserError where they do not divide over the devices.
    """
    update = train.rollouts_per_step // train.updates_per_step
    batch = train.micro_batch or max(update // devices, 1)
    if update % (batch * devices):
        raise UserError(
            f"train: {update} completions an update ({train.tasks_per_step} tasks x "
            f"{train.rollouts_per_task} rollouts / {train.updates_per_step}) do not divide over "
            f"{devices} devices in micro-batches of {batch}"
        )
    return batch


def steps_and_padding(train: TrainConfig, size: int) -> tuple[int, int]:
    """Return the steps that the curriculum fills, epoch after epoch, and the slots left to fill in
    the last."""
    slots = size * train.epochs
    per_step = train.curriculum_tasks_per_step
    return -(-slots // per_step), -slots % per_step


def arithmetic(train: TrainConfig, size: int, *, experts: bool) -> str:
    """Return what training on so many tasks will take, in one line, before anything is loaded."""
    steps, padding = steps_and_padding(train, size)
    rollouts = steps * train.rollouts_per_step
    mixed = f" and {train.ttrl.tasks} target prompts" if train.ttrl else ""
    bill = ", less what selection spends on the model" if train.charge_selection else ""
    each = "for each expert: " if experts else ""
    return (
        f"{each}{size:,} tasks x {train.epochs} epochs / {train.curriculum_tasks_per_step} tasks a "
        f"step{mixed} = "
        f"{steps:,} steps ({padding} slots of the last filled from the start); "
        f"{train.tasks_per_step} x {train.rollouts_per_task} = {train.rollouts_per_step:,} "
        f"completions a step, {rollouts:,} in all, at most "
        f"{rollouts * train.max_completion_tokens:,} tokens{bill}"
    )
