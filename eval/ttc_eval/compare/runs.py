"""Arms over several runs. Where runs of one target differ in their seed, the seed is the unit.

An interval over seeds holds what another training run would have changed; an interval over tasks,
shown where there is one seed only, does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ttc_eval.compare.comparison import (
    ComparedRun,
    Comparison,
    Dose,
    Flips,
    Matrix,
    OverSeeds,
    OverTargets,
    PooledBenchmark,
    PooledRetention,
    TargetComparison,
)
from ttc_eval.compare.dose import dose
from ttc_eval.compare.flips import flips
from ttc_eval.compare.matrix import specialisation
from ttc_eval.compare.pooling import recipe_differences, variants
from ttc_eval.compare.sigma import sigma_against_gain
from ttc_eval.compare.summary import (
    Result,
    adjusted_for_family,
    check_same_tasks,
    in_order,
    load_results,
    summary,
)
from ttc_eval.harness.variants import MARK
from ttc_eval.records import Power
from ttc_rl.config import Recipe
from ttc_rl.corpus.benchmarks import target_name
from ttc_rl.metrics import (
    Estimate,
    mean_interval,
    measured_spread,
    paired_difference,
    resolvable_by_seeds,
    t_difference,
    t_interval,
    t_share,
)
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import UserError

__all__ = ["compare", "summary"]


@dataclass(frozen=True)
class Trial:
    """One run as a replication: what it aimed at, its seed, and in what else it differs."""

    run: RunDir
    recipe: Recipe
    target: str
    seed: int
    variants: Mapping[str, str]
    """Model -> name of its variant, empty where there is only one."""
    results: Mapping[str, Mapping[str, Result]]

    def named(self, benchmark: str) -> dict[str, Result]:
        """Return results by the name under which several runs are shown: `sift`, or `sift [A]`."""
        return {
            f"{arm} [{self.variants[arm]}]" if self.variants[arm] else arm: result
            for arm, result in self.results.get(benchmark, {}).items()
        }


def compare(runs: Sequence[RunDir]) -> Comparison:
    """Compare arms over runs: by target, over all targets, and how specific the gains are."""
    trials, legend = load_trials(runs)
    recipes = [trial.recipe for trial in trials]
    for name in {name for trial in trials for name in trial.results}:
        check_same_tasks([r for t in trials for r in t.results.get(name, {}).values()])
    targets = list(dict.fromkeys(trial.target for trial in trials))
    by_target = {name: [t for t in trials if t.target == name] for name in targets}
    return Comparison(
        runs=[
            ComparedRun(
                folder=str(t.run.root),
                model=t.recipe.model.name,
                target=t.target,
                seed=t.seed,
                variant="; ".join(dict.fromkeys(name for name in t.variants.values() if name)),
            )
            for t in trials
        ],
        differing=recipe_differences(recipes),
        variants=legend,
        targets={name: _target(name, group) for name, group in by_target.items()},
        overall=_overall(by_target) if len(targets) > 1 else None,
        matrix=_matrices(by_target) if len(targets) > 1 else {},
        doses=_doses(trials, legend) if len(targets) == 1 else {},
    )


def _doses(trials: Sequence[Trial], legend: Mapping[str, str]) -> dict[str, Dose]:
    """Return each arm's dose and response, where its variants are sizes of its curriculum."""
    gains: dict[str, dict[int, dict[int, float]]] = {}
    for trial in trials:
        results = trial.results.get(trial.target, {})
        for arm in trial.recipe.arm_names:
            if arm not in results or "base" not in results:
                continue
            variant = trial.variants.get(arm, "")
            size = trial.recipe.arm(arm).selection.size
            if legend.get(variant, variant) != f"selection.size={size}":
                continue
            gain = _gain(results[arm], results["base"])
            gains.setdefault(arm, {}).setdefault(size, {})[trial.seed] = gain
    found = {arm: dose(sizes) for arm, sizes in gains.items()}
    return {arm: curve for arm, curve in found.items() if curve is not None}


def load_trials(runs: Sequence[RunDir]) -> tuple[list[Trial], dict[str, str]]:
    """Return the runs' results, told apart wherever their recipes differ in more than the seed, and
    what the letters stand for that tell them apart."""
    recipes, results = [run.load_recipe() for run in runs], [load_results(run) for run in runs]
    for run, result in zip(runs, results, strict=True):
        if not result:
            raise UserError(f"{run.root}: holds no results yet; `ttc-rl eval` makes them")
    models = [list(dict.fromkeys(n for of in result.values() for n in of)) for result in results]
    names, legend = variants(recipes, models, [str(run.root) for run in runs])
    trials = [
        Trial(run, recipe, target_name(recipe.targets), recipe.seed, name, result)
        for run, recipe, name, result in zip(runs, recipes, names, results, strict=True)
    ]
    return trials, legend


# --------------------------------------------------------------------------- what repeats

BySeed = dict[int, dict[str, Result]]
"""Seed -> model name -> result on one benchmark."""
Series = dict[str, dict[str, dict[int, np.ndarray]]]
"""Model or `arm - other` -> metric -> seed -> value on each task."""
Pooled = dict[str, dict[str, OverSeeds]]
"""Model or `arm - other` -> metric -> estimate."""


def _by_seed(trials: Iterable[Trial], benchmark: str) -> BySeed:
    """Return the results by seed, variants of one seed side by side."""
    models_of: BySeed = {}
    for trial in trials:
        models_of.setdefault(trial.seed, {}).update(trial.named(benchmark))
    return {seed: models for seed, models in models_of.items() if models}


def _arm(name: str) -> str:
    return name.partition(" [")[0]


def _pairs(models: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs to compare: two arms of one variant or of none, or one arm in two variants;
    not everything against everything.

    One base under two variants is the same model twice, unless it is the model that varies.
    """

    def worth_it(a: str, b: str) -> bool:
        if _arm(a) == _arm(b):
            return _arm(a) != "base" or "model" in a
        suffixes = {name.partition(" [")[2] for name in (a, b)}
        return len(suffixes - {""}) <= 1

    return [(a, b) for i, a in enumerate(models) for b in models[:i] if worth_it(a, b)]


def _against_base(models: Iterable[str]) -> list[tuple[str, str]]:
    return [(a, b) for a, b in _pairs(in_order(models)) if _arm(b) == "base" != _arm(a)]


def _models(seeds: BySeed) -> Series:
    values_of: Series = {
        name: {} for name in in_order(dict.fromkeys(m for models in seeds.values() for m in models))
    }
    for seed, models in seeds.items():
        for name, result in models.items():
            for metric, values in result.values.items():
                values_of[name].setdefault(metric, {})[seed] = values
    return values_of


def _differences(models: Series) -> Series:
    """Return the differences of models of the same seed, on the same tasks."""
    return {
        f"{a} - {b}": {
            metric: {
                seed: values - models[b][metric][seed]
                for seed, values in by_seed.items()
                if seed in models[b][metric]
            }
            for metric, by_seed in models[a].items()
            if metric in models[b]
        }
        for a, b in _pairs(list(models))
    }


def _estimates(series: Series, models: Series | None = None) -> Pooled:
    """Return Student-t over seeds, or over tasks where there is one seed.

    For differences, `models` holds what they are differences of.
    """
    pairs = {f"{a} - {b}": (a, b) for a, b in _pairs(list(models or {}))}
    estimates: Pooled = {name: {} for name in series}
    for name, metric, by_seed in ((n, m, s) for n, ms in series.items() for m, s in ms.items()):
        seeds = list(by_seed)
        if len(seeds) > 1:
            over_seeds = t_difference if models is not None else t_share
            estimate = over_seeds([float(value.mean()) for value in by_seed.values()])
        elif seeds and models is not None:
            a, b = (models[arm][metric][seeds[0]] for arm in pairs[name])
            estimate = paired_difference(a, b)
        elif seeds:
            estimate = mean_interval(by_seed[seeds[0]])
        else:
            continue
        estimates[name][metric] = OverSeeds.of(estimate, len(seeds))
    return adjusted_for_family(estimates)


# --------------------------------------------------------------------------- one target


def _target(target: str, trials: Sequence[Trial]) -> TargetComparison:
    names = sorted({name for t in trials for name in t.results}, key=lambda n: (n != target, n))
    return TargetComparison(
        seeds=sorted({trial.seed for trial in trials}),
        benchmarks={name: _benchmark(_by_seed(trials, name)) for name in names},
        retention=_retention(target, trials),
        sigma=sigma_against_gain([(t.run, t.results.get(target, {}), t.variants) for t in trials]),
    )


def _benchmark(seeds: BySeed) -> PooledBenchmark:
    numbers = next(iter(next(iter(seeds.values())).values())).numbers
    models = _models(seeds)
    return PooledBenchmark(
        tasks=numbers.tasks,
        samples=numbers.samples,
        models=_estimates(models),
        differences=_estimates(_differences(models), models),
        power=_power(models, numbers.avg_name, numbers.samples),
        flips=_flips(models, seeds, numbers.avg_name),
    )


def _power(models: Series, metric: str, samples: int) -> dict[str, Power]:
    """Return `arm - other` -> the difference in avg@n that such seeds can resolve, or such tasks
    where there is one seed."""
    powers: dict[str, Power] = {}
    for a, b in _pairs(list(models)):
        shared = sorted(models[a][metric].keys() & models[b][metric].keys())
        pairs = [(models[a][metric][seed], models[b][metric][seed]) for seed in shared]
        if len(pairs) > 1:
            means = [float((after - before).mean()) for after, before in pairs]
            powers[f"{a} - {b}"] = Power(resolvable=resolvable_by_seeds(means))
        elif pairs and len(pairs[0][0]) > 1:
            after, before = (np.round(values * samples) for values in pairs[0])
            spread = measured_spread(after, before, samples)
            resolved = spread.resolvable(len(after), samples) or None
            powers[f"{a} - {b}"] = Power(resolvable=resolved)
    return powers


def _flips(models: Series, seeds: BySeed, metric: str) -> dict[str, Flips]:
    """Return `arm - other` -> the tasks that changed hands, by the mean of the seeds of both."""
    prompts = [row["prompt"] for row in next(iter(next(iter(seeds.values())).values())).tasks]
    flips_of: dict[str, Flips] = {}
    for a, b in _pairs(list(models)):
        shared = sorted(models[a][metric].keys() & models[b][metric].keys())
        if shared:
            after, before = (
                np.mean([models[name][metric][seed] for seed in shared], axis=0) for name in (a, b)
            )
            flips_of[f"{a} - {b}"] = flips(after, before, prompts)
    return flips_of


def _retention(target: str, trials: Sequence[Trial]) -> dict[str, PooledRetention]:
    """Return each arm's change against base on benchmarks that share no task with the target."""
    ids = {name: next(iter(r.values())).task_ids for t in trials for name, r in t.results.items()}
    own = ids.get(target, frozenset())
    others = [
        n for n, task_ids in ids.items() if not task_ids & own and not n.startswith(target + MARK)
    ]
    changes: dict[str, dict[str, list[float]]] = {}
    for name in others:
        if name != target:
            for models in _by_seed(trials, name).values():
                for arm, base in _against_base(models):
                    cells = changes.setdefault(arm, {}).setdefault(name, [])
                    cells.append(_gain(models[arm], models[base]))
    return {arm: _retained(cells) for arm, cells in changes.items()}


def _retained(changes: Mapping[str, Sequence[float]]) -> PooledRetention:
    per_seed = [float(np.mean(values)) for values in zip(*changes.values(), strict=False)]
    worst = min(changes, key=lambda name: float(np.mean(changes[name])))
    return PooledRetention(
        benchmarks=list(changes),
        mean=t_interval(per_seed),
        worst=worst,
        worst_change=t_interval(changes[worst]),
    )


def _gain(arm: Result, base: Result) -> float:
    return float((arm.avg - base.avg).mean())


# --------------------------------------------------------------------------- several targets


def _overall(by_target: Mapping[str, Sequence[Trial]]) -> OverTargets:
    """Return each seed's mean over all targets, on the targets themselves, then Student-t over
    seeds."""
    models = [_models(_by_seed(trials, target)) for target, trials in by_target.items()]
    return OverTargets(
        targets=list(by_target),
        models=_over_targets(models, t_share),
        differences=_over_targets([_differences(series) for series in models], t_interval),
    )


def _over_targets(
    series: Sequence[Series], interval: Callable[[Sequence[float]], Estimate]
) -> Pooled:
    """Return the mean over targets. Only seeds that every target has count: a mean over fewer
    targets is another quantity."""
    first, rest = series[0], series[1:]
    pooled: Pooled = {}
    for name, metrics in first.items():
        for metric, by_seed in metrics.items():
            blocks = [by_seed, *(other.get(name, {}).get(metric, {}) for other in rest)]
            shared = sorted(set.intersection(*(set(block) for block in blocks)))
            means = [float(np.mean([block[seed].mean() for block in blocks])) for seed in shared]
            if means:
                pooled.setdefault(name, {})[metric] = OverSeeds.of(interval(means), len(means))
    return pooled


def _matrices(by_target: Mapping[str, Sequence[Trial]]) -> dict[str, Matrix]:
    """Return each arm's gain over base in avg@n."""
    targets = list(by_target)
    names = {name for trials in by_target.values() for t in trials for name in t.results}
    columns = targets + sorted(names - set(targets))
    gains: dict[str, dict[tuple[str, str], list[float]]] = {}
    for target, trials in by_target.items():
        for column in columns:
            for models in _by_seed(trials, column).values():
                for arm, base in _against_base(models):
                    cell = gains.setdefault(arm, {}).setdefault((target, column), [])
                    cell.append(_gain(models[arm], models[base]))
    return {arm: specialisation(gains[arm], targets, columns) for arm in in_order(gains)}
