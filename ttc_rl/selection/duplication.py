"""How much the corpus repeats itself around the targets.

SIFT wins over each target's nearest neighbours where those are near-duplicates of each other, and
hardly anywhere else; so this says beforehand which of the two cases a corpus is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ttc_rl.selection.sift import tiles
from ttc_rl.vectors import Vectors, unit

# N corpus tasks, M targets, D embedding size, k neighbours.
NEIGHBOURS, ALIKE = 50, 0.95
BLOCK = 64
"""Targets whose cosines with the corpus are held at a time."""


@dataclass(frozen=True)
class Duplication:
    neighbours: int
    alike: float
    """Two tasks are near-duplicates from this cosine on."""
    share: float
    """Of a target's nearest tasks, how many have a near-duplicate among them; mean over targets."""
    distinct: float
    """How many tasks are left of the nearest when of near-duplicates only the first stays; mean."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def duplication(corpus_ND: np.ndarray | Vectors, target_MD: np.ndarray) -> Duplication:
    """Measure how much the `NEIGHBOURS` tasks nearest to each target by cosine repeat each other.
    O(N M D)."""
    k = min(NEIGHBOURS, len(corpus_ND))
    t_MD = unit(np.asarray(target_MD, np.float32))
    shares: list[float] = []
    distinct: list[int] = []
    for start in range(0, len(t_MD), BLOCK):
        cosine_mN = _cosines(corpus_ND, t_MD[start : start + BLOCK])
        for cosine_N in cosine_mN:
            near = np.sort(np.argpartition(-cosine_N, k - 1)[:k])
            rows_kD = unit(np.asarray(corpus_ND[near], np.float32))
            alike_kk = rows_kD @ rows_kD.T >= ALIKE
            np.fill_diagonal(alike_kk, False)
            shares.append(float(alike_kk.any(axis=1).mean()))
            distinct.append(_first_of_each(alike_kk))
    return Duplication(k, ALIKE, float(np.mean(shares)), float(np.mean(distinct)))


def _first_of_each(alike_kk: np.ndarray) -> int:
    gone_k = np.zeros(len(alike_kk), dtype=bool)
    for i, alike_k in enumerate(alike_kk):
        if not gone_k[i]:
            gone_k[i + 1 :] |= alike_k[i + 1 :]
    return int((~gone_k).sum())


def _cosines(corpus_ND: np.ndarray | Vectors, t_mD: np.ndarray) -> np.ndarray:
    cosine_mN = np.empty((len(t_mD), len(corpus_ND)), np.float32)
    for tile in tiles(len(corpus_ND)):
        cosine_mN[:, tile] = t_mD @ unit(np.asarray(corpus_ND[tile], np.float32)).T
    return cosine_mN
