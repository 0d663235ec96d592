"""`ttc-rl plan --calibrate`: real steps, kept by machine and recipe, and what they foretell."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ttc_eval.report.sections.plan import measured_rows, plan_rows
from ttc_rl.cli.app import app
from ttc_rl.config import load_recipe
from ttc_rl.launch.budget.calibration import Measured, calibrated, keep
from ttc_rl.run_dir import RunDir
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import select, train

TINY = Path(__file__).parents[1] / "tiny.yaml"


@pytest.mark.slow
def test_a_few_steps_are_measured_and_held_against_a_run(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    keys = ["arms.random:=null", "train.dev={every: 2, tasks: 4}", "train.keep=best"]
    plain = CliRunner().invoke(app, ["plan", str(TINY), *keys])
    assert "measured here" not in plain.stdout
    found = CliRunner().invoke(app, ["plan", str(TINY), *keys, "--calibrate"])
    assert found.exit_code == 0, found.output
    assert "sift, measured here" in found.stdout
    assert "8 steps take" in found.stdout
    assert list(tmp_path.iterdir()) == []  # what was trained for it is gone
    recipe = load_recipe(TINY, keys)
    measured = calibrated(recipe.arm("sift"))
    assert measured is not None
    assert measured.seconds > 0
    assert measured.tokens is not None
    assert measured.tokens > 16  # of four tasks, four rollouts each

    job = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    select(job)
    keep(recipe.arm("sift"), replace(measured, seconds=1e3))
    train(job)
    rows = {name: (planned, done) for name, planned, done in plan_rows(job.run, recipe, "sift")}
    planned, done = rows["seconds in steps"]
    assert planned == "8,000.0 (calibrated)"
    assert "; plan +" in done


def test_more_steps_are_the_same_measurement_and_another_step_is_not(cache: Path):
    recipe = load_recipe(TINY, [])
    keep(recipe.arm("sift"), Measured(1.5, None, None, "this machine"))
    longer = load_recipe(TINY, ["train.epochs=5", "selection.size=30"])
    (line,) = [row for row in measured_rows(longer) if row.startswith("sift")]
    assert "1.50 s a step; 38 steps take 57 seconds (this machine)" in line
    assert calibrated(load_recipe(TINY, ["train.rollouts_per_task=8"]).arm("sift")) is None
