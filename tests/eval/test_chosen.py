"""The best of several evaluations is not as good as it looks."""

import numpy as np
import pytest

from ttc_eval.compare.chosen import selection_effect


def test_the_best_of_equals_is_no_better_than_they_are():
    rng = np.random.default_rng(0)
    gaps = []
    for seed in range(20):
        shares_ET = rng.binomial(4, 0.5, size=(12, 32)) / 4  # twelve evaluations of one model
        chosen, fair = selection_effect(shares_ET, seed)
        assert chosen > fair
        gaps.append((chosen - 0.5, fair - 0.5))
    apparent, real = np.mean(gaps, axis=0)
    assert apparent > 0.05  # without a correction it looks like progress
    assert abs(real) < 0.02


def test_one_that_is_better_stays_so():
    shares_ET = np.stack([np.full(32, 0.2), np.full(32, 0.8), np.full(32, 0.4)])
    assert selection_effect(shares_ET) == pytest.approx((0.8, 0.8))
    assert selection_effect(shares_ET[:, :1]) == pytest.approx((0.8, 0.8))
