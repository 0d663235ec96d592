"""sigma before against gain after: the correlation of the run's own files, by hand."""

import json
import math
from pathlib import Path
from typing import Any

from scipy import stats

from ttc_eval.compare.runs import compare
from ttc_eval.report.compare_opening import comparison_markdown

ARMS = {"base": {"sums": 0.3}, "sift": {"sums": 0.6}, "random": {"sums": 0.4}}


def with_selection(run: Any, arm: str) -> list[float]:
    """A selection.json whose uncertainties are made up; sigma of each task of the benchmark."""
    recipe = run.load_recipe()
    rows = [json.loads(line) for line in _tasks(run, arm).read_text().splitlines()]
    variances = [(i * 7 % 5 + 1) / 10 for i in range(len(rows))]
    path = run.arm(arm, recipe).selection
    path.parent.mkdir(parents=True, exist_ok=True)
    targets = [
        {"task_id": row["task_id"], "uncertainty": {"start": 1.0, "after": variance, "floor": 0.0}}
        for row, variance in zip(rows, variances, strict=True)
    ]
    path.write_text(json.dumps({"targets": targets}))
    return [math.sqrt(variance) for variance in variances]


def _tasks(run: Any, model: str) -> Path:
    return run.result("sums", model).with_name(f"{model}.tasks.jsonl")


def averages(run: Any, model: str) -> list[float]:
    return [json.loads(line)["avg@4"] for line in _tasks(run, model).read_text().splitlines()]


def test_one_seed_has_an_interval_over_tasks(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    sigma = with_selection(run, "sift")
    gains = [a - b for a, b in zip(averages(run, "sift"), averages(run, "base"), strict=True)]
    found = compare([run]).targets["sums"].sigma
    assert found.keys() == {"sift"}  # the random arm left no selection
    assert math.isclose(found["sift"].value, stats.spearmanr(sigma, gains).statistic)
    assert found["sift"].lo < found["sift"].value < found["sift"].hi
    assert "sigma left by selection" in comparison_markdown(compare([run]))


def test_several_seeds_have_one_over_seeds(make_run: Any, tmp_path: Path):
    runs = [make_run(tmp_path / f"r{seed}", "sums", seed, ARMS) for seed in (1, 2, 3)]
    for run in runs:
        with_selection(run, "sift")
    found = compare(runs).targets["sums"].sigma["sift"]
    each = [compare([run]).targets["sums"].sigma["sift"].value for run in runs]
    assert found.seeds == 3
    assert math.isclose(found.value, sum(each) / 3)


def test_runs_without_selections_have_no_such_table(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    assert compare([run]).targets["sums"].sigma == {}
    assert "sigma left" not in comparison_markdown(compare([run]))
