import itertools

import numpy as np
import pytest

from ttc_rl.config import TrainConfig
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.train.rewards import EPSILON, pass_at_k_advantages, reward, shuffled_golds
from ttc_rl.verifiers import verify

WRONG, RIGHT, SILENT = Verdict(False, "3"), Verdict(True, "2"), Verdict(False, status="no_answer")
UNDECIDED, FAILED = Verdict(None, "2"), Verdict(None, "2", status="infra_error")


def test_correct_pays_for_right_answers_and_format_for_any():
    verdicts = (RIGHT, WRONG, SILENT, UNDECIDED, FAILED)
    assert [reward(v) for v in verdicts] == [1.0, 0.0, 0.0, None, None]
    assert [reward(v, "format") for v in verdicts] == [1.0, 1.0, 0.0, 1.0, None]


def test_only_what_ended_by_itself_without_an_answer_is_malformed():
    assert reward(SILENT, malformed=-0.5) == -0.5
    assert reward(SILENT, malformed=-0.5, truncated=True) == 0.0
    assert reward(WRONG, malformed=-0.5) == 0.0
    assert reward(FAILED, malformed=-0.5) is None


def test_a_program_is_paid_for_the_tests_it_passed():
    tests = [{"type": "stdin", "input": str(i), "output": str(min(i, 2))} for i in range(4)]
    task = Task("code", "print the number", tests=tuple(tests))
    half = verify(task, "```python\nprint(int(input()))\n```")
    assert (half.correct, half.share) == (False, 0.75)
    assert reward(half, "partial") == 0.75
    assert reward(half) == 0.0
    whole = verify(task, "```python\nprint(min(2, int(input())))\n```")
    assert (reward(whole, "partial"), whole.share) == (1.0, 1.0)
    assert reward(RIGHT, "partial") == 1.0


def test_every_task_gets_the_gold_of_another_of_its_kind():
    tasks = {
        t.id: t for t in [Task(k, f"{k}{i}", str(i)) for k in ("math", "exact") for i in "abc"]
    }
    found = shuffled_golds(tasks, seed=0)
    for i, task in tasks.items():
        assert (found[i].id, found[i].prompt, found[i].kind) == (i, task.prompt, task.kind)
        assert found[i].gold != task.gold
    for kind in ("math", "exact"):
        assert sorted(t.gold or "" for t in found.values() if t.kind == kind) == ["a", "b", "c"]
    assert found == shuffled_golds(tasks, seed=0)
    with pytest.raises(UserError, match="one task of kind judge has none to swap with"):
        shuffled_golds({**tasks, "x": Task("judge", "?", "a")}, 0)


def test_two_rewards_are_one_too_many():
    with pytest.raises(ValueError, match="name one"):
        TrainConfig(majority=(0.1, 0.9), reward="format")


def counted(rewards: list[float], k: int) -> tuple[list[float], float]:
    """By every subset: what each rollout adds to the best of k, and the spread of the best."""
    subsets = list(itertools.combinations(range(len(rewards)), k))
    best = np.array([max(rewards[i] for i in subset) for subset in subsets])
    with_i = [[i in subset for subset in subsets] for i in range(len(rewards))]
    return [float(best[mask].mean() - best.mean()) for mask in with_i], float(best.std())


@pytest.mark.parametrize("values", [(0, 1), (0, 1, 0.5, -0.5)])
def test_pass_at_k_advantages_match_counting_every_subset(values: tuple[float, ...]):
    rng = np.random.default_rng(0)
    for _ in range(60):
        count = int(rng.integers(3, 8))
        k = int(rng.integers(2, count))
        rewards = [float(x) for x in rng.choice(values, count)]
        expected, spread = counted(rewards, k)
        whole = np.array([[*rewards, np.nan]])
        found = pass_at_k_advantages(whole, k, scale=False)[0]
        assert found.tolist() == pytest.approx([*expected, 0.0])
        scaled = pass_at_k_advantages(whole, k, scale=True)[0][:-1]
        assert scaled.tolist() == pytest.approx(
            [x / (spread + EPSILON) for x in expected], abs=1e-9
        )


def test_groups_that_are_sure_of_one_in_k_teach_nothing_by_it():
    rewards = np.array([[0, 1, 1, 1], [0, 0, 0, 0], [0, 1, np.nan, np.nan]])
    assert np.abs(pass_at_k_advantages(rewards, 3, scale=True)).max() < 1e-9
    for wrong in ({"pass_at_k": 16}, {"pass_at_k": 4, "trl": {"scale_rewards": "batch"}}):
        with pytest.raises(ValueError, match="pass_at_k"):
            TrainConfig.model_validate(wrong)
