"""A selector, a curriculum and a reward of the user's own, in a file beside the recipe."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.stages.own_code import check_own_code
from ttc_rl.train.curriculum import read_pool
from ttc_rl.train.rewards import paid_by

TINY = Path(__file__).parent / "tiny.yaml"
OWN = '''
from collections.abc import Sequence

import numpy as np

from ttc_rl.train.curriculum import Following


def every_third(problem):
    """Return every third task of the corpus."""
    return range(0, 3 * problem.size, 3)


def short(task, verdict):
    """Pay right answers, and a tenth for a short wrong one."""
    if verdict.correct is None:
        return None
    return 1.0 if verdict.correct else 0.1 * (len(verdict.answer or "") < 4)


class Backwards(Following):
    """Train the last tasks of the pool first."""

    def success_N(self) -> np.ndarray:
        return self.prior_N

    def learn(self, seen: Sequence) -> None:
        pass

    def choose(self, rows: np.ndarray, size: int) -> list[int]:
        return sorted(rows.tolist(), reverse=True)[:size]


def no_rows(problem):
    return [0, 0]
'''
RECIPE = f"""
extends: {TINY}
arms: {{mine: {{selection: {{method: "own_things:every_third"}}}}}}
train:
  reward: own_things:short
  curriculum: {{method: "own_things:Backwards", pool: 20}}
  epochs: 1
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "own_things.py").write_text(OWN, encoding="utf-8")
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_they_select_order_and_pay(recipe: Path, cache: Path):
    run = recipe.parent / "run"
    for stage in ("select", "train"):
        command = [sys.executable, "-m", "ttc_rl", stage, recipe, "--run-dir", run]
        done = subprocess.run(
            command, cwd=Path("/"), capture_output=True, text=True, check=False, timeout=300,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    arm = RunDir(run).arm("mine", load_recipe(recipe))
    picks = [row["index"] for row in read_jsonl(arm.curriculum)]
    assert picks == list(range(0, 45, 3))
    assert read_json(arm.selection)["method"] == "own_things:every_third"
    rows = [row for path in arm.rollouts.glob("*") for row in pq.read_table(path).to_pylist()]
    assert {round(row["reward"], 6) for row in rows} <= {0.0, 0.1, 1.0}
    pool = [task.id for task in read_pool(arm).tasks]
    first = pq.read_table(arm.rollouts / "step-00001-0.parquet").to_pylist()
    assert {row["task_id"] for row in first} == set(pool[-4:])


def test_what_cannot_be_used_is_one_line_before_the_run(recipe: Path):
    for old, new, message in (
        ("every_third", "every_forth", "has no every_forth; did you mean every_third"),
        ("own_things:short", "own_thing:short", "there is no module own_thing"),
        ("own_things:Backwards", "own_things:short", "is no subclass of"),
        ("own_things:short", "own_things:no_rows", r"is no function of \(task, verdict\)"),
    ):
        recipe.write_text(RECIPE.replace(old, new), encoding="utf-8")
        with pytest.raises(UserError, match=message):
            check_own_code(load_recipe(recipe))


def test_a_selector_that_gives_no_curriculum_is_told(recipe: Path, cache: Path):
    recipe.write_text(RECIPE.replace("every_third", "no_rows"), encoding="utf-8")
    command = [sys.executable, "-m", "ttc_rl", "select", recipe, "--run-dir", recipe.parent / "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("ttc-rl: selection.method: no_rows gave 2 rows, such as [0, 0]: give at")


@pytest.mark.parametrize("paid", ["1", float("nan"), [1]])
def test_a_reward_that_is_no_number_is_told(paid: object):
    def own(task: Task, verdict: Verdict) -> float:
        return paid  # type: ignore[return-value]

    with pytest.raises(UserError, match=r"train\.reward: own paid .* return a number"):
        paid_by(own, Task("exact", "?", "1"), Verdict(True, "1"))
