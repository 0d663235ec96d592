"""Solve rates on the scale of log-odds."""

from __future__ import annotations

import numpy as np

EPSILON, OFFSET = 0.05, 0.5
"""A rate keeps so far from 0 and 1; the most by which one update moves all rates."""


def logit(p: np.ndarray, epsilon: float = EPSILON) -> np.ndarray:
    p = np.clip(p, epsilon, 1 - epsilon)
    return np.log(p / (1 - p))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
