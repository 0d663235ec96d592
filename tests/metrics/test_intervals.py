import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_rl.metrics import Estimate, holm, mean_interval, paired_difference, same_tasks_interval

shares = st.lists(st.integers(0, 16).map(lambda c: c / 16), min_size=2, max_size=40)


def ends(found: Estimate) -> tuple[float, float]:
    assert found.lo is not None
    assert found.hi is not None
    return found.lo, found.hi


@settings(max_examples=200, deadline=None)
@given(shares)
def test_no_share_has_an_interval_without_width_or_outside_zero_and_one(values: list[float]):
    lo, hi = ends(mean_interval(values))
    assert 0 <= lo <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= hi <= 1
    assert hi - lo > 1e-3


@settings(max_examples=200, deadline=None)
@given(shares, st.randoms())
def test_p_is_below_5_percent_where_the_interval_leaves_zero_out(values: list[float], rng):
    found = paired_difference(values, rng.sample(values, len(values)))
    lo, hi = ends(found)
    assert lo - 1e-9 <= found.value <= hi + 1e-9
    assert found.p is not None
    if abs(lo) > 1e-6 and abs(hi) > 1e-6:
        assert (lo > 0 or hi < 0) == (found.p < 0.05)


def test_tasks_that_agree_at_zero_are_as_many_trials_as_there_are_tasks():
    lo, hi = ends(mean_interval([0.0] * 30))
    exact = 1 - 0.025 ** (1 / 30)  # Clopper and Pearson, 0 of 30
    assert lo == 0
    assert exact <= hi < exact + 0.01
    assert ends(mean_interval([1.0] * 30)) == (pytest.approx(1 - hi), 1.0)


def test_one_success_more_does_not_tear_the_interval():
    none, one = mean_interval([0.0] * 30), mean_interval([1 / 16] + [0.0] * 29)
    assert ends(one)[1] > ends(none)[1] / 3


def test_models_that_agree_on_every_task_may_differ_on_others():
    for value in (0.0, 0.5):
        found = paired_difference([value] * 30, [value] * 30)
        lo, hi = ends(found)
        assert lo < 0 == found.value < hi
        assert found.p == 1.0


def test_many_tasks_agree_with_the_t_interval():
    values = np.random.default_rng(0).random(3000)
    lo, hi = ends(mean_interval(values))
    half = 1.96 * values.std(ddof=1) / math.sqrt(3000)
    assert (lo, hi) == (
        pytest.approx(values.mean() - half, abs=2e-4),
        pytest.approx(values.mean() + half, abs=2e-4),
    )


@pytest.mark.parametrize("shape", [(1.0, 1.0), (0.3, 6.0), (0.2, 0.2)])
def test_new_tasks_and_new_samples_are_covered(shape: tuple[float, float]):
    rng = np.random.default_rng(1)
    truth = shape[0] / sum(shape)
    found = [mean_interval(rng.binomial(16, rng.beta(*shape, 30)) / 16) for _ in range(2000)]
    inside = np.mean([lo <= truth <= hi for lo, hi in map(ends, found)])
    assert 0.93 < inside < 0.975


def test_new_samples_of_the_same_tasks_are_covered():
    rng = np.random.default_rng(1)
    chance = rng.beta(0.4, 0.8, 30)
    found = [same_tasks_interval(rng.binomial(16, chance), 16) for _ in range(2000)]
    inside = np.mean([lo <= chance.mean() <= hi for lo, hi in map(ends, found)])
    assert 0.93 < inside < 0.97


def test_one_sample_says_nothing_of_its_own_noise():
    assert same_tasks_interval([0, 1, 1, 0], 1) == Estimate(0.5, None, None)


def test_what_is_no_share_is_refused():
    with pytest.raises(ValueError, match=r"lies in \[0, 1\], got 0 to 2"):
        mean_interval([0.0, 2.0])
    with pytest.raises(ValueError, match="no tasks"):
        mean_interval([])


def test_holm_against_an_example_worked_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 gives 0.02, 0.03, 0.06, 0.04 -> 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_false_alarms_of_a_family_rare():
    p = np.random.default_rng(0).random((2000, 6))
    assert np.mean([min(holm(row.tolist())) < 0.05 for row in p]) < 0.06
