"""How much of the curriculum each cluster of the corpus gets, by a quadratic programme.

arXiv 2510.03605, section 4: with the second moments L_l of the clusters and S of the targets, the
shares minimise || I - S^-1 sum_l pi_l L_l ||_F^2 over the simplex: the mixture should spread over
the targets' directions as the targets do. Clusters are k-means' (scikit-learn); the programme is a
non-negative least squares with a heavy row for the sum (scipy). Everything is projected on the
targets' principal directions, since S must be invertible, and every L_l is scaled to trace 1: the
paper's preference for hard clusters depends on that scale, so difficulty has no part here.
"""

from __future__ import annotations

import numpy as np

from ttc_rl.selection.libraries import nnls, sklearn_cluster
from ttc_rl.selection.problem import Problem

# N corpus tasks, M targets, D embedding size, L clusters, R directions.
CLUSTERS, DIRECTIONS = 64, 32
SHRINKAGE = 0.1
SUM_WEIGHT = 1e3


def shares(problem: Problem) -> list[int]:
    """Pick random tasks of each cluster by its share, clusters taking turns. O(N L D)."""
    corpus_ND = np.asarray(problem.corpus_ND[:], np.float64)
    label_N = _clusters(corpus_ND, problem.seed)
    moments = [corpus_ND[label_N == label] for label in range(label_N.max() + 1)]
    wanted_L = cluster_shares(moments, np.asarray(problem.target_MD, np.float64))
    counts_L = whole_numbers(wanted_L, problem.size, np.bincount(label_N))
    rng = problem.rng
    queues = [
        rng.permutation(np.flatnonzero(label_N == label))[:count].tolist()
        for label, count in enumerate(counts_L)
    ]
    # The j-th of a cluster's k tasks stands at (j + 1/2) / k of the way: evenly mixed throughout.
    placed = [
        ((turn + 0.5) / len(queue), label, row)
        for label, queue in enumerate(queues)
        for turn, row in enumerate(queue)
    ]
    return [int(row) for _, _, row in sorted(placed)]


def cluster_shares(clusters: list[np.ndarray], target_MD: np.ndarray) -> np.ndarray:
    """Return the share of each cluster, from its rows and the targets'; shape (L,), sums to 1."""
    _, values, directions_RD = np.linalg.svd(target_MD, full_matrices=False)
    num_directions = min(DIRECTIONS, int((values > 1e-6 * values[0]).sum()))
    aims_RR = _moment(target_MD @ directions_RD[:num_directions].T)
    inverse_RR = np.linalg.inv(aims_RR)
    columns = [
        (inverse_RR @ _moment(rows @ directions_RD[:num_directions].T)).ravel() for rows in clusters
    ]
    system = np.vstack([np.stack(columns, axis=1), np.full(len(clusters), SUM_WEIGHT)])
    goal = np.concatenate([np.eye(num_directions).ravel(), [SUM_WEIGHT]])
    share_L, _ = nnls()(system, goal)
    return share_L / share_L.sum()


def whole_numbers(share_L: np.ndarray, size: int, most_L: np.ndarray) -> np.ndarray:
    """Return whole numbers near `size` x share that sum to `size`, none above `most`. Largest
    remainders come first, and what does not fit goes to the other clusters by their shares."""
    counts_L = np.zeros(len(share_L), int)
    while (missing := size - int(counts_L.sum())) > 0:
        free_L = counts_L < most_L
        weight_L = np.where(free_L, np.maximum(share_L, 1e-12), 0.0)
        exact_L = missing * weight_L / weight_L.sum()
        step_L = np.floor(exact_L).astype(int)
        rest = np.argsort(-(exact_L - step_L) * free_L, kind="stable")[: missing - step_L.sum()]
        step_L[rest] += 1
        counts_L = np.minimum(counts_L + step_L, most_L)
    return counts_L


def _moment(rows_rR: np.ndarray) -> np.ndarray:
    """Return the second moment, shrunk towards the identity, of trace 1."""
    moment_RR = rows_rR.T @ rows_rR / max(len(rows_rR), 1)
    size = len(moment_RR)
    level = np.trace(moment_RR) / size or 1.0
    mixed_RR = (1 - SHRINKAGE) * moment_RR + SHRINKAGE * level * np.eye(size)
    return mixed_RR / np.trace(mixed_RR)


def _clusters(corpus_ND: np.ndarray, seed: int) -> np.ndarray:
    count = min(CLUSTERS, len(corpus_ND))
    means = sklearn_cluster().MiniBatchKMeans(count, random_state=seed, n_init=1, batch_size=4096)
    _, label_N = np.unique(means.fit_predict(corpus_ND), return_inverse=True)
    return label_N
