import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_rl.metrics import (
    Estimate,
    bootstrap_means,
    maj_at_k,
    paired_difference,
    pass_at_k,
    t_difference,
    t_interval,
    t_quantile,
)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_pass_at_k_matches_counting_every_subset(k: int):
    samples = [True, False, False, True, False]
    subsets = list(itertools.combinations(samples, k))
    expected = sum(any(subset) for subset in subsets) / len(subsets)
    assert pass_at_k(5, 2, k) == pytest.approx(expected)


def test_pass_at_k_refuses_more_draws_than_samples():
    with pytest.raises(ValueError, match="pass@9 needs at least 9 samples, got 8"):
        pass_at_k(8, 1, 9)
    with pytest.raises(ValueError, match="maj@9 needs"):
        maj_at_k([8], [True], 0, 9)


def test_one_success_in_all_samples_passes_at_n_and_rarely_at_one():
    assert pass_at_k(8, 1, 8) == 1.0
    assert pass_at_k(8, 1, 1) == pytest.approx(1 / 8)
    assert pass_at_k(8, 0, 8) == 0.0


def vote(drawn: tuple[int | None, ...], correct: list[bool]) -> float:
    counts = {c: drawn.count(c) for c in drawn if c is not None}
    top = [c for c, count in counts.items() if count == max(counts.values())]
    return sum(correct[c] for c in top) / len(top) if top else 0.0


def brute_force(sizes: list[int], correct: list[bool], silent: int, k: int) -> float:
    samples = [c for c, size in enumerate(sizes) for _ in range(size)] + [None] * silent
    subsets = list(itertools.combinations(samples, k))
    return sum(vote(subset, correct) for subset in subsets) / len(subsets)


@settings(max_examples=150, deadline=None)
@given(
    classes=st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=5),
    silent=st.integers(0, 3),
    data=st.data(),
)
def test_maj_at_k_matches_voting_on_every_subset(
    classes: list[tuple[int, bool]], silent: int, data: st.DataObject
):
    sizes, correct = [size for size, _ in classes], [right for _, right in classes]
    total = sum(sizes) + silent
    if not 0 < total <= 10:
        return
    k = data.draw(st.integers(1, total))
    expected = brute_force(sizes, correct, silent, k)
    assert maj_at_k(sizes, correct, silent, k) == pytest.approx(expected)


def test_a_tie_is_split_and_silence_does_not_vote():
    assert maj_at_k([2, 2], [True, False], 0, 4) == 0.5
    assert maj_at_k([1], [True], 63, 64) == 1.0
    assert maj_at_k([], [], 5, 3) == 0.0


def test_maj_at_k_of_many_samples_is_near_a_simulation():
    sizes, correct, silent = [40, 35, *[1] * 30], [True] + [False] * 31, 23
    samples = [c for c, size in enumerate(sizes) for _ in range(size)] + [None] * silent
    rng = random.Random(0)
    votes = [vote(tuple(rng.sample(samples, 16)), correct) for _ in range(4000)]
    assert maj_at_k(sizes, correct, silent, 16) == pytest.approx(float(np.mean(votes)), abs=0.03)


def test_maj_at_k_stays_exact_beyond_what_a_double_holds():
    assert maj_at_k([700, 500], [True, False], 0, 1) == pytest.approx(7 / 12)
    assert maj_at_k([1], [True], 1199, 600) == pytest.approx(0.5)


def test_bootstrap_interval_holds_the_mean_and_narrows_with_tasks():
    (few,), (many,) = (bootstrap_means([0.0, 1.0] * count) for count in (10, 400))
    assert few.lo is not None
    assert few.hi is not None
    assert few.lo < few.value == 0.5 < few.hi
    assert few.hi - few.lo == pytest.approx(2 * 1.96 * 0.5 / 20**0.5, abs=0.05)
    assert many.hi is not None
    assert many.hi - 0.5 == pytest.approx(1.96 * 0.5 / 800**0.5, abs=0.005)


def test_bootstrap_matches_resampling_one_index_at_a_time():
    values, rng = np.random.default_rng(1).random(12), random.Random(2)
    means = [np.mean([rng.choice(values) for _ in values]) for _ in range(4000)]
    lo, hi = np.quantile(means, [0.025, 0.975])
    (estimate,) = bootstrap_means(values)
    assert (estimate.lo, estimate.hi) == (pytest.approx(lo, abs=0.01), pytest.approx(hi, abs=0.01))


def test_one_task_has_no_interval():
    assert bootstrap_means([0.25]) == [Estimate(0.25, None, None)]


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random(30)
    assert bootstrap_means(values, seed=3) == bootstrap_means(values, seed=3)
    assert bootstrap_means(values, seed=3) != bootstrap_means(values, seed=4)


def test_many_quantities_share_their_resampled_tasks():
    values = np.random.default_rng(0).random((2, 30))
    assert bootstrap_means(values)[1].lo == pytest.approx(bootstrap_means(values[1])[0].lo)


def test_a_constant_gain_is_sure_and_still_has_a_width():
    before = 0.9 * np.random.default_rng(0).random(30)
    gain = paired_difference(before + 0.1, before)
    assert gain.value == pytest.approx(0.1)
    assert gain.lo is not None
    assert gain.hi is not None
    assert gain.lo > 0
    assert gain.hi - gain.lo < 0.05


def test_paired_difference_refuses_other_tasks():
    with pytest.raises(ValueError, match="not the same tasks"):
        paired_difference([0.0, 1.0], [0.0])


@pytest.mark.parametrize(
    ("df", "table"),
    [
        (1, 12.7062),
        (2, 4.3027),
        (3, 3.1824),
        (4, 2.7764),
        (5, 2.5706),
        (30, 2.0423),
        (200, 1.9719),
        (201, 1.9718),
        (10**9, 1.959964),
    ],
)
def test_t_quantile_matches_the_printed_tables(df: int, table: float):
    assert t_quantile(0.975, df) == pytest.approx(table, abs=1e-4)


def test_t_interval_over_three_seeds():
    estimate = t_interval([1.0, 2.0, 3.0])
    half = 4.3027 / 3**0.5
    assert (estimate.value, estimate.lo) == (2.0, pytest.approx(2 - half, abs=1e-4))


def test_p_over_seeds_is_that_of_the_printed_tables():
    # t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees: p = 0.0742
    found = t_difference([1.0, 2.0, 3.0])
    assert (found.lo, found.p) == (t_interval([1.0, 2.0, 3.0]).lo, pytest.approx(0.0742, abs=1e-4))
    assert t_difference([0.5, 0.5]).p is None
    assert t_difference([0.5]).p is None


def test_one_seed_has_no_interval():
    assert t_interval([0.5]) == Estimate(0.5, None, None)
