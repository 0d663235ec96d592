"""Groups of completions drawn from the base model, and how often it solves a task.

    p = (a + correct) / (a + b + decided)        mean of the Beta posterior, prior Beta(a, b)

A drawing is written chunk by chunk; after a kill it goes on at the first chunk that is missing, and
ends up the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ttc_rl.config import DifficultyConfig
from ttc_rl.run_dir import append_jsonl, drop_cut_line, read_jsonl
from ttc_rl.schema import Completer, Task, UserError, content_hash
from ttc_rl.verifiers import BUILT_IN, Graders, check_infra_errors

logger = logging.getLogger(__name__)

# N corpus tasks.
LIMITS = 0.01, 0.99
"""Rates read from `meta` are kept inside: at 0 and 1 a task would be infinitely noisy."""


@dataclass(frozen=True)
class Group:
    """What was drawn for one task. `correct` is empty where nobody graded."""

    texts: list[str]
    finished: list[bool]
    tokens: list[int]
    correct: list[bool | None]


@dataclass(frozen=True)
class Drawing:
    """How groups are drawn and where they are kept. `setting` names model and decoding."""

    completer: Completer
    samples: int
    batch: int
    seed: int
    setting: str
    path: Path
    max_infra_errors: float
    graders: Graders = BUILT_IN


def draw_groups(tasks: Sequence[Task], drawing: Drawing, *, grade: bool) -> list[Group]:
    """A group for each task, from the file or drawn now; `batch` completions at a time."""
    per_chunk = max(1, drawing.batch // drawing.samples)
    chunks = [tasks[i : i + per_chunk] for i in range(0, len(tasks), per_chunk)]
    keys = [
        content_hash([drawing.setting, drawing.samples, drawing.seed, grade, [t.id for t in chunk]])
        for chunk in chunks
    ]
    rows: dict[str, dict[str, Group]] = {key: {} for key in keys}
    for row in read_jsonl(drawing.path):
        if row["chunk"] in rows:
            rows[row["chunk"]][row["task_id"]] = Group(
                row["texts"], row["finished"], row["tokens"], row["correct"]
            )
    drop_cut_line(drawing.path)
    done = 0
    for number, (key, chunk) in enumerate(zip(keys, chunks, strict=True)):
        if len(rows[key]) < len({task.id for task in chunk}):
            groups = _draw(chunk, drawing, grade)
            rows[key] = {task.id: group for task, group in zip(chunk, groups, strict=True)}
            append_jsonl(
                drawing.path,
                [
                    {"chunk": key, "task_id": task_id, **vars(group)}
                    for task_id, group in rows[key].items()
                ],
            )
        done += len(chunk)
        if number % 10 == 9 or done == len(tasks):
            logger.info(
                f"base model: {done:,} of {len(tasks):,} tasks drawn {drawing.samples} times"
            )
    return [rows[key][t.id] for key, chunk in zip(keys, chunks, strict=True) for t in chunk]


def _draw(chunk: Sequence[Task], drawing: Drawing, grade: bool) -> list[Group]:
    drawn = drawing.completer(chunk, drawing.samples, seed=drawing.seed)
    correct: list[bool | None] = []
    if grade:
        repeated = [task for task in chunk for _ in range(drawing.samples)]
        verdicts = drawing.graders.verify_many(repeated, [c.text for group in drawn for c in group])
        failed = sum(verdict.status == "infra_error" for verdict in verdicts)
        check_infra_errors(failed, len(verdicts), drawing.max_infra_errors, "selection")
        correct = [verdict.correct for verdict in verdicts]
    return [
        Group(
            [c.text for c in group],
            [not c.truncated for c in group],
            [c.tokens for c in group],
            correct[i * drawing.samples : (i + 1) * drawing.samples],
        )
        for i, group in enumerate(drawn)
    ]


def posterior_mean(correct: Sequence[bool | None], prior: tuple[float, float]) -> float:
    """(a + correct) / (a + b + decided); an undecided verdict is no trial."""
    decided = [verdict for verdict in correct if verdict is not None]
    return (prior[0] + sum(decided)) / (sum(prior) + len(decided))


def rates_from_meta(tasks: Sequence[Task], config: DifficultyConfig) -> dict[int, float]:
    """Row -> success rate, where a task's `meta` holds one. Raises UserError outside 0 to 1."""
    rates: dict[int, float] = {}
    for row, task in enumerate(tasks):
        value = task.meta.get(config.key or "")
        if value is None:
            continue
        if not isinstance(value, int | float) or not 0 <= value * config.scale <= 1:
            raise UserError(
                f"selection.difficulty: meta.{config.key} of task {task.id} is {value!r}; times "
                f"scale {config.scale:g} it should be a success rate from 0 to 1"
            )
        rates[row] = min(max(value * config.scale, LIMITS[0]), LIMITS[1])
    if not rates:
        raise UserError(f"selection.difficulty: no corpus task holds meta.{config.key}")
    return rates


def fill(rates: dict[int, float], num_tasks: int) -> np.ndarray:
    """Success of all tasks, shape (N,): the mean of the known ones where there is no estimate."""
    success_N = np.full(num_tasks, float(np.mean(list(rates.values()))))
    success_N[list(rates)] = list(rates.values())
    return success_N
