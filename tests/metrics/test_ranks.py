"""Spearman's correlation against scipy's, its interval against repeated draws."""

import numpy as np
import pytest
from scipy import stats

from ttc_rl.metrics import rank_correlation
from ttc_rl.metrics.ranks import average_ranks


def test_equal_values_share_their_ranks():
    assert average_ranks([3.0, 1.0, 3.0, 2.0]).tolist() == [3.5, 1.0, 3.5, 2.0]


@pytest.mark.parametrize("seed", range(20))
def test_the_correlation_is_scipys(seed: int):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, 30), rng.normal(size=30).round(1)
    found = rank_correlation(a, b)
    assert found is not None
    assert found.value == pytest.approx(stats.spearmanr(a, b).statistic)


def test_the_interval_covers_the_correlation_it_speaks_of():
    rng, rho, hits = np.random.default_rng(0), 0.5, 0
    spearman = 6 / np.pi * np.arcsin(rho / 2)  # of a normal pair whose correlation is rho
    for _ in range(1000):
        a, noise = rng.normal(size=(2, 60))
        found = rank_correlation(a, rho * a + np.sqrt(1 - rho**2) * noise)
        assert found is not None
        assert found.lo is not None
        assert found.hi is not None
        hits += found.lo < spearman < found.hi
    assert 0.92 < hits / 1000 < 0.98


def test_what_does_not_vary_has_no_correlation():
    assert rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


def test_lists_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match="3 and 2 numbers"):
        rank_correlation([1.0, 2.0, 3.0], [1.0, 2.0])
