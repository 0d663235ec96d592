"""How differently a model answers, and what training does to it.

The measures that matter where answers can be checked; arXiv:2510.22954 found models of all kinds
answering alike, and RL is known to buy pass@1 with pass@k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ttc_eval.records import Diversity, Metrics
from ttc_rl.metrics import bootstrap_means, pass_at_k

Task = Mapping[str, Any]


def diversity(models: Mapping[str, Sequence[Task]], samples: int, k: Sequence[int]) -> Diversity:
    """Return every measure of every model, and its change against base."""
    measures = _measures(samples, max(k, default=1))
    values = {
        model: {name: np.array([of(row) for row in rows]) for name, of in measures.items()}
        for model, rows in models.items()
        if rows
    }
    base = values.get("base")
    changes = {
        f"{model} - base": _estimates({name: columns[name] - base[name] for name in columns})
        for model, columns in values.items()
        if model != "base" and base is not None
    }
    return Diversity(
        models={model: _estimates(columns) for model, columns in values.items()}, changes=changes
    )


def _measures(samples: int, k: int) -> dict[str, Callable[[Task], float]]:
    return {
        f"distinct@{k}": lambda row: distinct_at_k([size for size, _ in row["votes"]], samples, k),
        "entropy": lambda row: entropy([size for size, _ in row["votes"]]),
        "distinct texts": lambda row: row["texts"] / samples,
        "similarity": lambda row: math.nan if row["similarity"] is None else row["similarity"],
        f"pass@{k} - pass@1": lambda row: (
            pass_at_k(samples, row["correct"], k) - row["correct"] / samples
        ),
    }


def _estimates(columns: Mapping[str, np.ndarray]) -> Metrics:
    """Return the measures' estimates, without those that a task lacks (one sample has no
    neighbour)."""
    whole = {name: value for name, value in columns.items() if not np.isnan(value).any()}
    return dict(zip(whole, bootstrap_means(list(whole.values())), strict=True))


def distinct_at_k(sizes: Sequence[int], samples: int, k: int) -> float:
    """Return the expected number of different answers among k of n samples: sum of 1 - C(n-s, k) /
    C(n, k).

    sizes are those of the classes of equivalent answers; what could not be read is no answer.
    """
    return sum(pass_at_k(samples, size, k) for size in sizes)


def entropy(sizes: Sequence[int]) -> float:
    """Return the entropy of a task's answers, in bits. From n samples it is too low, for all models
    of this n."""
    total = sum(sizes)
    return sum(size / total * math.log2(total / size) for size in sizes)
