"""The look before training: each reason to say no, and that a run ends there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ttc_rl.config import PreflightConfig, Recipe
from ttc_rl.metrics.power import Spread
from ttc_rl.run_dir import read_json
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import Task
from ttc_rl.stages.preflight import judge, majority_gap, resolvable, spread

TINY = str(Path(__file__).parents[1] / "tiny.yaml")
TASK = Task("math", "1 + 2", "3", id="t")


def recipe(**train: object) -> Recipe:
    return Recipe.model_validate({"model": "m", "corpus": "c", "target": "t", "train": train})


def group(answers: str, cut: int = 0) -> Group:
    """One completion a letter: 3 is right, any other digit wrong."""
    finished = [i >= cut for i in range(len(answers))]
    texts = [rf"\boxed{{{a}}}" for a in answers]
    return Group(texts, finished, [5] * len(answers), [a == "3" for a in answers])


@pytest.mark.parametrize(
    ("groups", "refused", "says"),
    [
        (["3124", "3333"], 0, None),
        (["1245", "1111"], 0, "nothing was solved"),
        (["3333", "3333"], 0, "everything was solved"),
        (["3333", "1111"], 0, "100% of the groups have one verdict only"),
        (["3124", "3333"], 5, "5.0% of the golds are not accepted"),
    ],
)
def test_it_says_no_only_where_something_is_wrong(groups: list[str], refused: int, says):
    drawn = [group(answers) for answers in groups]
    found = judge(recipe(), PreflightConfig(), [TASK] * len(drawn), drawn, refused, 100)
    assert len(found.problems) == (says is not None)
    assert says is None or says in found.problems[0]


def test_completions_cut_at_the_limit_are_told_with_the_limit():
    drawn = [group("3124", cut=3), group("3333", cut=2)]
    made = recipe(max_completion_tokens=99)
    found = judge(made, PreflightConfig(), [TASK, TASK], drawn, 0, 100)
    assert found.numbers["truncated"] == 5 / 8
    assert found.problems == ["62% of the completions are cut at 99 tokens; raise the limit"]


def test_the_vote_is_worth_what_it_adds_to_one_completion():
    # 3 of 5 right and the vote right: +0.4. 2 of 5 right and the vote wrong: -0.4. A tie: left out.
    assert majority_gap([TASK], [group("33312")], (0, 1)) == pytest.approx(0.4)
    assert majority_gap([TASK], [group("33111")], (0, 1)) == pytest.approx(-0.4)
    assert majority_gap([TASK, TASK], [group("3311"), group("33312")], (0, 1)) == pytest.approx(0.4)
    assert majority_gap([TASK], [group("33312")], (0.8, 1)) is None
    made = recipe(majority=(0.0, 1.0))
    found = judge(made, PreflightConfig(), [TASK], [group("33111")], 0, 100)
    assert "train.majority has nothing to teach" in found.problems[0]


def test_what_an_evaluation_resolves_falls_with_its_tasks_and_samples():
    drawn = [group("3333"), group("3111"), group("1111"), group("3311")]
    rates = [1, 0.25, 0, 0.5]
    within = sum(p * (1 - p) for p in rates) / 4
    for tasks, samples in ((30, 4), (30, 16), (120, 16)):
        expected = Spread(0.1**2, 2 * within).resolvable(tasks, samples)
        assert resolvable(drawn, 0.1, tasks, samples) == pytest.approx(expected)
    assert resolvable(drawn, 0.1, 30, 4) > resolvable(drawn, 0.1, 30, 16)
    assert resolvable(drawn, 0.1, 30, 16) > resolvable(drawn, 0.1, 120, 16)


def test_the_tasks_looked_at_are_spread_over_the_curriculum():
    tasks = [Task("math", str(i), "1", id=str(i)) for i in range(10)]
    assert [task.id for task in spread(tasks, 4)] == ["0", "2", "5", "7"]
    assert spread(tasks, 20) == tasks


def ttc_rl(run: Path, *keys: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ttc_rl", "select", TINY, *keys, "--run-dir", str(run)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_a_run_ends_where_the_base_model_cannot_do_anything(cache: Path, tmp_path: Path):
    hopeless = ["model.pretrain.max_steps=1", "preflight.tasks=3", "preflight.samples=2"]
    done = ttc_rl(tmp_path / "no", *hopeless)
    assert done.returncode == 2
    assert "preflight: random: nothing was solved (3 tasks drawn 2 times)" in done.stderr
    assert read_json(tmp_path / "no" / "preflight.json")["sift"]["numbers"]["right"] == 0
    assert ttc_rl(tmp_path / "said", *hopeless, "preflight.refuse=false").returncode == 0
    done = ttc_rl(tmp_path / "yes", "preflight={tasks: 8, samples: 8}")
    assert done.returncode == 0, done.stderr
    assert 0 < read_json(tmp_path / "yes" / "preflight.json")["sift"]["numbers"]["right"] < 1


def test_targets_that_the_corpus_cannot_teach_and_gains_too_small_to_see(
    cache: Path, tmp_path: Path
):
    """12 targets x 4 samples; a limit of 0 uncovered targets, and a gain of one point."""
    keys = ("preflight.gain=0.01", "selection.size=15")
    done = ttc_rl(tmp_path / "run", *keys)
    assert done.returncode == 2
    found = read_json(tmp_path / "run" / "preflight.json")["sift"]
    assert found["numbers"]["uncovered"] == 0
    assert found["numbers"]["resolvable"] > 0.01
    assert found["problems"][-1].startswith("12 targets x 4 samples resolve ")
    selection = tmp_path / "run" / "arms" / "sift" / "selection.json"
    told = read_json(selection)
    for target in told["targets"][:8]:
        target["uncertainty"]["floor"] = 0.9 * told["uncertainty"]["random"]["floor"]
    selection.write_text(json.dumps(told))
    again = ttc_rl(tmp_path / "run", *keys, "--resume")
    assert "67% of the targets are not covered by the corpus" in again.stderr + again.stdout
