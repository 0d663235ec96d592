"""`train.reward: "my_module:function"`: what a user's function pays.

It says so of each completion, f(task, verdict), or of all of a step at once, f(completions,
**columns) as TRL has it: a number, a bool, a `Verdict`, or None to leave the completion out.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ttc_rl.config import is_own
from ttc_rl.config.places import Places
from ttc_rl.config.plugins import load_object, takes
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.train.rewards import reward


@dataclass(frozen=True)
class Batch:
    """A step's completions with what an own reward may ask of them; B in all."""

    tasks: Sequence[Task]
    verdicts: Sequence[Verdict]
    from_trl: Mapping[str, Any]
    """What TRL hands to a reward function: `prompts`, `completions`, `completion_ids`, lists of B,
    and `trainer_state`, `log_metric` and the like."""

    def columns(self) -> dict[str, Any]:
        """Return what TRL hands over, and lists of B of the tasks' fields and of their meta."""
        names = {name for task in self.tasks for name in task.meta}
        columns: dict[str, Any] = {
            name: [task.meta.get(name) for task in self.tasks] for name in names
        }
        for name in ("id", "kind", "gold", "source"):
            columns["task_id" if name == "id" else name] = [getattr(t, name) for t in self.tasks]
        return columns | {"answer": columns["gold"]} | dict(self.from_trl)


OwnReward = Callable[[Batch], list[float | None]]


def own_reward(path: str, places: Places) -> OwnReward | None:
    """Return what the user's function that `train.reward` names pays; None where it names one of
    ours.

    Raises UserError where it takes neither `task, verdict` nor `completions`.
    """
    if not is_own(path):
        return None
    key = places.named("train.reward")
    function = load_object(key, path, places.folders)
    if callable(function) and "completions" in inspect.signature(function).parameters:
        return lambda batch: _paid_for_all(function, batch)
    if not callable(function) or not takes(function, 2):
        raise UserError(
            f"{key}: {path} is no function of (task, verdict), nor of (completions, **columns)"
        )
    return lambda batch: [
        _paid(function, task, verdict)
        for task, verdict in zip(batch.tasks, batch.verdicts, strict=True)
    ]


def _paid(function: Callable[..., Any], task: Task, verdict: Verdict) -> float | None:
    """Return what a function pays for one completion; None where the verifier failed, which it
    cannot know."""
    if verdict.status == "infra_error":
        return None
    return _number(function, function(task, verdict), task)


def _paid_for_all(function: Callable[..., Any], batch: Batch) -> list[float | None]:
    """Return what a function in TRL's form pays: it is called by name, with the columns that it
    asks for.

    Raises UserError for a column that no task has, and for anything but one number a completion.
    """
    columns, asked = batch.columns(), inspect.signature(function).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in asked):
        columns = {name: columns[name] for name in columns if name in {p.name for p in asked}}
    wanted = [p.name for p in asked if p.default is p.empty and p.kind not in VARIADIC]
    if missing := next((name for name in wanted if name not in columns), None):
        known = ", ".join(sorted(batch.columns()))
        raise UserError(
            f"train.reward: {function.__name__} wants {missing!r}, which no task has; there are "
            f"{known}; `columns: {{meta.{missing}: ...}}` of a source keeps one"
        )
    paid = function(**columns)
    if not isinstance(paid, Sequence) or len(paid) != len(batch.tasks):
        raise UserError(
            f"train.reward: {function.__name__} returned {paid!r:.80}; return a list of one number "
            f"a completion, here {len(batch.tasks)}"
        )
    return [_number(function, each, task) for each, task in zip(paid, batch.tasks, strict=True)]


VARIADIC = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


def _number(function: Callable[..., Any], paid: Any, task: Task) -> float | None:
    """Return a reward as a number. Raises UserError where it is none."""
    if isinstance(paid, Verdict):
        return reward(paid, "partial")
    if paid is None:
        return None
    number = float(paid) if isinstance(paid, Real) else math.nan
    if not math.isfinite(number):
        raise UserError(
            f"train.reward: {function.__name__} paid {paid!r} for task {task.id}; return a number, "
            "or None to leave the completion out"
        )
    return number
