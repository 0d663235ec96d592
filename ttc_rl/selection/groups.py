"""Targets that are alike, put together: each group gets a curriculum of its own."""

from __future__ import annotations

import numpy as np

from ttc_rl.selection.libraries import sklearn_cluster

# M targets, D embedding size.


def target_groups(target_MD: np.ndarray, groups: int | None, seed: int) -> list[list[int]]:
    """Return the rows of the targets in at most `groups` groups; without a number, each target
    alone.

    k-means by scikit-learn, the best of ten starts. Rows ascend in a group, and groups by their
    first row.
    """
    count = len(target_MD)
    if groups is None or groups >= count:
        return [[row] for row in range(count)]
    means = sklearn_cluster().KMeans(groups, n_init=10, random_state=seed)
    labels = means.fit_predict(np.asarray(target_MD, np.float64)).tolist()
    rows_of: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        rows_of.setdefault(label, []).append(row)
    return list(rows_of.values())
