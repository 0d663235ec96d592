"""Votes as golds: by classes of equal answers, inside a band, and how often they were right."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from whole_replies import END, WholeReplies

from ttc_rl.schema import Task
from ttc_rl.verifiers.majority import label_accuracy, majority, verify_groups

HALF = [r"\boxed{1/2}", r"\boxed{0.5}", r"\boxed{\frac12}", r"\boxed{2}", r"\boxed{2}", "?"]


def test_equal_answers_vote_together():
    """As strings, 2 would win."""
    vote = majority(Task("math", "?", None), HALF)
    assert (vote.label, vote.share, vote.right) == ("1/2", 0.5, None)
    assert [v.correct for v in vote.verdicts] == [True, True, True, False, False, False]
    assert [v.status for v in vote.verdicts] == ["ok"] * 5 + ["no_answer"]


def test_the_gold_has_no_part_in_the_vote_and_tells_whether_it_was_right():
    votes = [majority(Task("math", "?", gold), HALF) for gold in ("1/2", "2", None)]
    assert [vote.verdicts for vote in votes] == [votes[0].verdicts] * 3
    assert [vote.right for vote in votes] == [True, False, None]
    two = majority(Task("math", "?", "1, 2"), [r"\boxed{1} \boxed{2}"] * 2)
    assert (two.label, two.right) == ("2", False)


@pytest.mark.parametrize(
    ("band", "decided"), [((0, 1), True), ((0.5, 0.5), True), ((0.6, 1), False), ((0, 0.4), False)]
)
def test_outside_the_band_nothing_is_decided(band: tuple[float, float], decided: bool):
    vote = majority(Task("math", "?", "1/2"), HALF, band)
    assert (vote.label is not None) is decided
    assert [v.correct is None for v in vote.verdicts] == [not decided] * 6


def test_ties_and_silence_give_no_label():
    tie = majority(Task("exact", "?", "a"), ["answer a", "answer b", "nothing"])
    assert (tie.label, [v.correct for v in tie.verdicts]) == (None, [None] * 3)
    silent = majority(Task("exact", "?", "a"), ["", ""])
    assert [v.correct for v in silent.verdicts] == [False, False]
    with pytest.raises(ValueError, match="kind 'code' cannot vote"):
        majority(Task("code", "?"), [""])


def test_groups_are_told_apart_and_counted():
    choice = Task("choice", "?", "B", meta={"options": ["x", "y"]})
    exact = Task("exact", "?", "7")
    tasks = [choice] * 3 + [exact] * 3
    texts = [r"\boxed{B}", r"\boxed{y}", r"\boxed{A}", "answer 6", "answer 6", "answer 7"]
    votes = verify_groups(tasks, texts, (0.0, 1.0))
    assert [v.correct for vote in votes for v in vote.verdicts] == [True, True, False] * 2
    assert label_accuracy(votes) == {
        "groups": 2,
        "labelled": 2,
        "known": 2,
        "label_accuracy": 0.5,
    }
    assert label_accuracy([])["label_accuracy"] is None


def test_a_recipe_trains_on_the_vote(tmp_path: Path):
    pytest.importorskip("trl")
    from ttc_rl.config import Recipe
    from ttc_rl.run_dir import ArmDir
    from ttc_rl.train.curriculum import plan
    from ttc_rl.train.methods.grpo_reward import Ledger

    train = {"tasks_per_step": 1, "rollouts_per_task": 3, "majority": [0, 1]}
    sections = {"model": "m", "corpus": "c", "target": "t", "train": train}
    recipe = Recipe.model_validate(sections)
    task, logged = Task("exact", "?", "7", id="a"), {}
    replies, order = WholeReplies(), plan(["a"], recipe.train)
    ledger = Ledger(recipe, order, {"a": task}, ArmDir(tmp_path), replies, [END])
    rewards = ledger.verified_reward(
        prompts=[""] * 3,
        completions=[""] * 3,
        completion_ids=replies.ids("answer 6", "answer 6", "answer 7"),
        task_id=["a"] * 3,
        trainer_state=SimpleNamespace(global_step=0),
        log_metric=logged.__setitem__,
    )
    assert rewards == [1.0, 1.0, 0.0]
    assert (logged["majority/label_accuracy"], logged["majority/labelled"]) == (0.0, 1)
