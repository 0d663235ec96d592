"""Texts as sets of numbers: their runs of four characters, the rare ones weighing more.

    S(text)    the 4-grams of characters of " t1 t2 ... tk ", t the tokens (`texts.tokens_of`)
    w(s)       ceil(1024 ln(1 + N / df(s))): N texts in all, df of them hold s
    w(S)       the sum over a set

The weight counts what texts say and not the frame around it: "Write a python function to" in
hundreds of tasks weighs little. Weights are whole numbers, so sums do not depend on their order.
Nothing is hashed: a 4-gram is packed into 64 bits, 16 for each character's place in the alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ttc_rl.corpus.overlap.texts import tokens_of
from ttc_rl.schema import UserError

# N texts, V different shingles, Z shingles of all texts together.
LENGTH = 4
PLACES = 1 << 16
"""Different characters that 64 bits leave room for."""
BLOCK = 50_000
"""Texts held as shingles at once while the vocabulary is counted."""


@dataclass(frozen=True)
class Shingles:
    """Row i holds `items_Z[starts[i]:starts[i + 1]]`, ascending; 0 is the rarest shingle."""

    items_Z: np.ndarray
    starts: np.ndarray
    weights_V: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        """Return the number of shingles of each row; shape (N,)."""
        return np.diff(self.starts)

    def row(self, i: int) -> np.ndarray:
        return self.items_Z[self.starts[i] : self.starts[i + 1]]

    def totals(self) -> np.ndarray:
        """Return w of each row; shape (N,)."""
        return np.diff(np.r_[0, np.cumsum(self.weights_V[self.items_Z])][self.starts])


class Vocabulary:
    """The shingles of all texts that are to be compared, and their weights.

    The texts are read twice, a block at a time, so they need not be in memory together. Raises
    UserError where they hold more than 65,536 different characters.
    """

    def __init__(self, texts: Iterable[str], *, weighted: bool = True) -> None:
        points = [distinct(_points(_framed(block))) for block in _blocks(texts)]
        self.alphabet = distinct(np.concatenate([np.empty(0, np.uint32), *points]))
        if len(self.alphabet) > PLACES:
            raise UserError(
                f"overlap: the texts hold {len(self.alphabet):,} different characters; "
                f"near-duplicates are looked for among at most {PLACES:,}"
            )
        codes, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
        count = 0
        for block in _blocks(texts):
            count += len(block)
            block_codes, rows = self._codes(block)
            fresh = distinct(block_codes)
            size = max(len(fresh), 1)
            once = distinct(rows * size + np.searchsorted(fresh, block_codes))
            codes, counts = _merged(codes, counts, fresh, np.bincount(once % size))
        order = np.lexsort((codes, counts))
        self.codes_V = codes
        self.rank_V = np.empty(len(codes), np.int64)
        self.rank_V[order] = np.arange(len(codes))
        share = count / counts[order]
        weights = np.ceil(1024 * np.log1p(share)) if weighted else np.ones(len(codes))
        self.weights_V = weights.astype(np.int64)

    def sets(self, texts: Sequence[str]) -> Shingles:
        """Return the sets of some of the texts that the vocabulary was made of."""
        codes, rows = self._codes(texts)
        items = self.rank_V[np.searchsorted(self.codes_V, codes)]
        size = max(len(self.codes_V), 1)
        rows, items = np.divmod(distinct(rows * size + items), size)
        return Shingles(items, np.searchsorted(rows, np.arange(len(texts) + 1)), self.weights_V)

    def _codes(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return packed 4-grams, repeats included, and the row of the text of each."""
        framed = _framed(texts)
        places = np.searchsorted(self.alphabet, _points(framed)).astype(np.uint64)
        sizes = np.array([len(text) for text in framed], np.int64)
        lengths = np.maximum(sizes - LENGTH + 1, 0)
        shift = (np.cumsum(sizes) - sizes) - (np.cumsum(lengths) - lengths)
        at = np.arange(lengths.sum()) + np.repeat(shift, lengths)
        codes = np.zeros(len(at), np.uint64)
        for offset in range(LENGTH):
            codes = (codes << np.uint64(16)) | places[at + offset]
        return codes, np.repeat(np.arange(len(texts)), lengths)


def framed(text: str) -> str:
    """Return the tokens with a space around each. A short text is filled up, one without tokens is
    empty."""
    words = tokens_of(text)
    return f" {' '.join(words)} ".ljust(LENGTH) if words else ""


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the values sorted, each once. For millions of numbers this is faster than np.unique,
    which hashes."""
    ordered = np.sort(values)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]]] if len(ordered) else ordered


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    if rest is texts:
        raise TypeError("the texts are read twice, and a generator can be read once")
    while block := list(islice(rest, BLOCK)):
        yield block


def _framed(texts: Sequence[str]) -> list[str]:
    return [framed(text) for text in texts]


def _points(texts: Sequence[str]) -> np.ndarray:
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)


def _merged(
    codes: np.ndarray, counts: np.ndarray, more: np.ndarray, more_counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    together, where = np.unique(np.concatenate([codes, more]), return_inverse=True)
    summed = np.bincount(where.reshape(-1), weights=np.concatenate([counts, more_counts]))
    return together, summed.astype(np.int64)
