"""The corpus without what overlaps with the targets, each task once.

Overlap goes first, so that overlap.jsonl names every task that stands in a target, repeats and all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ttc_rl.config import OverlapConfig
from ttc_rl.corpus.overlap.dedupe import Duplicate, duplicates, near_duplicates_within
from ttc_rl.corpus.overlap.near import remove_near
from ttc_rl.corpus.overlap.records import OverlapResult
from ttc_rl.corpus.overlap.rules import remove_overlap
from ttc_rl.schema import Task, UserError
from ttc_rl.vectors import Vectors, rows_of


@dataclass(frozen=True)
class Cleaned:
    tasks: list[Task]
    """What stays, in the order of the corpus. Never empty."""
    overlap: OverlapResult
    duplicates: list[Duplicate]

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UserError(
                "overlap: every corpus task overlaps with the target; nothing is left. "
                "thresholds that are too low do that to a small corpus"
            )


def clean(corpus: Sequence[Task], targets: Sequence[Task], config: OverlapConfig) -> Cleaned:
    """Remove overlap by the texts. Raises UserError where no task remains."""
    overlap = remove_overlap(corpus, targets, config)
    remaining = [corpus[row] for row in overlap.kept]
    rows, gone = duplicates(remaining, config.dedupe)
    return Cleaned([remaining[row] for row in rows], overlap, gone)


def needs_embeddings(config: OverlapConfig) -> bool:
    return (config.cosine, config.dedupe.cosine) != (None, None)


def clean_near(
    cleaned: Cleaned,
    targets: Sequence[Task],
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
) -> tuple[Cleaned, np.ndarray]:
    """Remove overlap by the embeddings of `cleaned.tasks`. Return the result, and the rows of
    corpus_ND that stay."""
    overlap, stay = remove_near(cleaned.overlap, cleaned.tasks, targets, corpus_ND, target_MD)
    gone = list(cleaned.duplicates)
    threshold = overlap.config.dedupe.cosine
    if threshold is not None:
        remaining = [cleaned.tasks[row] for row in stay]
        rows, near = near_duplicates_within(remaining, rows_of(corpus_ND, stay), threshold)
        stay, gone = stay[rows], gone + near
    return replace(
        cleaned, tasks=[cleaned.tasks[row] for row in stay], overlap=overlap, duplicates=gone
    ), stay
