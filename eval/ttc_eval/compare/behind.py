"""All analyses of one benchmark that need no more than the counts of each task."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ttc_eval.compare.diversity import diversity
from ttc_eval.compare.latent import latent
from ttc_eval.records import Analysis, Control, Filtered, Refused, VerificationGap
from ttc_rl.metrics import Difference, paired_difference

Tasks = Sequence[Mapping[str, Any]]
"""Rows of MODEL.tasks.jsonl, in the benchmark's order."""


def is_counted(models: Mapping[str, Tasks]) -> bool:
    """Return whether the counts are there, which results of an older version lack."""
    return all("votes" in row for rows in models.values() for row in rows)


def analyse(
    models: Mapping[str, Tasks], samples: int, k: Sequence[int], controls: Collection[str] = ()
) -> Analysis | Refused:
    """Return all analyses but `compute`.

    `controls` are arms rewarded for form alone, or for another task's answer.
    """
    if not is_counted(models):
        return Refused(refused="results of an older version; `ttc-rl eval` counts them again")
    trained = [name for name in models if name != "base"]
    latents = control = None
    if "base" in models:
        latents = {arm: latent(models["base"], models[arm], samples) for arm in trained}
    if controls := [arm for arm in trained if arm in controls]:
        rest = [arm for arm in trained if arm not in controls]
        control = {name: over_control(models, name, rest, samples) for name in controls}
    return Analysis(
        diversity=diversity(models, samples, k),
        verification_gap={name: verification_gap(rows, samples) for name, rows in models.items()},
        latent=latents,
        control=control,
    )


def over_control(
    models: Mapping[str, Tasks], control: str, arms: Sequence[str], samples: int
) -> Control:
    """Return what the control gains over base, and each arm over the control: the part that is
    skill.

    Kung & Peng, arXiv:2305.11383: training with the meaning taken out can do about as well.
    """
    base = models.get("base")
    return Control(
        gain=None if base is None else _difference(models[control], base, samples),
        arms={arm: _difference(models[arm], models[control], samples) for arm in arms},
    )


def _difference(a: Tasks, b: Tasks, samples: int) -> Difference:
    name = f"avg@{samples}"
    return paired_difference([row[name] for row in a], [row[name] for row in b])


def verification_gap(rows: Tasks, samples: int) -> VerificationGap:
    """Return J, and how much better the samples are that a filter keeps (arXiv:2412.02674).

    J is the mean correctness, J after the majority filter that of the samples in the largest class
    (ties split), J after the confidence filter that of the surest. gap = J' - J, relative to
    what was left, 1 - J. Where the majority's is not above 0, rewarding agreement teaches nothing.
    """
    plain = np.array([row[f"avg@{samples}"] for row in rows])
    majority = _filtered(np.array([_largest(row["votes"]) for row in rows]), plain)
    confidence = None
    if all(f"best@{samples}" in row for row in rows):
        confidence = _filtered(np.array([row[f"best@{samples}"] for row in rows]), plain)
    return VerificationGap(
        plain=float(plain.mean()),
        majority=majority,
        confidence=confidence,
        majority_reward=bool(majority.gap.value > 0),
    )


def _filtered(filtered: np.ndarray, plain: np.ndarray) -> Filtered:
    gap, room = paired_difference(filtered, plain), 1 - plain.mean()
    relative = float(gap.value / room) if room > 0 else None
    return Filtered(after=float(filtered.mean()), gap=gap, relative=relative)


def _largest(votes: Sequence[tuple[int, bool]]) -> float:
    """Return maj@n of [size, correct] classes."""
    most = max((size for size, _ in votes), default=0)
    top = [right for size, right in votes if size == most]
    return sum(top) / len(top) if top else 0.0
