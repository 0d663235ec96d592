"""A number and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval; `lo` and `hi` are None where one number says nothing of it."""

    value: float
    lo: float | None
    hi: float | None


@dataclass(frozen=True, slots=True)
class Difference(Estimate):
    """Of two means on the same tasks."""

    p: float | None
    """Two-sided; below 0.05 where the interval leaves 0 out. None for one task."""
    p_holm: float | None = None
    """p after Holm's correction over all differences of a family, where it is one of several."""
