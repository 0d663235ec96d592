"""How close every target is to what was chosen: every pair of the two sets is compared.

    span         the longest run of tokens that a chosen task shares with the target
    containment  max over tasks of |G8(task) & G8(target)| / |G8(target)|, G8 the 8-grams of tokens;
                 a target of fewer than 8 tokens is contained where a task holds it whole, in a row
    jaccard      max over tasks of |S(task) & S(target)| / |S(task) | S(target)|, S the 4-grams of
                 characters, all weighing the same: reproducible from the two sets alone
    cosine       max over tasks of the cosine of the embeddings that selection used

Tasks of one template are near one another without being copies. Where nine in ten targets do not
stay below a threshold among themselves (`siblings`), a pair is worth a look only where it is at
most half as far apart, its span half as long again, or its sets of 4-grams are equal (jaccard 1).

The certificate is written for people, after the selection. It alone asks whether the answers are
equal (`same_gold`, from the verifiers); no rule and no selector sees that, or a target's gold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttc_rl.config import OverlapConfig
from ttc_rl.corpus.overlap.near import near_max
from ttc_rl.corpus.overlap.shingles import Vocabulary
from ttc_rl.corpus.overlap.spans import Spans
from ttc_rl.corpus.overlap.texts import folded, token_spans, tokens_of
from ttc_rl.schema import Task, content_hash

# C chosen tasks, M targets, D embedding size.
GRAM = 8
MEASURES = ("span", "containment", "jaccard", "cosine")
SPAN_FLAG, JACCARD_FLAG, COSINE_FLAG = 25, 0.6, 0.9
"""Above these a person should look; `overlap.coverage`, `.cosine` say so for their measures."""
SIBLINGS, FEW = 400, 5
"""Targets that are compared with one another, and the fewest in a half of them that tell
something."""
SameGold = Callable[[Sequence[tuple[Task, Task]]], list[bool | None]]


@dataclass(frozen=True)
class Best:
    """The greatest value for each target, and the first chosen task that has it (-1: none)."""

    value_M: np.ndarray
    row_M: np.ndarray


def certify_overlap(
    chosen: Sequence[Task],
    targets: Sequence[Task],
    chosen_CD: np.ndarray,
    target_MD: np.ndarray,
    config: OverlapConfig,
    same_gold: SameGold,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return one row a target, for contamination.jsonl, and the summary for selection.json."""
    best, texts = _nearest(chosen, targets, chosen_CD, target_MD)
    siblings = _siblings(targets, target_MD)
    limits = {
        "span": SPAN_FLAG,
        "containment": config.coverage,
        "jaccard": JACCARD_FLAG,
        "cosine": COSINE_FLAG if config.cosine is None else config.cosine,
    }
    golds = _golds(best, chosen, targets, same_gold)
    rows = []
    for number, target in enumerate(targets):
        row: dict[str, Any] = {"target_id": target.id, "prompt": target.prompt}
        for name in MEASURES:
            value, at = best[name].value_M[number].item(), int(best[name].row_M[number])
            row[name] = {
                "value": value,
                "rank": at if at >= 0 else None,
                "task_id": chosen[at].id if at >= 0 else None,
                "same_answer": golds.get((at, number)),
            }
        row["span"]["text"] = texts[number]
        row["above"] = [
            name
            for name in MEASURES
            if row[name]["value"] >= limits[name] > 0
            and (
                siblings[name] < limits[name]
                or _stands_out(name, row[name]["value"], siblings[name])
                or row["jaccard"]["value"] == 1
            )
        ]
        rows.append(row)
    return rows, _summary(rows, limits, siblings, chosen, targets)


def _nearest(
    chosen: Sequence[Task], targets: Sequence[Task], chosen_CD: np.ndarray, target_MD: np.ndarray
) -> tuple[dict[str, Best], list[str]]:
    """Return each measure's greatest values, and the text of the longest spans."""
    spans, texts = _longest_spans(chosen, targets)
    best = {
        "span": spans,
        "containment": _containment(chosen, targets, spans),
        "jaccard": _jaccard(chosen, targets),
        "cosine": Best(*near_max(chosen_CD, target_MD)),
    }
    return best, texts


def _stands_out(name: str, value: float, sibling: float) -> bool:
    return value > 1.5 * sibling if name == "span" else 1 - value <= (1 - sibling) / 2


def _siblings(targets: Sequence[Task], target_MD: np.ndarray) -> dict[str, float]:
    """Return what nine in ten targets stay below when each is compared with the other half of the
    targets; 0 for few targets. Of many targets, `SIBLINGS` are used, evenly over their order."""
    some = list(range(0, len(targets), -(-len(targets) // SIBLINGS) or 1))
    halves = some[::2], some[1::2]
    if len(halves[1]) < FEW:
        return dict.fromkeys(MEASURES, 0.0)
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for half, other in (halves, halves[::-1]):
        near, far = ([targets[row] for row in rows] for rows in (half, other))
        best, _ = _nearest(near, far, target_MD[half], target_MD[other])
        for name in MEASURES:
            values[name] += best[name].value_M.tolist()
    return {name: float(np.quantile(cosines, 0.9)) for name, cosines in values.items()}


def _summary(
    rows: Sequence[dict[str, Any]],
    limits: dict[str, float],
    siblings: dict[str, float],
    chosen: Sequence[Task],
    targets: Sequence[Task],
) -> dict[str, Any]:
    def of(name: str) -> dict[str, Any]:
        over = [row[name] for row in rows if name in row["above"]]
        values = [row[name]["value"] for row in rows]
        return {
            "threshold": limits[name],
            "siblings": siblings[name],
            "max": max(values, default=0),
            "median": float(np.median(values)) if values else 0,
            "targets_above": len(over),
            "same_answer": sum(pair_over["same_answer"] is True for pair_over in over),
        }

    return {
        "tasks": len(chosen),
        "targets": len(targets),
        "pairs_compared": len(chosen) * len(targets),
        "curriculum_hash": content_hash([task.id for task in chosen]),
        "target_hash": content_hash([task.id for task in targets]),
        "targets_above_any": sum(bool(row["above"]) for row in rows),
        "measures": {name: of(name) for name in MEASURES},
    }


def _golds(
    best: dict[str, Best], chosen: Sequence[Task], targets: Sequence[Task], same_gold: SameGold
) -> dict[tuple[int, int], bool | None]:
    rows = (
        zip(nearest.row_M.tolist(), range(len(targets)), strict=True) for nearest in best.values()
    )
    pairs = sorted({pair for each in rows for pair in each if pair[0] >= 0})
    same = same_gold([(chosen[row], targets[number]) for row, number in pairs])
    return dict(zip(pairs, same, strict=True))


# --------------------------------------------------------------------------- texts


def _longest_spans(chosen: Sequence[Task], targets: Sequence[Task]) -> tuple[Best, list[str]]:
    """Return the longest common spans in tokens, and their text as it is in the target (NFKC)."""
    index = Spans([tokens_of(task.prompt) for task in chosen])
    spans = [index.longest(tokens_of(target.prompt)) for target in targets]
    texts = []
    for span, target in zip(spans, targets, strict=True):
        places = token_spans(target.prompt)[span.start : span.start + span.length]
        texts.append(folded(target.prompt)[places[0][0] : places[-1][1]] if places else "")
    rows = [-1 if span.row is None else span.row for span in spans]
    lengths = np.array([span.length for span in spans], np.int64)
    return Best(lengths, np.array(rows, np.int64)), texts


def _containment(chosen: Sequence[Task], targets: Sequence[Task], spans: Best) -> Best:
    numbers: dict[tuple[str, ...], int] = defaultdict(lambda: len(numbers))
    target_sets = [_grams(target, numbers) for target in targets]
    sizes_M = np.array([len(items) for items in target_sets], np.int64)
    sets = (_grams(task, numbers) for task in chosen)
    best = _best(sets, target_sets, lambda shared, _: shared / np.maximum(sizes_M, 1))
    lengths_M = np.array([len(tokens_of(target.prompt)) for target in targets], np.int64)
    whole_M = (sizes_M == 0) & (spans.value_M == lengths_M) & (lengths_M > 0)
    value_M = np.where(whole_M, 1.0, best.value_M)
    return Best(value_M, np.where(whole_M, spans.row_M, best.row_M))


def _grams(task: Task, numbers: dict[tuple[str, ...], int]) -> np.ndarray:
    tokens = tokens_of(task.prompt)
    codes = {numbers[gram] for gram in zip(*(tokens[i:] for i in range(GRAM)), strict=False)}
    return np.array(sorted(codes), np.int64)


def _jaccard(chosen: Sequence[Task], targets: Sequence[Task]) -> Best:
    prompts = [task.prompt for task in chosen], [target.prompt for target in targets]
    vocabulary = Vocabulary([*prompts[0], *prompts[1]], weighted=False)
    sets, target_sets = (vocabulary.sets(each) for each in prompts)
    sizes_M = target_sets.sizes
    return _best(
        (sets.row(i) for i in range(len(sets))),
        [target_sets.row(i) for i in range(len(target_sets))],
        lambda shared_M, size: shared_M / np.maximum(sizes_M + size - shared_M, 1),
    )


def _best(
    sets: Iterable[np.ndarray],
    target_sets: Sequence[np.ndarray],
    value: Callable[[np.ndarray, int], np.ndarray],
) -> Best:
    """Return the greatest `value(shared_M, size)` over all sets; every pair is counted."""
    items = np.concatenate([np.empty(0, np.int64), *target_sets])
    holders = np.repeat(np.arange(len(target_sets)), [len(members) for members in target_sets])
    order = np.argsort(items, kind="stable")
    items, holders = items[order], holders[order]
    value_M, row_M = np.zeros(len(target_sets)), np.full(len(target_sets), -1)
    for row, members in enumerate(sets):
        low, high = np.searchsorted(items, members), np.searchsorted(items, members, side="right")
        hit = np.concatenate([np.empty(0, np.int64), *_slices(holders, low, high)])
        now_M = value(np.bincount(hit, minlength=len(target_sets)), len(members))
        more_M = now_M > value_M
        value_M[more_M], row_M[more_M] = now_M[more_M], row
    return Best(value_M, row_M)


def _slices(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> Iterator[np.ndarray]:
    return (values[a:b] for a, b in zip(low, high, strict=True) if a < b)
