import numpy as np
import pytest

from ttc_rl.config import GuardConfig
from ttc_rl.train.curriculum.guard import Groups, kept, shrink


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
