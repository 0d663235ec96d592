import pytest

from ttc_rl.config import TrainConfig
from ttc_rl.curriculum import plan
from ttc_rl.schema import UserError


def test_every_epoch_keeps_the_order_and_the_last_step_is_filled_from_the_start():
    made = plan(list("abcdefg"), TrainConfig(epochs=2, tasks_per_step=4))
    assert "".join(made.task_ids) == "abcdefgabcdefgab"
    assert (made.steps, made.padding) == (4, 2)
    assert made.step(2) == ("e", "f", "g", "a")


def test_a_curriculum_smaller_than_a_step_is_refused_with_the_arithmetic():
    with pytest.raises(UserError, match=r"holds 3 tasks, fewer than one step's .* 4"):
        plan(list("abc"), TrainConfig(tasks_per_step=4))
