"""The look before training: each reason to say no, and that a run ends there."""

import subprocess
import sys
from pathlib import Path

import pytest

from ttc_rl.achievability import Group
from ttc_rl.config import PreflightConfig, Recipe
from ttc_rl.preflight import judge, majority_gap, spread
from ttc_rl.run_dir import read_json
from ttc_rl.schema import Task

TINY = str(Path(__file__).parent / "tiny.yaml")
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
