"""Measures of the n samples of one task, and their sums over tasks: counted once, from rows.

Undecided samples, and prompts that did not fit, are not correct in every metric, and counted.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from ttc_eval.harness.unanswered import gold_not_read
from ttc_eval.records import Metrics, RatedElo, Rates, Scores
from ttc_rl.metrics import (
    best_of_k,
    elo,
    g_pass_at_k,
    maj_at_k,
    mean_interval,
    mg_pass_at_k,
    pass_at_k,
    same_tasks_interval,
    weighted_maj_at_k,
)
from ttc_rl.schema import Task
from ttc_rl.verifiers import BUILT_IN, Graders

Row = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """One task: what is shown of it, what else is kept, and what is summed up over tasks."""

    values: dict[str, float]
    """avg@n, pass@k, maj@k, greedy."""
    further: dict[str, float]
    """mg-pass@k and all@k; where rows have a `confidence`, best@k by it, and the vote it weighs."""
    facts: dict[str, Any]
    """Counts behind the numbers, for analyses that need no completion."""
    tally: Counter[str] = field(default_factory=Counter[str])


def measure(
    task: Task, group: Sequence[Row], k: Sequence[int], graders: Graders = BUILT_IN
) -> Measured:
    """Return all measures of one task's samples; the rows are not kept."""
    samples = len(group)
    correct = [row["correct"] is True for row in group]
    classes = graders.equivalence_classes(task, [row["answer"] for row in group])
    sizes, right = _vote(classes, correct)
    silent, solved = samples - sum(sizes), sum(correct)
    values = {f"avg@{samples}": solved / samples}
    values |= {f"pass@{count}": pass_at_k(samples, solved, count) for count in k}
    vote = tuple(sorted(zip(sizes, right, strict=True)))
    values |= {f"maj@{count}": _maj(vote, silent, count) for count in k}
    further = {f"mg-pass@{count}": mg_pass_at_k(samples, solved, count) for count in k if count > 1}
    further |= {
        f"all@{count}": g_pass_at_k(samples, solved, count, 1.0) for count in k if count > 1
    }
    scores = [row.get("confidence") for row in group]
    if all(isinstance(score, int | float) for score in scores):
        known_scores = [float(score) for score in scores if score is not None]
        further |= {f"best@{count}": best_of_k(known_scores, correct, count) for count in k}
        if min(known_scores) >= 0:
            weighted = weighted_maj_at_k(classes, known_scores, right, samples)
            further[f"weighted-maj@{samples}"] = weighted.value
    return Measured(values, further, _facts(task, group, sizes, right, graders), _tally(group))


@functools.lru_cache(maxsize=100_000)
def _maj(vote: tuple[tuple[int, bool], ...], silent: int, k: int) -> float:
    """Return maj@k of a vote, from a cache: many tasks have the same vote, whatever was voted
    for."""
    return maj_at_k([size for size, _ in vote], [right for _, right in vote], silent, k)


def _vote(classes: Sequence[int | None], correct: Sequence[bool]) -> tuple[list[int], list[bool]]:
    """Return the sizes of the classes of equivalent answers, and whether each is correct.

    A class is correct when more than half of its samples were graded correct: they are equivalent,
    so a mixed class is a verifier's slip, and an undecided one is not correct.
    """
    members: dict[int, list[bool]] = {}
    for index, is_correct in zip(classes, correct, strict=True):
        if index is not None:
            members.setdefault(index, []).append(is_correct)
    groups = [members[index] for index in sorted(members)]
    return [len(group) for group in groups], [2 * sum(group) > len(group) for group in groups]


def _facts(
    task: Task,
    group: Sequence[Row],
    sizes: Sequence[int],
    right: Sequence[bool],
    graders: Graders,
) -> dict[str, Any]:
    texts = [row["completion"] for row in group if isinstance(row.get("completion"), str)]
    unread = sum(
        row["correct"] is not True
        and gold_not_read(task, row.get("completion") or "", row["answer"], graders)
        for row in group
    )
    return {
        "correct": sum(row["correct"] is True for row in group),
        "answered": sum(row["answer"] is not None for row in group),
        "votes": [[size, is_right] for size, is_right in zip(sizes, right, strict=True)],
        "texts": len(set(texts)),
        "similarity": _similarity(texts),
        "gold_not_read": unread,
        "prompt_tokens": group[0].get("prompt_tokens"),
        "rating": task.meta.get("rating"),
    }


def _similarity(texts: Sequence[str]) -> float | None:
    """Return the mean Jaccard similarity of the words of two samples, neighbours in the order
    drawn."""
    words = [set(text.split()) for text in texts]
    if len(words) < 2:
        return None
    return fmean(len(a & b) / (len(a | b) or 1) for a, b in pairwise(words))


# --------------------------------------------------------------------------- over all tasks

SHARES = {
    "truncated": ("finish_reason", "length"),
    "prompt_too_long": ("finish_reason", "prompt_too_long"),
    "no_answer": ("status", "no_answer"),
    "undecided": ("correct", None),
    "timeout": ("status", "timeout"),
    "infra_error": ("status", "infra_error"),
}
"""Rate -> the field and value that count."""


def _tally(group: Sequence[Row]) -> Counter[str]:
    tally = Counter({"rows": len(group)})
    for row in group:
        for rate, (name, value) in SHARES.items():
            tally[rate] += row.get(name) == value
        tally["told"] += row.get("finish_reason") is not None
        if row.get("tokens") is not None:
            tally["tokens"] += row["tokens"]
            tally["with tokens"] += 1
    return tally


def rates(measured: Iterable[Measured]) -> Rates:
    """Return shares of all samples, and the mean number of tokens."""
    total = Counter[str]()
    for task in measured:
        total.update(task.tally)
    shares: dict[str, float | None] = {}
    for rate, (name, _) in SHARES.items():
        is_told = name != "finish_reason" or total["told"]
        shares[rate] = total[rate] / total["rows"] if is_told else None
    counted = total["with tokens"]
    return Rates(**shares, mean_tokens=total["tokens"] / counted if counted else None)


def columns(measured: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Return metric -> its value on each task, for the metrics that every task has."""
    shared = [name for name in measured[0] if all(name in row for row in measured)]
    return {name: np.array([row[name] for row in measured]) for name in shared}


def overall(measured: Sequence[Measured]) -> Scores:
    """Return the means over tasks with their intervals, and the rates."""
    samples = measured[0].tally["rows"]
    counts = [task.facts["correct"] for task in measured]
    return Scores(
        metrics=_means([task.values for task in measured]),
        further_metrics=_means([task.further for task in measured]),
        same_tasks={f"avg@{samples}": same_tasks_interval(counts, samples)},
        rates=rates(measured),
        gold_not_read=sum(task.facts["gold_not_read"] for task in measured),
        elo=_elo(measured, samples),
    )


def _means(values: Sequence[Mapping[str, float]]) -> Metrics:
    return {name: mean_interval(column) for name, column in columns(values).items()}


def _elo(measured: Sequence[Measured], samples: int) -> RatedElo | None:
    rated = [task.facts for task in measured if isinstance(task.facts["rating"], int | float)]
    if not rated:
        return None
    rating = elo([f["rating"] for f in rated], [f["correct"] for f in rated], samples)
    return RatedElo(**asdict(rating), tasks=len(rated))
