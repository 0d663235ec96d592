import pytest

from ttc_rl.config import TrainConfig
from ttc_rl.metrics.flops import Spent
from ttc_rl.schema import UserError
from ttc_rl.train.curriculum import charged, plan


def test_every_epoch_keeps_the_order_and_the_last_step_is_filled_from_the_start():
    made = plan(list("abcdefg"), TrainConfig(epochs=2, tasks_per_step=4))
    assert "".join(made.task_ids) == "abcdefgabcdefgab"
    assert (made.steps, made.padding) == (4, 2)
    assert made.step(2) == ("e", "f", "g", "a")


def test_a_curriculum_smaller_than_a_step_is_refused_with_the_arithmetic():
    with pytest.raises(UserError, match=r"holds 3 tasks, fewer than one step's .* 4"):
        plan(list("abc"), TrainConfig(tasks_per_step=4))


def test_training_pays_for_what_selection_drew_and_differentiated():
    spent = Spent(parameters=100)
    for _ in range(10):
        spent.drawn(12, 8)
    spent.differentiated(200)
    compute = spent.as_dict()
    assert compute["flops"] == 100 * (2 * 200 + 6 * 200) == 160_000
    assert compute["tokens_a_rollout"] == 20
    config = TrainConfig(epochs=3, tasks_per_step=2, rollouts_per_task=2, charge_selection=True)
    whole = plan(list("abcd"), config)
    # A step: 2 x 2 rollouts x 20 tokens x 100 parameters x 8 = 64,000; 6 - 2.5 steps are left.
    left = charged(whole, config, compute)
    assert (whole.steps, left.steps, left.charged) == (6, 3, 3)
    assert "".join(left.task_ids) == "abcdab"
    assert charged(whole, config, None) == whole
    assert charged(whole, config.model_copy(update={"charge_selection": False}), compute) == whole


def test_a_selection_dearer_than_the_training_is_refused():
    spent = Spent(parameters=100)
    spent.drawn(10, 10)
    spent.differentiated(10_000)
    config = TrainConfig(tasks_per_step=2, rollouts_per_task=2, charge_selection=True)
    with pytest.raises(UserError, match="none is left"):
        charged(plan(list("abcd"), config), config, spent.as_dict())
