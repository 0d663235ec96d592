"""Rows of several .npy files as one table that is read in pieces and never held whole.

A corpus of millions of embeddings does not fit in memory as float32. Every reader of embeddings
takes either an array or this: both have a shape, a dtype and a length, and give rows for a slice
or for row numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ttc_rl.schema import UserError

# N rows, D columns, r rows asked for.


class Vectors:
    """The rows of `shards`, one file after the other; with `rows`, those row numbers alone.

    A file is mapped only while rows are copied out of it, so that its pages are the system's to
    take back and do not count as this process's memory. Raises UserError where a shard is missing,
    is no two-dimensional array, or has another number of columns or another dtype.
    """

    ndim = 2

    def __init__(self, shards: Sequence[Path], rows: np.ndarray | None = None) -> None:
        if not shards:
            raise UserError("no shards of vectors to read")
        self.shards = list(shards)
        heads = [_mapped(path) for path in self.shards]
        for path, head in zip(self.shards, heads, strict=True):
            if head.ndim != 2 or (head.shape[1], head.dtype) != (heads[0].shape[1], heads[0].dtype):
                raise UserError(
                    f"{path}: holds {head.dtype} of shape {head.shape}, unlike {self.shards[0]} "
                    f"({heads[0].dtype}, {heads[0].shape}); shards must agree"
                )
        self.dtype = heads[0].dtype
        self.ends = list(itertools.accumulate(len(head) for head in heads))
        self.rows = rows
        self.shape = (self.ends[-1] if rows is None else len(rows), heads[0].shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def subset(self, rows: np.ndarray) -> Vectors:
        """Return the rows with these numbers, in this order; nothing is read."""
        return Vectors(self.shards, rows if self.rows is None else self.rows[rows])

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return a copy of the rows wanted; shape (r, D)."""
        if isinstance(rows, slice) and self.rows is None:
            start, stop, step = rows.indices(len(self))
            if step != 1:
                raise ValueError("rows are read forwards, one by one: a slice needs step 1")
            return self._range(start, max(start, stop))
        if self.rows is not None:
            return self._gather(np.asarray(self.rows[rows]))
        return self._gather(np.asarray(rows))

    def _range(self, start: int, stop: int) -> np.ndarray:
        out = np.empty((stop - start, self.shape[1]), self.dtype)
        for path, end, before in zip(self.shards, self.ends, [0, *self.ends], strict=False):
            low, high = max(start, before), min(stop, end)
            if low < high:
                out[low - start : high - start] = _mapped(path)[low - before : high - before]
        return out

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        if rows.size and not (rows.min() >= 0 and rows.max() < self.ends[-1]):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {self.ends[-1]}")
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        shard = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(shard):
            at = shard == number
            before = self.ends[number - 1] if number else 0
            out[at] = _mapped(self.shards[number])[rows[at] - before]
        return out


def rows_of(table_ND: np.ndarray | Vectors, rows: np.ndarray) -> np.ndarray | Vectors:
    """Return these rows; of vectors on disk nothing is read."""
    return table_ND.subset(rows) if isinstance(table_ND, Vectors) else table_ND[rows]


def unit(rows_rD: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length 1; a row of zeros stays."""
    norms_r1 = np.linalg.norm(rows_rD, axis=1, keepdims=True)
    return rows_rD / np.where(norms_r1 == 0, 1.0, norms_r1)


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a shard of vectors ({error})") from None
