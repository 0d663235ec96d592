"""Target prompts mixed into a curriculum, rewarded for agreement: where they stand, who votes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from whole_replies import END, WholeReplies

from ttc_rl.config import Recipe, load_recipe
from ttc_rl.run_dir import ArmDir, RunDir, read_jsonl
from ttc_rl.schema import Task, UserError
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import select, train
from ttc_rl.train.curriculum import arithmetic, plan, steps_and_padding
from ttc_rl.train.methods.grpo_config import grpo_config
from ttc_rl.train.methods.grpo_reward import Ledger

TINY = Path(__file__).parents[1] / "tiny.yaml"


def recipe(**more: Any) -> Recipe:
    small = {"tasks_per_step": 3, "rollouts_per_task": 4, "ttrl": {"tasks": 1}}
    tree = {"model": "m", "corpus": "c", "target": "t", "train": small | more}
    return Recipe.model_validate(tree)


def test_every_step_ends_with_targets_that_go_round():
    found = plan(list("abcde"), recipe().train, list("XY"))
    steps = ["".join(found.step(i)) for i in range(1, found.steps + 1)]
    assert steps == ["abX", "cdY", "eaX"]
    assert found.padding == 1
    assert "2 tasks a step and 1 target prompts" in arithmetic(recipe().train, 1000, experts=False)
    assert steps_and_padding(recipe(epochs=1).train, 1000) == (500, 0)
    assert steps_and_padding(recipe().train, 5) == (found.steps, found.padding)


def test_a_group_that_votes_is_on_one_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    made = recipe()
    with pytest.raises(UserError, match=r"train\.ttrl: a group's vote is counted on one device"):
        grpo_config(
            made, plan(list("abcd"), made.train, ["X"]).steps, ArmDir(tmp_path), track=False
        )


def test_targets_are_graded_by_vote_and_the_rest_by_gold(tmp_path: Path):
    made = recipe()
    tasks = {t.id: t for t in [Task("exact", i, g, id=i) for i, g in (("a", "1"), ("X", None))]}
    order = SimpleNamespace(step=lambda _: ("a", "X"), redrawn=0)
    replies = WholeReplies()
    ledger = Ledger(made, order, tasks, ArmDir(tmp_path), replies, [END])
    logged: dict[str, float] = {}
    rewards = ledger.verified_reward(
        prompts=[""] * 8,
        completions=[""] * 8,
        completion_ids=replies.ids(*(f"answer {digit}" for digit in "12125556")),
        task_id=["a"] * 4 + ["X"] * 4,
        trainer_state=SimpleNamespace(global_step=0),
        log_metric=logged.__setitem__,
    )
    assert rewards == [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0]
    assert (logged["ttrl/groups"], logged["ttrl/labelled"]) == (1, 1)
    assert "ttrl/label_accuracy" not in logged  # nobody knows


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"ttrl": {"tasks": 3}}, "leaves no task of the curriculum"),
        ({"reward": "shuffled"}, "target prompts have no gold to swap"),
        ({"curriculum": {"method": "beta"}}, "mixes into a static curriculum"),
    ],
)
def test_what_cannot_be_mixed_is_told(more: dict[str, Any], told: str):
    with pytest.raises(ValueError, match=told):
        recipe(**more)


def test_a_run_mixes_the_test_in_without_its_golds(tmp_path: Path, cache: Path):
    asked = ["train.ttrl.tasks=1", "arms.random=null", "train.epochs=1"]
    made = Job(r := load_recipe(TINY, asked), RunDir.open(tmp_path / "run", r))
    select(made)
    train(made)
    folder = made.arm("sift")[1]
    picked = {row["task_id"] for row in read_jsonl(folder.curriculum)}
    for path in sorted(folder.rollouts.glob("*.parquet")):
        ids = pq.read_table(path)["task_id"].to_pylist()[::4]
        assert len(ids) == 4
        assert [i in picked for i in ids] == [True, True, True, False]
    rows = list(read_jsonl(folder.metrics))
    assert len(rows) == 5
    assert all(row["ttrl/groups"] == 1 for row in rows)
