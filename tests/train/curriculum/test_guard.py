import math

import numpy as np
import pytest

from ttc_rl.config import GuardConfig
from ttc_rl.schema import Task
from ttc_rl.train.curriculum.guard import Groups, answers_of, guessed, kept, shrink


def groups(*successes: int, of: int = 8) -> Groups:
    return Groups(np.array([[1.0] * k + [0.0] * (of - k) for k in successes]))


def test_hopeless_lucky_and_trivial_groups_are_dropped():
    guard = GuardConfig()
    assert kept(groups(0, 1, 2, 7, 8), guard).tolist() == [False, False, True, True, False]
    assert kept(groups(0, 1, 8), GuardConfig(min_successes=1)).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("successes", "factor"),
    [((3, 4, 5, 6), 1.0), ((3, 4, 0, 8), 1.0), ((3, 0, 0, 8), 0.5), ((0, 1, 8, 0), 0.0)],
)
def test_the_step_shrinks_with_the_share_of_groups_that_teach(
    successes: tuple[int, ...], factor: float
):
    assert shrink(kept(groups(*successes), GuardConfig())) == factor


def test_undecided_rollouts_are_no_trials():
    undecided = Groups(
        np.array([[1.0, 1.0, np.nan, np.nan], [np.nan] * 4, [1.0, 1.0, 0.0, np.nan]])
    )
    assert undecided.trials_P.tolist() == [2, 0, 3]
    assert undecided.flat == pytest.approx(2 / 3)
    assert kept(undecided, GuardConfig()).tolist() == [False, False, True]


def test_a_success_is_a_guess_as_often_as_chance_makes_it():
    rng, trials = np.random.default_rng(0), 200_000
    for skill, answers in ((0.0, 4), (0.01, 10), (0.01, 1000), (0.5, 2), (0.9, 3)):
        knows = rng.random(trials) < skill
        right = knows | (rng.random(trials) < 1 / answers)
        rewards = Groups(right.astype(float)[None])
        counted = (right & ~knows).sum() / right.sum()
        assert guessed(rewards, np.array([float(answers)]))[0] == pytest.approx(counted, abs=0.06)
    nobody = groups(0, of=8)
    assert guessed(nobody, np.array([4.0])) == 1


def test_groups_that_were_probably_guessed_are_dropped():
    guard = GuardConfig(max_guess=0.5)
    four = np.full(4, 4.0)
    assert kept(groups(2, 3, 5, 8), guard, four).tolist() == [False, False, True, False]
    assert kept(groups(2, 3, 5, 8), guard, np.full(4, 1000.0)).tolist() == [True] * 3 + [False]


def test_how_many_answers_a_task_could_have():
    tasks = [
        Task("choice", "q", gold="A", source="a", id="1", meta={"options": ["x", "y", "z"]}),
        *[Task("exact", "q", gold=["yes", "no"][n % 2], source="b", id=f"b{n}") for n in range(8)],
        Task("code", "q", tests=("assert True",), source="d", id="d"),
        *[Task("exact", str(n), gold=str(n), source="c", id=f"c{n}") for n in range(8)],
    ]  # fmt: skip
    found = answers_of(tasks)
    assert found["1"] == 3
    assert found["b0"] == pytest.approx(2)
    assert found["c0"] == pytest.approx(8)
    assert math.isinf(found["d"])
    assert kept(groups(2), GuardConfig(max_guess=0.1), np.array([found["d"]])).all()
