import numpy as np
import pytest

from ttc_rl.metrics import assumed_spread, measured_spread, paired_difference


def study(rng: np.random.Generator, gain: float, tasks: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Correct of 16 samples a task before and after; the gain varies by 0.1 over tasks."""
    before = rng.uniform(0.3, 0.6, tasks)
    after = before + gain + rng.choice([-0.1, 0.1], tasks)
    return rng.binomial(16, after), rng.binomial(16, before)


SPREAD = assumed_spread(0.45, 0.3 / 12**0.5, 0.1)


def test_the_promised_difference_is_found_four_times_in_five():
    rng, gain = np.random.default_rng(0), SPREAD.resolvable(30, 16)
    pairs = [study(rng, gain) for _ in range(1500)]
    found = [paired_difference(after / 16, before / 16) for after, before in pairs]
    assert np.mean([(d.lo or 0) > 0 for d in found]) == pytest.approx(0.8, abs=0.04)


def test_no_difference_is_found_once_in_twenty():
    rng = np.random.default_rng(0)
    pairs = [study(rng, 0.0) for _ in range(1500)]
    p = [paired_difference(after / 16, before / 16).p or 0 for after, before in pairs]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.015)


def test_the_spread_measured_is_the_spread_planted():
    after, before = study(np.random.default_rng(0), 0.05, tasks=20_000)
    found = measured_spread(after, before, 16)
    assert found.between == pytest.approx(0.01, abs=0.001)
    # p (1 - p) is not linear in p: the planned figure leaves the gain's own spread out
    assert found.within == pytest.approx(SPREAD.within, abs=0.02)


def test_samples_help_until_tasks_are_what_is_lacking():
    thin, thick = SPREAD.resolvable(30, 1), SPREAD.resolvable(30, 10_000)
    assert thin > SPREAD.resolvable(30, 16) > thick
    assert thick == pytest.approx((2.0452 + 0.8542) * 0.1 / 30**0.5, rel=0.01)


def test_the_tasks_needed_are_the_fewest():
    needed = SPREAD.tasks_needed(0.05, 16)
    assert SPREAD.resolvable(needed, 16) <= 0.05 < SPREAD.resolvable(needed - 1, 16)


def test_one_sample_leaves_everything_between_tasks():
    assert measured_spread([1, 0, 1, 1], [0, 0, 1, 0], 1).within == 0.0


def test_an_impossible_plan_is_refused():
    with pytest.raises(ValueError, match=r"cannot vary by 0\.5"):
        assumed_spread(0.1, 0.5, 0.1)
