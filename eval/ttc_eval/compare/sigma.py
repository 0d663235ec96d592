"""Does what selection leaves unknown about a target predict the gain of training?

sigma of a target is the posterior standard deviation that the curriculum leaves of it, known before
a single step is trained. The gain is the arm's mean correctness on that task minus the base's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ttc_eval.compare.comparison import OverSeeds
from ttc_eval.compare.summary import Result
from ttc_rl.metrics import Estimate, rank_correlation, t_interval
from ttc_rl.run_dir import RunDir, read_json

BASE = "base"


def sigma_against_gain(
    runs: Sequence[tuple[RunDir, Mapping[str, Result], Mapping[str, str]]],
) -> dict[str, OverSeeds]:
    """Return arm -> Spearman's correlation over a target's tasks of sigma before and gain after.

    `runs` are seeds of one target, each with its models' results on it and the names of their
    variants. One seed has an interval over tasks, several have Student's over seeds. Arms of
    experts are left out: each expert has a curriculum of its own.
    """
    by_arm: dict[str, list[Estimate]] = {}
    for run, results, variants in runs:
        recipe = run.load_recipe()
        for arm in recipe.arm_names:
            selection = run.arm(arm, recipe).selection
            if arm in results and BASE in results and selection.exists():
                sigma = {
                    target["task_id"]: math.sqrt(max(0.0, target["uncertainty"]["after"]))
                    for target in read_json(selection)["targets"]
                }
                correlation = _correlation(sigma, results[arm], results[BASE])
                if correlation is not None:
                    name = f"{arm} [{variants[arm]}]" if variants[arm] else arm
                    by_arm.setdefault(name, []).append(correlation)
    return {arm: _over_seeds(estimates) for arm, estimates in by_arm.items()}


def _correlation(sigma: Mapping[str, float], arm: Result, base: Result) -> Estimate | None:
    before = {row["task_id"]: value for row, value in zip(base.tasks, base.avg, strict=True)}
    pairs = [
        (sigma[row["task_id"]], value - before[row["task_id"]])
        for row, value in zip(arm.tasks, arm.avg, strict=True)
        if row["task_id"] in sigma
    ]
    return rank_correlation(*zip(*pairs, strict=True)) if pairs else None


def _over_seeds(estimates: Sequence[Estimate]) -> OverSeeds:
    single = len(estimates) == 1
    mean = estimates[0] if single else t_interval([estimate.value for estimate in estimates])
    return OverSeeds.of(mean, len(estimates))
