"""What should I do with this test? Arms by gain, by what they cost, and by what they forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ttc_eval.compare.comparison import Comparison, OverSeeds
from ttc_eval.compare.spending import arm_spending
from ttc_rl.run_dir import RunDir

RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One arm, over all targets and seeds."""

    arm: str
    score: OverSeeds
    """avg@n on the targets."""
    gain: OverSeeds | None
    """Over the base."""
    over_random: OverSeeds | None
    """Over random tasks at the same budget."""
    flops: float | None
    """Before the first query: selection and training, mean over runs; None where a run folder does
    not say."""
    elsewhere: float | None
    """Change against base on benchmarks that share no task with the target, mean over targets."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question of a study, answered on each target and over all of them."""

    pair: str
    metric: str
    by_target: Mapping[str, OverSeeds]
    overall: OverSeeds | None
    """Where there are several targets."""


def answers(comparison: Comparison, runs: Sequence[RunDir]) -> list[Answer]:
    """Return every arm, the largest gain first."""
    models, differences = _on_targets(comparison)
    metric = average_name(models)
    found = [
        Answer(
            arm=arm,
            score=cells[metric],
            gain=differences.get(f"{arm} - base", {}).get(metric),
            over_random=differences.get(f"{arm} - {RANDOM}", {}).get(metric),
            flops=_flops(runs, arm),
            elsewhere=_elsewhere(comparison, arm),
        )
        for arm, cells in models.items()
        if metric in cells
    ]
    return sorted(found, key=lambda answer: -answer.score.value)


def ask(comparison: Comparison, pair: str) -> Asked | None:
    """Return what the runs say of `arm - other`; None where they were not compared."""
    first, _, second = pair.partition(" - ")
    metric, by_target = "", dict[str, OverSeeds]()
    for name, target in comparison.targets.items():
        part = target.benchmarks.get(name)
        cells = _either(part.differences, first, second) if part else {}
        metric = next((m for m in cells if m.startswith("avg@")), metric)
        if metric in cells:
            by_target[name] = cells[metric]
    if not by_target:
        return None
    over = _either(comparison.overall.differences, first, second) if comparison.overall else {}
    return Asked(pair=pair, metric=metric, by_target=by_target, overall=over.get(metric))


def _either(
    differences: Mapping[str, Mapping[str, OverSeeds]], first: str, second: str
) -> Mapping[str, OverSeeds]:
    """Return `first - second`, turned round where the runs were compared the other way."""
    found = differences.get(f"{first} - {second}")
    if found is not None:
        return found
    turned = differences.get(f"{second} - {first}", {})
    return {metric: _turned(cell) for metric, cell in turned.items()}


def _turned(cell: OverSeeds) -> OverSeeds:
    lo, hi = (None if end is None else -end for end in (cell.hi, cell.lo))
    return OverSeeds(-cell.value, lo, hi, cell.p, cell.p_holm, seeds=cell.seeds)


def _on_targets(
    comparison: Comparison,
) -> tuple[Mapping[str, Mapping[str, OverSeeds]], Mapping[str, Mapping[str, OverSeeds]]]:
    if comparison.overall:
        return comparison.overall.models, comparison.overall.differences
    name, target = next(iter(comparison.targets.items()))
    part = target.benchmarks.get(name)
    return (part.models, part.differences) if part else ({}, {})


def average_name(models: Mapping[str, Mapping[str, OverSeeds]]) -> str:
    """Return the name of the mean correctness among the metrics."""
    return next((m for cells in models.values() for m in cells if m.startswith("avg@")), "")


def _flops(runs: Sequence[RunDir], arm: str) -> float | None:
    if arm == "base":
        return 0.0
    spent: list[float] = []
    for run in runs:
        recipe = run.load_recipe()
        if arm not in recipe.arm_names:
            return None
        spending = arm_spending(run, recipe, arm)
        if spending.training_flops is None:
            return None
        spent.append(spending.training_flops + spending.selection_flops)
    return float(np.mean(spent))


def _elsewhere(comparison: Comparison, arm: str) -> float | None:
    changes = [
        target.retention[arm].mean.value
        for target in comparison.targets.values()
        if arm in target.retention
    ]
    return float(np.mean(changes)) if changes else None
