"""The longest run of tokens that a text shares with any of many texts, in linear time.

A suffix automaton (Blumer et al. 1985) of all texts, one after the other with a mark between them
that is no token, reads every other text once: about 2 states a token, built in one pass.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """`length` tokens from `start` on in the text asked about; `row` is the first text with it."""

    start: int
    length: int
    row: int | None


class Spans:
    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self.next: list[dict[str | None, int]] = [{}]
        self.link, self.length, self.first_end = [-1], [0], [-1]
        self.starts: list[int] = []
        last, position = 0, 0
        for tokens in texts:
            self.starts.append(position)
            for token in (*tokens, None):
                last = self._extend(last, token, position)
                position += 1

    def _extend(self, last: int, token: str | None, position: int) -> int:
        """Add one token at the end; returns the state of the whole."""
        new = self._state({}, self.length[last] + 1, position)
        state = last
        while state != -1 and token not in self.next[state]:
            self.next[state][token] = new
            state = self.link[state]
        if state == -1:
            self.link[new] = 0
            return new
        target = self.next[state][token]
        if self.length[target] == self.length[state] + 1:
            self.link[new] = target
            return new
        copy = self._state(dict(self.next[target]), self.length[state] + 1, self.first_end[target])
        self.link[copy] = self.link[target]
        self.link[target] = self.link[new] = copy
        while state != -1 and self.next[state].get(token) == target:
            self.next[state][token] = copy
            state = self.link[state]
        return new

    def _state(self, following: dict[str | None, int], length: int, end: int) -> int:
        self.next.append(following)
        self.length.append(length)
        self.link.append(-1)
        self.first_end.append(end)
        return len(self.next) - 1

    def longest(self, tokens: Sequence[str]) -> Span:
        """Return the longest span of `tokens` that a text contains; of equals the first in
        `tokens`."""
        state, length, best = 0, 0, Span(0, 0, None)
        for at, token in enumerate(tokens):
            while state and token not in self.next[state]:
                state = self.link[state]
                length = self.length[state]
            if token not in self.next[state]:
                continue
            state, length = self.next[state][token], length + 1
            if length > best.length:
                row = bisect_right(self.starts, self.first_end[state]) - 1
                best = Span(at - length + 1, length, row)
        return best
