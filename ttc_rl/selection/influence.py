"""LESS: the corpus tasks whose gradients point where the targets' do (arXiv 2402.04333, eq. 5-7).

    score_n = max over subtasks s of mean over t in s of sum_c w_c cos(corpus_cn, target_ct)

with one feature a checkpoint c, weighted by the mean learning rate of its epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ttc_rl.vectors import unit

# n tasks of the corpus's pool, m targets, C checkpoints, F features, S subtasks.


@dataclass(frozen=True)
class Influence:
    """What `order` needs: gradient features of a pool of corpus tasks and of the targets."""

    rows_n: np.ndarray
    """Which corpus rows the pool holds."""
    corpus_CnF: Sequence[np.ndarray]
    target_CmF: Sequence[np.ndarray]
    weights_C: Sequence[float]
    subtasks_m: Sequence[str]


def scores(features: Influence) -> np.ndarray:
    """Return the influence of every task of the pool, shape (n,). A feature of zeros has cosine
    0."""
    names = sorted(set(features.subtasks_m))
    of_m = np.array([names.index(name) for name in features.subtasks_m])
    total_nS = np.zeros((len(features.rows_n), len(names)))
    checkpoints = zip(features.corpus_CnF, features.target_CmF, features.weights_C, strict=True)
    for corpus_nF, target_mF, weight in checkpoints:
        target_mF = unit(np.asarray(target_mF, np.float64))
        mean_SF = np.stack([target_mF[of_m == s].mean(axis=0) for s in range(len(names))])
        total_nS += weight * (unit(np.asarray(corpus_nF, np.float64)) @ mean_SF.T)
    return total_nS.max(axis=1)


def order(features: Influence, size: int) -> list[int]:
    """Return the `size` corpus rows of the highest score, best first; ties to the lowest row."""
    best = np.lexsort((features.rows_n, -scores(features)))[:size]
    return np.asarray(features.rows_n)[best].tolist()
