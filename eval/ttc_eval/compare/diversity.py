"""How differently a model answers, and what training does to it.

The measures that matter where answers can be checked; arXiv:2510.22954 found models of all kinds
answering alike, and RL is known to buy pass@1 with pass@k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ttc_rl.metrics import bootstrap_means, pass_at_k

Task = Mapping[str, Any]


def diversity(
    models: Mapping[str, Sequence[Task]], samples: int, k: Sequence[int]
) -> dict[str, Any]:
    """Model -> measure -> estimate over tasks; `change` against base under `arm - base`."""
    measures = _measures(samples, max(k, default=1))
    values = {
        model: {name: np.array([of(row) for row in rows]) for name, of in measures.items()}
        for model, rows in models.items()
        if rows
    }
    found: dict[str, Any] = {"models": {}, "changes": {}}
    for model, columns in values.items():
        found["models"][model] = _estimates(columns)
        if model != "base" and "base" in values:
            changes = {name: columns[name] - values["base"][name] for name in columns}
            found["changes"][f"{model} - base"] = _estimates(changes)
    return found


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


def _estimates(columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Measures that a task lacks (one sample has no neighbour) are left out."""
    whole = {name: value for name, value in columns.items() if not np.isnan(value).any()}
    estimates = bootstrap_means(list(whole.values()))
    return {name: asdict(e) for name, e in zip(whole, estimates, strict=True)}


def distinct_at_k(sizes: Sequence[int], samples: int, k: int) -> float:
    """Expected number of different answers among k of n samples: sum of 1 - C(n-s, k) / C(n, k).

    sizes are those of the classes of equivalent answers; what could not be read is no answer.
    """
    return sum(pass_at_k(samples, size, k) for size in sizes)


def entropy(sizes: Sequence[int]) -> float:
    """Of a task's answers, in bits; from n samples it is too low, for all models of this n."""
    total = sum(sizes)
    return sum(size / total * math.log2(total / size) for size in sizes)
