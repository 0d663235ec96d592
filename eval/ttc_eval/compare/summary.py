"""The results of one run: every model on every benchmark, and paired differences over tasks."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ttc_eval.compare import analyse, arm_spending, equal_compute
from ttc_eval.compare.carried import changed, retained
from ttc_eval.harness.results import read_tasks
from ttc_eval.records import (
    Analysis,
    BenchmarkSummary,
    Differences,
    ModelResult,
    Power,
    Refused,
    Summary,
    read_result,
)
from ttc_rl.config import Recipe
from ttc_rl.corpus.benchmarks import target_names
from ttc_rl.metrics import Difference, holm, measured_spread, paired_difference
from ttc_rl.run_dir import RunDir
from ttc_rl.sampling.samples import Row
from ttc_rl.schema import UserError

ARM_ORDER = ("base", "random", "nearest", "sift", "oracle")
Json = dict[str, Any]
Compared = TypeVar("Compared", bound=Difference)


def in_order(arms: Iterable[str]) -> list[str]:
    """Return the arms in order: base, random, nearest, sift, oracle, then others by name; `sift
    [size=9]` stays with sift."""
    rank = {name: f"{i}" for i, name in enumerate(ARM_ORDER)}

    def place(name: str) -> tuple[str, str]:
        arm = name.partition(" [")[0]
        return rank.get(arm, "others"), arm

    return sorted(arms, key=place)


@dataclass(frozen=True)
class Result:
    """What one model scored on one benchmark: MODEL.json, and MODEL.tasks.jsonl behind it."""

    path: Path
    numbers: ModelResult
    tasks: Sequence[Row]

    @functools.cached_property
    def values(self) -> dict[str, np.ndarray]:
        """Return metric -> its value on each task."""
        return {m: np.array([row[m] for row in self.tasks]) for m in self.numbers.metrics}

    @property
    def avg(self) -> np.ndarray:
        return self.values[self.numbers.avg_name]

    @functools.cached_property
    def task_ids(self) -> frozenset[str]:
        return frozenset(row["task_id"] for row in self.tasks)


def load_results(run: RunDir) -> dict[str, dict[str, Result]]:
    """Return benchmark -> model -> result, arms in order."""
    return {
        name: {model: _load(run.result(name, model)) for model in in_order(run.models(name))}
        for name in run.benchmarks()
    }


def _load(path: Path) -> Result:
    return Result(path, read_result(path), read_tasks(path))


def check_same_tasks(results: Sequence[Result]) -> None:
    first = results[0]
    for other in results[1:]:
        a, b = first.numbers, other.numbers
        pairs = {
            "tasks": (a.tasks_hash, b.tasks_hash),
            "samples per task": (a.samples, b.samples),
        }
        for what, (mine, theirs) in pairs.items():
            if mine != theirs:
                raise UserError(
                    f"{first.path} and {other.path} hold other {what} ({mine} and {theirs}), so "
                    "they cannot be compared; evaluate both alike"
                )


def summary(run: RunDir, recipe: Recipe) -> Summary:
    """Return what summary.json holds: models x benchmarks, paired differences, what lies behind."""
    return summary_of(run, recipe, load_results(run))


def summary_of(run: RunDir, recipe: Recipe, results: Mapping[str, Mapping[str, Result]]) -> Summary:
    target, *more = target_names(recipe.targets)
    rows = {n: {m: r.tasks for m, r in models.items()} for n, models in results.items()}
    averages = {n: next(iter(m.values())).numbers.avg_name for n, m in results.items()}
    elsewhere = {name: models for name, models in rows.items() if name not in more}
    return Summary(
        target=target,
        benchmarks={name: _benchmark(models) for name, models in results.items()},
        changed=changed(target, rows, averages),
        retention=retained(target, elsewhere, averages),
        analysis=analyses(run, recipe, results),
    )


def analyses(
    run: RunDir, recipe: Recipe, results: Mapping[str, Mapping[str, Result]]
) -> dict[str, Analysis | Refused]:
    """Return what lies behind the gains on each benchmark."""
    controls = [a for a in recipe.arm_names if recipe.arm(a).train.reward in ("format", "shuffled")]
    spending = {arm: arm_spending(run, recipe, arm) for arm in recipe.arm_names}
    analysis_of: dict[str, Analysis | Refused] = {}
    for name, models in results.items():
        numbers = next(iter(models.values())).numbers
        rows = {model: result.tasks for model, result in models.items()}
        k = sorted(int(m[5:]) for m in numbers.metrics if m.startswith("pass@"))
        analysis_of[name] = analysis = analyse(rows, numbers.samples, k, controls)
        if isinstance(analysis, Analysis):
            tokens = {m: result.numbers.rates.mean_tokens for m, result in models.items()}
            compute = equal_compute(rows, numbers.samples, tokens, spending)
            analysis_of[name] = replace(analysis, compute=compute)
    return analysis_of


def _benchmark(models: Mapping[str, Result]) -> BenchmarkSummary:
    results = list(models.values())
    check_same_tasks(results)
    pairs = [(arm, other) for i, arm in enumerate(models) for other in list(models)[:i]]
    first = results[0].numbers
    return BenchmarkSummary(
        tasks=first.tasks,
        samples=first.samples,
        tasks_hash=first.tasks_hash,
        published=first.published,
        models={name: result.numbers for name, result in models.items()},
        differences=_differences(models, pairs),
        power=_power(models, pairs),
    )


def _differences(models: Mapping[str, Result], pairs: Sequence[tuple[str, str]]) -> Differences:
    """Return every difference, with `p_holm` over all pairs in its metric."""
    differences: Differences = {}
    for arm, other in pairs:
        cells = {
            metric: paired_difference(values, models[other].values[metric])
            for metric, values in models[arm].values.items()
            if metric in models[other].values
        }
        if cells:
            differences[f"{arm} - {other}"] = cells
    return adjusted_for_family(differences)


def adjusted_for_family(
    differences: Mapping[str, Mapping[str, Compared]],
) -> dict[str, dict[str, Compared]]:
    """Add `p_holm` to every cell with a `p`: Holm over all differences of a benchmark in a metric.

    Metrics of the same samples tell one story, so each is a family of its own.
    """
    adjusted = {pair: dict(cells) for pair, cells in differences.items()}
    for metric in dict.fromkeys(metric for cells in adjusted.values() for metric in cells):
        p_values = {
            pair: p
            for pair, cells in adjusted.items()
            if metric in cells and (p := cells[metric].p) is not None
        }
        for pair, p_holm in zip(p_values, holm(list(p_values.values())), strict=True):
            adjusted[pair][metric] = replace(adjusted[pair][metric], p_holm=p_holm)
    return adjusted


def _power(models: Mapping[str, Result], pairs: Sequence[tuple[str, str]]) -> dict[str, Power]:
    """Return the power of every difference, from the variance that was measured."""
    powers: dict[str, Power] = {}
    for arm, other in pairs:
        tasks, samples = models[arm].numbers.tasks, models[arm].numbers.samples
        if tasks > 1:
            a, b = (np.round(models[name].avg * samples) for name in (arm, other))
            spread = measured_spread(a, b, samples)
            resolvable = spread.resolvable(tasks, samples) or None  # nothing varied
            powers[f"{arm} - {other}"] = Power(resolvable=resolvable, **asdict(spread))
    return powers
