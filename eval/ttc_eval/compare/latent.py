"""How much of a gain is skill, and how much is that more answers can be read: two bounds.

w is the share of samples with an answer that could be read, a that of correct ones. Had the others
been right as often, skill would be a/w; it lies in [a, a/w] if they would have been right no more
often. So the gain in skill lies between

    lower = a_after - a_before / w_before      upper = a_after / w_after - a_before.

The accuracy divided by w on both sides, as some report it, is one number between these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ttc_eval.records import Latent, Readable
from ttc_rl.metrics import Estimate, resampled_means

READABLE = 0.5
"""Below this share of readable answers a/w says more of the other half than of what was seen."""


def latent(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], samples: int
) -> Latent:
    """Return both bounds with 95 % intervals over tasks, resampled alike for all four means."""
    means_4N = np.array(
        [[row[key] / samples for row in rows] for rows in (before, after) for key in KEYS]
    )
    readable = Readable(before=float(means_4N[1].mean()), after=float(means_4N[3].mean()))
    if poor := [
        f"{when} {share:.0%}" for when, share in vars(readable).items() if share < READABLE
    ]:
        reason = f"an answer could be read in {' and '.join(poor)} of the samples, below 50 %"
        return Latent(readable=readable, refused=f"{reason}: no bound is worth its name")
    bounds = _bounds(means_4N.mean(axis=1)[None])[0]
    limits = np.full((2, 2), np.nan)
    if means_4N.shape[1] > 1:
        limits = np.quantile(_bounds(resampled_means(means_4N)), [0.025, 0.975], axis=0)
    lower, upper = (
        Estimate(float(bound), *(None if np.isnan(v) else float(v) for v in ends))
        for bound, ends in zip(bounds, limits.T, strict=True)
    )
    return Latent(readable=readable, lower=lower, upper=upper)


KEYS = ("correct", "answered")


def _bounds(means_R4: np.ndarray) -> np.ndarray:
    """Return lower and upper bounds, shape (R, 2). A resample in which nothing could be read counts
    w as tiny."""
    a0, w0, a1, w1 = means_R4.T
    return np.stack([a1 - a0 / np.maximum(w0, 1e-9), a1 / np.maximum(w1, 1e-9) - a0], axis=1)
