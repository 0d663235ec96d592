"""Take out of a corpus what stands in the targets, before anything is selected.

    exact    the same prompt: NFKC, lower case, letters and digits only
    content  the same (family, content) in `meta`: a procedural task under another wording
    ngram    |G(corpus task) & G(target)| / |G(target)| >= coverage, G the set of n-grams of tokens
             (runs of letters and digits, lower case); a target of fewer than n tokens has no
             n-gram, so there a corpus task goes that contains all of it, in a row

Golds are not looked at: an equal prompt with another gold goes too. Not covered: translations and
paraphrases, which share no n-gram.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ttc_rl.config import OverlapConfig
from ttc_rl.schema import Task

Rule = Literal["exact", "content", "ngram"]
Gram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """A corpus task left out, the target it overlaps with most, and why."""

    task_id: str
    target_id: str
    rule: Rule
    detail: str


@dataclass(frozen=True)
class OverlapResult:
    kept: list[int]
    """Rows of the corpus that stay, in order."""
    removed: list[Removed]
    corpus_tasks: int
    targets: int
    config: OverlapConfig
    remaining_overlap: int
    """Kept tasks that a second check, written another way, finds equal to a target: 0."""

    def report(self) -> dict[str, Any]:
        return {
            "corpus_tasks": self.corpus_tasks,
            "targets": self.targets,
            "removed": len(self.removed),
            "by_rule": dict(Counter(removed.rule for removed in self.removed)),
            "ngram": self.config.ngram,
            "coverage": self.config.coverage,
            "remaining_overlap": self.remaining_overlap,
        }


def remove_overlap(
    corpus: Sequence[Task], targets: Sequence[Task], config: OverlapConfig
) -> OverlapResult:
    """Which corpus tasks may be trained on. Rules are tried in the order of the list above."""
    keys = _first_rows(plain_text(target.prompt) for target in targets)
    contents = _first_rows(_content(target) for target in targets)
    grams = GramIndex([target.prompt for target in targets], config)
    kept: list[int] = []
    removed: list[Removed] = []

    def why(task: Task) -> tuple[int, Rule, str] | None:
        row = keys.get(plain_text(task.prompt))
        if row is not None:
            return row, "exact", "same prompt"
        content = _content(task)
        if content is not None and content in contents:
            return contents[content], "content", f"same content of family {content[0]!r}"
        found = grams.find(task.prompt)
        return (found[0], "ngram", found[1]) if found else None

    for row, task in enumerate(corpus):
        found = why(task)
        if found is None:
            kept.append(row)
        else:
            target, rule, detail = found
            removed.append(Removed(task.id, targets[target].id, rule, detail))
    left = remaining_overlap([corpus[row] for row in kept], targets)
    return OverlapResult(kept, removed, len(corpus), len(targets), config, left)


def remaining_overlap(tasks: Sequence[Task], targets: Sequence[Task]) -> int:
    """How many tasks equal a target in prompt or content; shares no code with the rules above."""

    def letters(text: str) -> str:
        folded = unicodedata.normalize("NFKC", text).lower()
        return "".join(filter(str.isalnum, folded)) or folded

    prompts = {letters(target.prompt) for target in targets}
    contents = {
        (target.meta.get("family"), str(target.meta["content"]))
        for target in targets
        if target.meta.get("content") is not None
    }
    return sum(
        letters(task.prompt) in prompts
        or (task.meta.get("family"), str(task.meta.get("content"))) in contents
        for task in tasks
    )


# --------------------------------------------------------------------------- keys

_TOKEN = re.compile(r"[^\W_]+")


def tokens_of(text: str) -> list[str]:
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


def plain_text(text: str) -> str:
    """What `exact` compares. A prompt without letter or digit is compared as it stands."""
    return "".join(tokens_of(text)) or unicodedata.normalize("NFKC", text).lower()


def _content(task: Task) -> tuple[str | None, str] | None:
    content = task.meta.get("content")
    return None if content is None else (task.meta.get("family"), str(content))


def _first_rows(keys: Iterable[Hashable | None]) -> dict[Hashable, int]:
    rows: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        if key is not None:
            rows.setdefault(key, row)
    return rows


# --------------------------------------------------------------------------- n-grams


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
        """Row of the target covered most (of several the first) and the words for it."""
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
        """The first short target that stands in the tokens whole."""
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
        """n-grams of the tokens; with `words`, only those made of these words alone."""
        run = 0
        for end, token in enumerate(tokens, start=1):
            run = run + 1 if words is None or token in words else 0
            if run >= self.n:
                yield tuple(tokens[end - self.n : end])
