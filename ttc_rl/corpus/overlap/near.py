"""Overlap that only embeddings show: corpus tasks with the meaning of a target in other words.

The embeddings are those that selection uses, so these rules come after them. A threshold on the
cosine also takes tasks that are merely on the same subject: docs/overlap.md has measured how many.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ttc_rl.corpus.overlap.join import Pairs
from ttc_rl.corpus.overlap.records import OverlapResult, Removed
from ttc_rl.schema import Task
from ttc_rl.vectors import Vectors, unit

# N corpus tasks, M targets, D embedding size, m nearest, P pairs.
CELLS = 1 << 24
"""Cosines held at once."""


def near_duplicates(
    corpus_ND: np.ndarray | Vectors, target_MD: np.ndarray, threshold: float
) -> Pairs:
    """Return the corpus rows whose cosine with a target is at least `threshold`, with the nearest
    target.

    Of targets equally near the first is named.
    """
    blocks = [
        (start + near, cosine.argmax(axis=1)[near], cosine.max(axis=1)[near])
        for start, cosine in _cosines(corpus_ND, target_MD)
        for near in [np.flatnonzero(cosine.max(axis=1, initial=-2) >= threshold)]
    ]
    empty = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    return Pairs(*(np.concatenate(parts) for parts in zip(empty, *blocks, strict=True)))


def nearest_tasks(corpus_ND: np.ndarray | Vectors, target_MD: np.ndarray, m: int) -> Pairs:
    """Return the m corpus rows nearest to each target, nearest first; of equals the first."""
    rows_M = np.empty((len(target_MD), 0), np.int64)
    best_M = np.empty((len(target_MD), 0), np.float32)
    for start, cosine in _cosines(corpus_ND, target_MD):
        numbers = np.broadcast_to(np.arange(start, start + len(cosine)), cosine.T.shape)
        together, rows = np.hstack([best_M, cosine.T]), np.hstack([rows_M, numbers])
        order = np.argsort(-together, axis=1, kind="stable")[:, :m]
        best_M = np.take_along_axis(together, order, axis=1)
        rows_M = np.take_along_axis(rows, order, axis=1)
    targets = np.repeat(np.arange(len(target_MD)), rows_M.shape[1])
    return Pairs(rows_M.reshape(-1), targets, best_M.reshape(-1))


def near_max(
    corpus_ND: np.ndarray | Vectors, target_MD: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each target, the greatest cosine and the first corpus row that has it; (M,)
    each."""
    pairs = nearest_tasks(corpus_ND, target_MD, 1)
    return pairs.similarity.astype(float), pairs.i


def near_pairs(corpus_ND: np.ndarray | Vectors, threshold: float) -> Pairs:
    """Return rows i < j of the corpus with cosine of at least `threshold`, by (i, j). N**2 D / 2
    work."""
    blocks = []
    tile = max(1, min(len(corpus_ND), 4096))
    starts = range(0, len(corpus_ND), tile)
    for first, second in itertools.combinations_with_replacement(starts, 2):
        left_ND = unit(corpus_ND[first : first + tile]).astype(np.float32)
        right_ND = unit(corpus_ND[second : second + tile]).astype(np.float32)
        cosine = left_ND @ right_ND.T
        i, j = np.nonzero(cosine >= threshold)
        after = first + i < second + j
        blocks.append((first + i[after], second + j[after], cosine[i[after], j[after]]))
    empty = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    i, j, cosine = (np.concatenate(parts) for parts in zip(empty, *blocks, strict=True))
    order = np.lexsort((j, i))
    return Pairs(i[order], j[order], cosine[order])


def remove_near(
    overlap: OverlapResult,
    corpus: Sequence[Task],
    targets: Sequence[Task],
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
) -> tuple[OverlapResult, np.ndarray]:
    """Return `overlap` with the rule `cosine` added, and the rows of corpus_ND that stay.

    `corpus` are the tasks that the rows of corpus_ND stand for.
    """
    config, removed = overlap.config, dict[int, Removed]()
    stay = np.arange(len(corpus))
    if config.cosine is not None:
        pairs = near_duplicates(corpus_ND, target_MD, config.cosine)
        for row, target, cosine in zip(pairs.i, pairs.j, pairs.similarity, strict=True):
            detail = f"cosine {cosine:.3f}"
            removed[row] = Removed(
                corpus[row].id, targets[target].id, "cosine", detail, float(cosine)
            )
        stay = np.delete(stay, pairs.i)
    rows = [removed[row] for row in sorted(removed)]
    return replace(overlap, removed=[*overlap.removed, *rows]), stay


def _cosines(
    corpus_ND: np.ndarray | Vectors, target_MD: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield tiles of consecutive corpus rows: the first's number, and their cosines with all
    targets."""
    unit_MD = unit(np.asarray(target_MD)).astype(np.float32)
    tile = max(1, CELLS // max(len(target_MD), corpus_ND.shape[1], 1))
    for start in range(0, len(corpus_ND), tile):
        yield start, unit(corpus_ND[start : start + tile]).astype(np.float32) @ unit_MD.T
