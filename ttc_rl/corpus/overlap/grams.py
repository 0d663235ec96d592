"""The n-gram rule: which target a text covers most."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ttc_rl.config import OverlapConfig
from ttc_rl.corpus.overlap.texts import tokens_of

Gram = tuple[str, ...]


class GramIndex:
    """Finds the target that a text covers most.

    A text that covers a target of T n-grams holds m = max(1, ceil(coverage * T)) of them, hence
    at least one of any T - m + 1. So only the T - m + 1 rarest are looked up, and stock phrases
    that stand in thousands of targets cost nothing.
    """

    def __init__(self, targets: Sequence[str], config: OverlapConfig) -> None:
        self.n = config.ngram
        self.needed: list[int] = []
        self.grams: list[frozenset[Gram]] = []
        self.short: dict[str, list[tuple[Gram, int]]] = defaultdict(list)
        for row, target in enumerate(targets):
            tokens = tokens_of(target)
            grams = frozenset(self._grams(tokens))
            self.grams.append(grams)
            self.needed.append(max(1, math.ceil(config.coverage * len(grams) - 1e-9)))
            if tokens and not grams:
                self.short[tokens[0]].append((tuple(tokens), row))
        self.rows = self._index()
        self.words = {word for grams in self.grams for gram in grams for word in gram}

    def _index(self) -> dict[Gram, list[int]]:
        frequency = Counter(gram for grams in self.grams for gram in grams)
        rows: dict[Gram, list[int]] = defaultdict(list)
        for row, grams in enumerate(self.grams):
            rarest = sorted(grams, key=lambda gram: (frequency[gram], gram))
            for gram in rarest[: len(grams) - self.needed[row] + 1]:
                rows[gram].append(row)
        return dict(rows)

    def find(self, text: str) -> tuple[int, str] | None:
        """Return the row of the target covered most (of several the first) and the words for it."""
        tokens = tokens_of(text)
        contained = self._contained(tokens)
        if contained is not None:
            return contained
        grams = frozenset(self._grams(tokens, self.words))
        candidates = {row for gram in grams for row in self.rows.get(gram, ())}
        shared = {row: len(grams & self.grams[row]) for row in candidates}
        covered = {
            row: count / len(self.grams[row])
            for row, count in shared.items()
            if count >= self.needed[row]
        }
        if not covered:
            return None
        best = min(covered, key=lambda row: (-covered[row], row))
        total = len(self.grams[best])
        return best, f"coverage {covered[best]:.2f}, {shared[best]} of {total} {self.n}-grams"

    def _contained(self, tokens: list[str]) -> tuple[int, str] | None:
        """Return the first short target that the tokens contain whole."""
        hits = [
            (row, len(short))
            for start, token in enumerate(tokens)
            for short, row in self.short.get(token, ())
            if tuple(tokens[start : start + len(short)]) == short
        ]
        if not hits:
            return None
        row, length = min(hits)
        return row, f"contains all {length} tokens of the target"

    def _grams(self, tokens: list[str], words: set[str] | None = None) -> Iterable[Gram]:
        """Yield n-grams of the tokens; with `words`, only those made of these words alone."""
        run = 0
        for end, token in enumerate(tokens, start=1):
            run = run + 1 if words is None or token in words else 0
            if run >= self.n:
                yield tuple(tokens[end - self.n : end])
