"""Advantages of a search, in which the best of all completions counts and not their mean."""

from __future__ import annotations

import numpy as np

# P groups of G rollouts.
BISECTIONS = 60
STEEPEST = 1e6
"""Of beta times a group's spread: beyond, the best rollouts alone have weight."""


def entropic_advantages(rewards_PG: np.ndarray, tilt: float) -> np.ndarray:
    """Return the advantages of the entropic objective log E[exp(beta R)] (arXiv 2601.16175); shape
    (P, G).

    A_i = exp(beta R_i) / mean of exp(beta R_j) over the others j of its group, minus 1. Each
    group's beta is such that weights q ~ exp(beta R) differ from equal ones by KL(q || u) = `tilt`
    nats; STEEPEST where the best rollouts are too many for that. 0 in a flat group.
    """
    found_PG = np.zeros_like(rewards_PG, dtype=float)
    for rewards_G, found_G in zip(rewards_PG, found_PG, strict=True):
        spread = rewards_G.max() - rewards_G.min()
        if spread > 0:
            below_G = (rewards_G - rewards_G.max()) / spread
            weights_G = np.exp(_steepness(below_G, tilt) * below_G)
            others_G = (weights_G.sum() - weights_G) / (len(weights_G) - 1)
            found_G[:] = weights_G / others_G - 1
    return found_PG


def _steepness(below_G: np.ndarray, tilt: float) -> float:
    """Return beta with KL(softmax(beta x) || u) = `tilt`; at most STEEPEST. The divergence grows
    with beta."""

    def divergence(beta: float) -> float:
        q_G = np.exp(beta * below_G)
        q_G /= q_G.sum()
        return float((q_G * np.log(np.maximum(q_G, 1e-300) * len(q_G))).sum())

    low, high = 0.0, STEEPEST
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if divergence(middle) > tilt else (middle, high)
    return low
