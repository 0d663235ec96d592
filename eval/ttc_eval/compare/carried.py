"""Side effects of a gain on the target: on the same tasks, changed, and on other benchmarks.

Pure functions over the results of a run; summary.json holds what they return as `changed` and
`retention`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ttc_eval.records import Change, Retention, Transfer
from ttc_rl.metrics import Estimate, paired_difference, resampled_means

Rows = Sequence[Mapping[str, Any]]
"""Rows of MODEL.tasks.jsonl: `task_id`, the metrics, and `variant_of` where a task was changed."""
Benchmarks = Mapping[str, Mapping[str, Rows]]
"""Benchmark -> model -> its rows."""


def changed(
    target: str, benchmarks: Benchmarks, metrics: Mapping[str, str]
) -> dict[str, dict[str, Transfer]]:
    """Return variant of the target -> arm -> gain on the tasks as they are, on the changed ones,
    and how much of the first the second is.

    `metrics` names each benchmark's avg@n. Both gains are over the tasks that could be changed.
    """
    transfers: dict[str, dict[str, Transfer]] = {}
    for name, models in benchmarks.items():
        own = benchmarks.get(target, {})
        if not _is_variant(models) or "base" not in models or "base" not in own:
            continue
        arms = [arm for arm in models if arm != "base" and arm in own]
        transfers[name] = {
            arm: _transfer(
                *(_paired(own[m], models[m], metrics[target], metrics[name]) for m in (arm, "base"))
            )
            for arm in arms
        }
    return transfers


def _paired(
    originals: Rows, variants: Rows, metric: str, variant_metric: str
) -> tuple[np.ndarray, np.ndarray]:
    by_id = {row["task_id"]: row[metric] for row in originals}
    pairs = [(by_id[row["variant_of"]], row[variant_metric]) for row in variants]
    return np.array([o for o, _ in pairs]), np.array([v for _, v in pairs])


def _transfer(
    after: tuple[np.ndarray, np.ndarray], before: tuple[np.ndarray, np.ndarray]
) -> Transfer:
    """Return the transfer of a gain. The ratio has an interval where the gain on the tasks as they
    are is resolved."""
    as_is = paired_difference(after[0], before[0])
    under_change = paired_difference(after[1], before[1])
    ratio = None
    if as_is.lo is not None and as_is.lo > 0:
        gains = np.stack([after[0] - before[0], after[1] - before[1]])
        drawn = resampled_means(gains)
        drawn = drawn[drawn[:, 0] > 0]
        lo, hi = np.quantile(drawn[:, 1] / drawn[:, 0], [0.025, 0.975])
        ratio = Estimate(under_change.value / as_is.value, float(lo), float(hi))
    return Transfer(tasks=len(after[0]), as_is=as_is, changed=under_change, ratio=ratio)


def retained(
    target: str, benchmarks: Benchmarks, metrics: Mapping[str, str]
) -> dict[str, Retention]:
    """Return arm -> its change against base on every benchmark that shares no task with the target.

    `worst` names the one with the largest loss: the price of specialising.
    """
    ids = {n: {r["task_id"] for r in next(iter(m.values()))} for n, m in benchmarks.items()}
    own = ids.get(target, set())
    others = [
        name
        for name, models in benchmarks.items()
        if name != target and not ids[name] & own and "base" in models and not _is_variant(models)
    ]
    changes: dict[str, dict[str, Change]] = {}
    for name in others:
        models = benchmarks[name]
        base = [row[metrics[name]] for row in models["base"]]
        for arm in (arm for arm in models if arm != "base"):
            values = [row[metrics[name]] for row in models[arm]]
            changes.setdefault(arm, {})[name] = Change(
                **asdict(paired_difference(values, base)),
                before=float(np.mean(base)),
                after=float(np.mean(values)),
            )
    return {
        arm: Retention(benchmarks=cells, worst=min(cells, key=lambda name: cells[name].value))
        for arm, cells in changes.items()
    }


def _is_variant(models: Mapping[str, Rows]) -> bool:
    return any("variant_of" in row for rows in models.values() for row in rows)
