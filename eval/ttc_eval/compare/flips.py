"""Which tasks changed hands between two models, and whether that is more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ttc_eval.compare.comparison import ChangedTask, Flips

SHOWN = 5
"""Tasks listed each way."""


def flips(after: np.ndarray, before: np.ndarray, prompts: Sequence[str]) -> Flips:
    """Return counts over N tasks, from each task's avg@n under both models."""
    change = after - before
    gained = int(((after > 0.5) & (before <= 0.5)).sum())
    lost = int(((before > 0.5) & (after <= 0.5)).sum())
    order = np.argsort(-change, kind="stable")
    rows = [(int(i), float(before[i]), float(after[i])) for i in order]
    risen = [row for row in rows if row[2] > row[1]][:SHOWN]
    fallen = [row for row in reversed(rows) if row[2] < row[1]][:SHOWN]
    return Flips(
        tasks=len(change),
        up=int((change > 0).sum()),
        down=int((change < 0).sum()),
        first=int(((before == 0) & (after > 0)).sum()),
        lost=int(((after == 0) & (before > 0)).sum()),
        majority_up=gained,
        majority_down=lost,
        p=mcnemar(gained, lost),
        most_changed=[
            ChangedTask(prompt=prompts[i], before=b, after=a) for i, b, a in [*risen, *fallen]
        ],
    )


def mcnemar(gained: int, lost: int) -> float | None:
    """Return the exact two-sided p of these flips each way if both ways were as likely; None
    without flips."""
    total = gained + lost
    if not total:
        return None
    tail = sum(math.comb(total, i) for i in range(min(gained, lost) + 1)) / 2**total
    return min(1.0, 2 * tail)
