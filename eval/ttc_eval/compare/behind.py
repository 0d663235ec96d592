"""All analyses of one benchmark that need no more than the counts of each task."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ttc_eval.compare.diversity import diversity
from ttc_eval.compare.latent import latent
from ttc_rl.metrics import paired_difference

Tasks = Sequence[Mapping[str, Any]]
"""Rows of MODEL.tasks.jsonl, in the benchmark's order."""


def is_counted(models: Mapping[str, Tasks]) -> bool:
    """Whether the counts are there; results of an older version lack them."""
    return all("votes" in row for rows in models.values() for row in rows)


def analyse(
    models: Mapping[str, Tasks], samples: int, k: Sequence[int], controls: Collection[str] = ()
) -> dict[str, Any]:
    """`latent`, `diversity`, `verification_gap` and, where an arm is a control, `control`.

    `controls` are arms rewarded for form alone, or for another task's answer.
    """
    if not is_counted(models):
        return {"refused": "results of an older version; `ttc-rl eval` counts them anew"}
    trained = [name for name in models if name != "base"]
    found: dict[str, Any] = {
        "diversity": diversity(models, samples, k),
        "verification_gap": {
            name: verification_gap(rows, samples) for name, rows in models.items()
        },
    }
    if "base" in models:
        found["latent"] = {arm: latent(models["base"], models[arm], samples) for arm in trained}
    if controls := [arm for arm in trained if arm in controls]:
        rest = [arm for arm in trained if arm not in controls]
        found["control"] = {
            control: over_control(models, control, rest, samples) for control in controls
        }
    return found


def over_control(
    models: Mapping[str, Tasks], control: str, arms: Sequence[str], samples: int
) -> dict[str, Any]:
    """What the control gains over base, and each arm over the control: the part that is skill.

    Kung & Peng, arXiv:2305.11383: training with the meaning taken out can do about as well.
    """
    found: dict[str, Any] = {}
    if "base" in models:
        found["gain"] = asdict(_difference(models[control], models["base"], samples))
    found["arms"] = {
        arm: asdict(_difference(models[arm], models[control], samples)) for arm in arms
    }
    return found


def _difference(a: Tasks, b: Tasks, samples: int) -> Any:
    name = f"avg@{samples}"
    return paired_difference([row[name] for row in a], [row[name] for row in b])


def verification_gap(rows: Tasks, samples: int) -> dict[str, Any]:
    """J, and how much better the samples are that a filter keeps (arXiv:2412.02674).

    J is the mean correctness, J after the majority filter that of the samples in the largest class
    (ties split), J after the confidence filter that of the surest. gap = J' - J, relative to
    what was left, 1 - J. Where the majority's is not above 0, rewarding agreement teaches nothing.
    """
    plain = np.array([row[f"avg@{samples}"] for row in rows])
    filtered = {"majority": np.array([_largest(row["votes"]) for row in rows])}
    if all(f"best@{samples}" in row for row in rows):
        filtered["confidence"] = np.array([row[f"best@{samples}"] for row in rows])
    found: dict[str, Any] = {"plain": float(plain.mean())}
    for name, kept in filtered.items():
        gap = asdict(paired_difference(kept, plain))
        left = 1 - plain.mean()
        relative = float(gap["value"] / left) if left > 0 else None
        found[name] = {"after": float(kept.mean()), "gap": gap, "relative": relative}
    found["majority_reward"] = bool(found["majority"]["gap"]["value"] > 0)
    return found


def _largest(votes: Sequence[tuple[int, bool]]) -> float:
    """maj@n of [size, correct] classes."""
    most = max((size for size, _ in votes), default=0)
    top = [right for size, right in votes if size == most]
    return sum(top) / len(top) if top else 0.0
