"""All pairs of texts whose similarity reaches a threshold t; none is missed.

    jaccard      w(a & b) / w(a | b)                  the same text, but for a few words
    containment  w(a & b) / min(w(a), w(b))           the shorter text stands in the longer one

with the shingles and weights w of `shingles.py`. A short text can stand in a long one by chance, so
containment counts only where the shorter has SHORT shingles or half the weight of the longer.

Let shingles be ordered from rare to frequent, and R_a(s) be the weight of a's shingles from s on.
If s is the first shingle that a and b share, then w(a & b) is at most R_a(s) and at most R_b(s), so
a pair that reaches t has, at that s,

    jaccard      R_a(s) >= t w(a),  R_b(s) >= t w(b),  both >= t (w(a) + w(b)) / (1 + t)
    containment  R_a(s) >= t w(a),  R_b(s) >= t w(a)   where w(a) <= w(b), or the other way round

Pairs are looked up by the shingles that allow this alone (the prefix filter of Bayardo et al., WWW
2007, and the position filter of Xiao et al., WWW 2008), and what is found is counted in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ttc_rl.corpus.overlap.shingles import Shingles, distinct

# N rows of one side, M of the other, P pairs, E entries (row, shingle).
Measure = Literal["jaccard", "containment"]
PAIRS_AT_ONCE = 4_000_000
SHORT = 120
"""Shingles, about 25 words."""
SLACK = 1 - 1e-12
"""Bounds are products of floats; a pair on the threshold is not to be lost in the last bit."""


@dataclass(frozen=True)
class Pairs:
    """Rows i of one side and j of the other, and their similarity; each of shape (P,)."""

    i: np.ndarray
    j: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.i)


def similar_pairs(left: Shingles, right: Shingles, threshold: float, measure: Measure) -> Pairs:
    """Return every pair of a row of `left` and one of `right` that reaches the threshold, in (0,
    1].

    Both sides share one vocabulary (`Shingles.rows`). A row without shingles is similar to none.
    """
    if measure == "jaccard":
        codes = list(_jaccard_candidates(left, right, threshold))
    else:
        codes = list(_containment_candidates(left, right, threshold))
        turned = _containment_candidates(right, left, threshold)
        codes += [code % len(left) * len(right) + code // len(left) for code in turned]
    all_codes = distinct(np.concatenate([np.empty(0, np.int64), *codes]))
    i_P, j_P = np.divmod(all_codes, max(len(right), 1))
    similarity_P = _similarities(left, right, i_P, j_P, measure)
    near = similarity_P >= threshold
    return Pairs(i_P[near], j_P[near], similarity_P[near])


# --------------------------------------------------------------------------- candidates


@dataclass(frozen=True)
class _Entries:
    """A shingle of a row, the weight of the row from there on, and in all; each of shape (E,)."""

    row: np.ndarray
    item: np.ndarray
    rest: np.ndarray
    total: np.ndarray

    @staticmethod
    def of(sets: Shingles) -> _Entries:
        before = np.r_[0, np.cumsum(sets.weights_V[sets.items_Z])]
        row = np.repeat(np.arange(len(sets)), np.diff(sets.starts))
        ends = before[sets.starts[1:]]
        total = (ends - before[sets.starts[:-1]])[row]
        return _Entries(row, sets.items_Z, ends[row] - before[:-1], total)

    def prefix(self, threshold: float) -> _Entries:
        """Return the entries that alone can be the first that two similar rows share: R(s) >= t
        w."""
        return self[self.rest >= threshold * self.total * SLACK]

    def __getitem__(self, rows: np.ndarray) -> _Entries:
        return _Entries(self.row[rows], self.item[rows], self.rest[rows], self.total[rows])


def _jaccard_candidates(left: Shingles, right: Shingles, threshold: float) -> Iterator[np.ndarray]:
    ours = _Entries.of(left).prefix(threshold)
    theirs = _Entries.of(right).prefix(threshold)
    share = threshold / (1 + threshold) * SLACK

    def fits(mine: np.ndarray, other: np.ndarray) -> np.ndarray:
        least = share * (ours.total[mine] + by_key.total[other])
        return np.minimum(ours.rest[mine], by_key.rest[other]) >= least

    by_key = _sorted(theirs)
    low = threshold * ours.total * SLACK
    high = ours.total / (threshold * SLACK)
    return _meet(ours, by_key, low, high, fits, len(right))


def _containment_candidates(
    left: Shingles, right: Shingles, threshold: float
) -> Iterator[np.ndarray]:
    """Yield the pairs where the row of `left` is the lighter one, or as heavy."""
    ours = _Entries.of(left).prefix(threshold)
    by_key = _sorted(_Entries.of(right))

    def fits(mine: np.ndarray, other: np.ndarray) -> np.ndarray:
        return by_key.rest[other] >= threshold * SLACK * ours.total[mine]

    heaviest = np.full(len(ours.total), np.inf)
    return _meet(ours, by_key, ours.total, heaviest, fits, len(right))


def _sorted(entries: _Entries) -> _Entries:
    return entries[np.lexsort((entries.total, entries.item))]


def _meet(
    ours: _Entries,
    theirs: _Entries,
    low: np.ndarray,
    high: np.ndarray,
    fits: Callable[[np.ndarray, np.ndarray], np.ndarray],
    width: int,
) -> Iterator[np.ndarray]:
    """Yield codes i * width + j of entries with one shingle, low <= w(j) <= high, that `fits`
    takes.

    `theirs` is sorted by shingle and weight, so that the partners of one entry are one range.
    """
    span = 1 + int(theirs.total.max(initial=0))
    keys = theirs.item * span + theirs.total
    bottom = np.minimum(np.ceil(low), span).astype(np.int64)
    top = np.minimum(np.floor(high), span - 1).astype(np.int64)
    first = np.searchsorted(keys, ours.item * span + bottom, side="left")
    count = np.searchsorted(keys, ours.item * span + top, side="right") - first
    some = np.flatnonzero(count > 0)
    ends = np.cumsum(count[some])
    start = 0
    while start < len(some):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + PAIRS_AT_ONCE, side="right")))
        rows = some[start:stop]
        mine = np.repeat(rows, count[rows])
        begins = np.repeat(ends[start:stop] - count[rows] - done, count[rows])
        other = first[mine] + np.arange(len(mine)) - begins
        good = fits(mine, other)
        yield distinct(ours.row[mine[good]] * width + theirs.row[other[good]])
        start = stop


# --------------------------------------------------------------------------- counted in full


def _similarities(
    left: Shingles, right: Shingles, i_P: np.ndarray, j_P: np.ndarray, measure: Measure
) -> np.ndarray:
    """Return the similarity of each pair; i_P ascends."""
    left_P, right_P = left.totals()[i_P], right.totals()[j_P]
    weight_V = np.zeros(len(left.weights_V), np.int64)
    shared_P = np.zeros(len(i_P), np.int64)
    rows = distinct(i_P)
    firsts = np.searchsorted(i_P, rows)
    for row, start, stop in zip(rows, firsts, np.append(firsts, len(i_P))[1:], strict=True):
        mine = left.row(row)
        weight_V[mine] = left.weights_V[mine]
        shared_P[start:stop] = [weight_V[right.row(j)].sum() for j in j_P[start:stop]]
        weight_V[mine] = 0
    if measure == "jaccard":
        return shared_P / np.maximum(left_P + right_P - shared_P, 1)
    small_P, large_P = np.minimum(left_P, right_P), np.maximum(left_P, right_P)
    shorter_P = np.minimum(left.sizes[i_P], right.sizes[j_P])
    telling = (shorter_P >= SHORT) | (2 * small_P >= large_P)
    return np.where(telling, shared_P / np.maximum(small_P, 1), 0.0)
