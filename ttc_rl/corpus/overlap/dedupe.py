"""Tasks of a corpus that repeat one another: the first stays.

    exact    the same prompt but for white space, dollar signs and LaTeX that does not print
    fuzzy    weighted Jaccard similarity >= fuzzy (`join.py`) and the same formulas
    cosine   cosine of the embeddings >= cosine and the same formulas

The formulas of a prompt are its digits and operators in a row: what sets "2 + 3" apart from "2 - 3"
in two prompts of otherwise equal words. Tasks of different kinds, or that tell different contents
(`meta.content`), never repeat one another. In the order of the corpus, a task goes where it is near
one that stays; so of a ~ b ~ c with a, c apart, b goes and c stays, each task that goes is near one
that stays, and no two that stay are near. The rules follow one another, so what an earlier rule
let stay may go by a later one. Golds are not looked at.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ttc_rl.config import DedupeConfig
from ttc_rl.corpus.overlap.join import Pairs, similar_pairs
from ttc_rl.corpus.overlap.near import near_pairs
from ttc_rl.corpus.overlap.shingles import Vocabulary
from ttc_rl.corpus.overlap.texts import content_of, first_rows
from ttc_rl.schema import Task
from ttc_rl.vectors import Vectors

_UNPRINTED = re.compile(r"\$|\\(?:left|right|displaystyle)(?![A-Za-z])")
_SPACE = re.compile(r"\\[,;:! ]|~")
_GAP = re.compile(r"(?<!\w)\s+|\s+(?!\w)")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_FORMULA = re.compile(r"\d|[-+*/=<>^%!|]")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A task left out, the task that stays in its place, and why."""

    task_id: str
    of_id: str
    rule: Literal["exact", "fuzzy", "cosine"]
    similarity: float


def duplicates(tasks: Sequence[Task], config: DedupeConfig) -> tuple[list[int], list[Duplicate]]:
    """Return the rows that stay, in order, and the duplicates by the rules `exact` and `fuzzy`."""
    rows, gone = list(range(len(tasks))), list[Duplicate]()
    if config.exact:
        keys = [exact_key(task) for task in tasks]
        first = first_rows(keys)
        rows = [row for row in rows if first[keys[row]] == row]
        gone = [
            Duplicate(task.id, tasks[first[key]].id, "exact", 1.0)
            for row, (task, key) in enumerate(zip(tasks, keys, strict=True))
            if first[key] != row
        ]
    if config.fuzzy is not None:
        remaining = [tasks[row] for row in rows]
        vocabulary = Vocabulary([task.prompt for task in remaining])
        stay, near = fuzzy_duplicates(remaining, vocabulary, config.fuzzy)
        rows, gone = [rows[row] for row in stay], gone + near
    return rows, gone


def exact_key(task: Task) -> tuple[object, ...]:
    """Return what tasks have in common that repeat one another by the rule `exact`."""
    return _group(task), printed(task.prompt)


def fuzzy_duplicates(
    tasks: Sequence[Task], vocabulary: Vocabulary, threshold: float
) -> tuple[list[int], list[Duplicate]]:
    """Return the rows that stay, in order, and the duplicates by the rule `fuzzy`."""
    sets = vocabulary.sets([task.prompt for task in tasks])
    return _first_stay(tasks, similar_pairs(sets, sets, threshold, "jaccard"), "fuzzy")


def near_duplicates_within(
    tasks: Sequence[Task], corpus_ND: np.ndarray | Vectors, threshold: float
) -> tuple[list[int], list[Duplicate]]:
    """Return the rows that stay, in order, and the duplicates by the rule `cosine`."""
    return _first_stay(tasks, near_pairs(corpus_ND, threshold), "cosine")


def duplicates_report(
    gone: Sequence[Duplicate], same_gold: Sequence[bool | None]
) -> dict[str, Any]:
    return {
        "removed": len(gone),
        "by_rule": dict(Counter(duplicate.rule for duplicate in gone)),
        "contradicting_golds": sum(same is False for same in same_gold),
    }


def printed(text: str) -> str:
    """Return the text without invisible characters. A space stays between two words or numbers."""
    visible = _SPACE.sub(" ", _UNPRINTED.sub("", unicodedata.normalize("NFC", text)))
    return _GAP.sub("", " ".join(visible.split()))


def formulas(text: str) -> str:
    folded = _HYPHEN.sub(" ", unicodedata.normalize("NFKC", text).replace("\u2212", "-"))
    return "".join(_FORMULA.findall(folded))


def _group(task: Task) -> tuple[object, ...]:
    return task.kind, content_of(task)


def _first_stay(
    tasks: Sequence[Task], pairs: Pairs, rule: Literal["fuzzy", "cosine"]
) -> tuple[list[int], list[Duplicate]]:
    before: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for i, j, similarity in zip(pairs.i, pairs.j, pairs.similarity, strict=True):
        if i < j:
            before[int(j)].append((-float(similarity), int(i)))
    signs = {
        row: formulas(tasks[row].prompt)
        for j, later in before.items()
        for row in (j, *(i for _, i in later))
    }
    gone: dict[int, Duplicate] = {}
    for j in sorted(before):
        near = [
            (distance, i)
            for distance, i in before[j]
            if i not in gone and signs[i] == signs[j] and _group(tasks[i]) == _group(tasks[j])
        ]
        if near:
            distance, i = min(near)
            gone[j] = Duplicate(tasks[j].id, tasks[i].id, rule, -distance)
    stay = [row for row in range(len(tasks)) if row not in gone]
    return stay, [gone[row] for row in sorted(gone)]
