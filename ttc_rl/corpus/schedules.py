"""Scheduling problems: jobs of known length for equal machines, the longest busy one as short as
can be.

No answer is best at a glance, every answer has a value, and small ones fit a small model.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ttc_rl.config.discovery import ScheduleConfig

MACHINES = "abcdefghij"
NONE = "none"
"""Stands where there is no schedule to be improved."""


def make_problems(config: ScheduleConfig, seed: int) -> list[dict[str, Any]]:
    """Return problems as a problems file has them, the same for the same seed."""
    rng = random.Random(f"schedules {seed}")
    return [_problem(f"schedule-{n}", _lengths(config, rng), config) for n in range(config.count)]


def _lengths(config: ScheduleConfig, rng: random.Random) -> list[int]:
    return [rng.randint(10, 99) for _ in range(config.jobs)]


def _problem(name: str, lengths: Sequence[int], config: ScheduleConfig) -> dict[str, Any]:
    prompt = f"jobs {' '.join(map(str, lengths))} now {{answer}} >"
    return {"id": name, "prompt": prompt, "lengths": list(lengths), "machines": config.machines}


def score(problem: Mapping[str, Any], completion: str) -> tuple[str, float] | None:
    """Return the schedule that a completion holds, and the least possible length over its own: at
    most 1. None where some job has no machine.

    The least possible is the longest job or the mean of the machines, whichever is longer; not
    every problem has a schedule as short as that.
    """
    placed, lengths = completion.split(), problem["lengths"]
    machines = MACHINES[: problem["machines"]]
    if len(placed) != len(lengths) or any(name not in machines for name in placed):
        return None
    busy = [sum(t for t, name in zip(lengths, placed, strict=True) if name == m) for m in machines]
    return " ".join(placed), max(max(lengths), sum(lengths) / len(machines)) / max(busy)


def lessons(config: ScheduleConfig, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield prompts and replies that teach a model to propose, and nothing about what is good.

    Half of them: a random schedule where there was none. The others: one with up to three jobs
    moved at random.
    """
    rng = random.Random(f"lessons {seed}")
    machines = MACHINES[: config.machines]
    for _ in range(count):
        problem = _problem("", _lengths(config, rng), config)
        placed = rng.choices(machines, k=config.jobs)
        before = NONE if rng.random() < 0.5 else " ".join(placed)
        for job in rng.sample(range(config.jobs), rng.randint(1, min(3, config.jobs))):
            placed[job] = rng.choice(machines)
        yield problem["prompt"].replace("{answer}", before), " ".join(placed)
