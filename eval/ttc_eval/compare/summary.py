"""The results of one run: every model on every benchmark, and paired differences over tasks."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttc_eval.compare import analyse, arm_spending, equal_compute
from ttc_eval.compare.carried import changed, retained
from ttc_eval.harness.results import Row, avg_name, read_tasks
from ttc_rl.config import Recipe
from ttc_rl.corpus.benchmarks import target_name, target_names
from ttc_rl.metrics import holm, measured_spread, paired_difference
from ttc_rl.run_dir import RunDir, read_json
from ttc_rl.schema import UserError

ARM_ORDER = ("base", "random", "nearest", "sift", "oracle")
SHOWN = ("metrics", "further_metrics", "same_tasks", "rates", "gold_not_read", "elo")
"""Of MODEL.json, what the summary repeats for each model."""
Json = dict[str, Any]


def in_order(arms: Iterable[str]) -> list[str]:
    """base, random, nearest, sift, oracle, then others by name; `sift [size=9]` stays with sift."""
    rank = {name: f"{i}" for i, name in enumerate(ARM_ORDER)}

    def place(name: str) -> tuple[str, str]:
        arm = name.partition(" [")[0]
        return rank.get(arm, "others"), arm

    return sorted(arms, key=place)


@dataclass(frozen=True)
class Result:
    """What one model scored on one benchmark: MODEL.json, and MODEL.tasks.jsonl behind it."""

    path: Path
    summary: Json
    tasks: Sequence[Row]

    @functools.cached_property
    def values(self) -> dict[str, np.ndarray]:
        """Metric -> its value on each task."""
        return {m: np.array([row[m] for row in self.tasks]) for m in self.summary["metrics"]}

    @property
    def avg(self) -> np.ndarray:
        return self.values[avg_name(self.summary)]

    @functools.cached_property
    def task_ids(self) -> frozenset[str]:
        return frozenset(row["task_id"] for row in self.tasks)


def load_results(run: RunDir) -> dict[str, dict[str, Result]]:
    """Benchmark -> model -> result, arms in order."""
    return {
        name: {model: _load(run.result(name, model)) for model in in_order(run.models(name))}
        for name in run.benchmarks()
    }


def _load(path: Path) -> Result:
    return Result(path, read_json(path), read_tasks(path))


def check_same_tasks(results: Sequence[Result]) -> None:
    first = results[0]
    for other in results[1:]:
        for field, what in (("tasks_hash", "tasks"), ("samples", "samples per task")):
            if first.summary[field] != other.summary[field]:
                raise UserError(
                    f"{first.path} and {other.path} hold other {what} ({first.summary[field]} and "
                    f"{other.summary[field]}), so they cannot be compared; evaluate both alike"
                )


def summary(run: RunDir, recipe: Recipe) -> Json:
    """What summary.json holds: models x benchmarks, paired differences, what lies behind them."""
    return summary_of(run, recipe, load_results(run))


def summary_of(run: RunDir, recipe: Recipe, results: Mapping[str, Mapping[str, Result]]) -> Json:
    whole = summarise_results(target_name(recipe), results)
    rows = {n: {m: r.tasks for m, r in models.items()} for n, models in results.items()}
    averages = {n: avg_name(next(iter(m.values())).summary) for n, m in results.items()}
    asked = target_name(recipe), rows, averages
    more = target_names(recipe)[1:]
    elsewhere = {name: found for name, found in rows.items() if name not in more}
    carried = {
        "changed": changed(*asked),
        "retention": retained(target_name(recipe), elsewhere, averages),
    }
    return whole | carried | {"analysis": analyses(run, recipe, results)}


def summarise_results(target: str, results: Mapping[str, Mapping[str, Result]]) -> Json:
    benchmarks = {name: _benchmark(models) for name, models in results.items()}
    return {"target": target, "benchmarks": benchmarks}


def analyses(run: RunDir, recipe: Recipe, results: Mapping[str, Mapping[str, Result]]) -> Json:
    """Benchmark -> analysis -> what it found; see eval/analysis."""
    controls = [a for a in recipe.arm_names if recipe.arm(a).train.reward in ("format", "shuffled")]
    spending = {arm: arm_spending(run, recipe, arm) for arm in recipe.arm_names}
    found: Json = {}
    for name, models in results.items():
        one = next(iter(models.values())).summary
        rows = {model: result.tasks for model, result in models.items()}
        k = sorted(int(m[5:]) for m in one["metrics"] if m.startswith("pass@"))
        found[name] = analyse(rows, one["samples"], k, controls)
        if "refused" not in found[name]:
            tokens = {m: result.summary["rates"]["mean_tokens"] for m, result in models.items()}
            found[name]["compute"] = equal_compute(rows, one["samples"], tokens, spending)
    return found


def _benchmark(models: Mapping[str, Result]) -> Json:
    results = list(models.values())
    check_same_tasks(results)
    pairs = [(arm, other) for i, arm in enumerate(models) for other in list(models)[:i]]
    return {
        **{key: results[0].summary[key] for key in ("tasks", "samples", "tasks_hash", "published")},
        "models": {
            name: {key: result.summary[key] for key in SHOWN if key in result.summary}
            for name, result in models.items()
        },
        "differences": _differences(models, pairs),
        "power": _power(models, pairs),
    }


def _differences(models: Mapping[str, Result], pairs: Sequence[tuple[str, str]]) -> Json:
    """`arm - other` -> metric -> value, lo, hi, p, and p_holm over all pairs in that metric."""
    found: Json = {}
    for arm, other in pairs:
        cells = {
            metric: asdict(paired_difference(values, models[other].values[metric]))
            for metric, values in models[arm].values.items()
            if metric in models[other].values
        }
        if cells:
            found[f"{arm} - {other}"] = cells
    adjust_for_family(found)
    return found


def adjust_for_family(differences: Mapping[str, Json]) -> None:
    """Add `p_holm` to every cell with a `p`: Holm over all differences of a benchmark in a metric.

    Metrics of the same samples tell one story, so each is a family of its own.
    """
    for metric in dict.fromkeys(metric for cells in differences.values() for metric in cells):
        column = [cells[metric] for cells in differences.values() if metric in cells]
        family = [cell for cell in column if cell.get("p") is not None]
        for cell, adjusted in zip(family, holm([cell["p"] for cell in family]), strict=True):
            cell["p_holm"] = adjusted


def _power(models: Mapping[str, Result], pairs: Sequence[tuple[str, str]]) -> Json:
    """`arm - other` -> the difference in avg@n that these tasks and samples can resolve.

    80 % power, two-sided 5 %, from the measured variance of the true difference over tasks
    (`between`) and of one sample of either model within them (`within`).
    """
    found: Json = {}
    for arm, other in pairs:
        tasks, samples = (models[arm].summary[key] for key in ("tasks", "samples"))
        if tasks > 1:
            a, b = (np.round(models[name].avg * samples) for name in (arm, other))
            spread = measured_spread(a, b, samples)
            found[f"{arm} - {other}"] = {
                "resolvable": spread.resolvable(tasks, samples) or None,  # nothing varied
                **asdict(spread),
            }
    return found
