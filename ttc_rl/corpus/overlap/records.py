"""What overlap removal says about a corpus."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from ttc_rl.config import OverlapConfig

Rule = Literal["exact", "content", "ngram", "fuzzy", "cosine"]


@dataclass(frozen=True, slots=True)
class Removed:
    """A corpus task left out, the target it overlaps with most, and why."""

    task_id: str
    target_id: str
    rule: Rule
    detail: str
    similarity: float | None = None
    """Containment (`fuzzy`) or cosine (`cosine`)."""


@dataclass(frozen=True)
class OverlapResult:
    kept: list[int]
    """Rows of the corpus that the rules of `rules.py` leave, in order."""
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
            **self.config.model_dump(exclude={"dedupe"}),
            "remaining_overlap": self.remaining_overlap,
        }
