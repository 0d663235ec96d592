import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_rl.metrics import (
    best_of_k,
    g_pass_at_k,
    maj_at_k,
    mg_pass_at_k,
    pass_at_k,
    weighted_maj_at_k,
)

small = settings(max_examples=80, deadline=None)


def over_subsets(items: Sequence, k: int, value: Callable[[Sequence], float]) -> float:
    return float(np.mean([value(subset) for subset in itertools.combinations(items, k)]))


@small
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.sampled_from([0.2, 0.5, 0.75, 1.0]))
def test_g_pass_matches_counting_every_subset(samples: list[bool], tau: float):
    for k in range(1, len(samples) + 1):
        expected = over_subsets(samples, k, lambda s, k=k: sum(s) >= tau * k)
        assert g_pass_at_k(len(samples), sum(samples), k, tau) == pytest.approx(expected)


@small
@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_mean_g_pass_matches_integrating_over_tau(samples: list[bool]):
    n, c = len(samples), sum(samples)
    for k in range(1, n + 1):
        steps = 0.5 + 0.5 * (np.arange(840) + 0.5) / 840  # 1/2, 1/4, ... 1/8 fall between steps
        expected = np.mean([g_pass_at_k(n, c, k, float(tau)) for tau in steps])
        assert mg_pass_at_k(n, c, k) == pytest.approx(expected)


def test_mean_g_pass_of_even_k_is_the_papers_sum():
    found = 2 / 8 * sum(g_pass_at_k(16, 11, 8, i / 8) for i in range(5, 9))
    assert mg_pass_at_k(16, 11, 8) == pytest.approx(found)


def test_one_of_k_is_pass_at_k():
    assert g_pass_at_k(16, 3, 8, 1 / 8) == pytest.approx(pass_at_k(16, 3, 8))


def test_tau_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 < tau <= 1"):
        g_pass_at_k(8, 3, 4, 0)


def top_scored(subset: Sequence[tuple[int, bool]]) -> float:
    best = [right for score, right in subset if score == max(s for s, _ in subset)]
    return sum(best) / len(best)


@small
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8))
def test_best_of_k_matches_ranking_every_subset(samples: list[tuple[int, bool]]):
    scores, correct = [float(s) for s, _ in samples], [right for _, right in samples]
    for k in range(1, len(samples) + 1):
        expected = over_subsets(samples, k, top_scored)
        assert best_of_k(scores, correct, k) == pytest.approx(expected)


def test_a_verifier_that_knows_is_pass_at_k_and_one_that_does_not_is_the_mean():
    correct = [True, False, False, True, False, False, False, False]
    assert best_of_k([float(c) for c in correct], correct, 3) == pytest.approx(pass_at_k(8, 2, 3))
    assert best_of_k([0.5] * 8, correct, 3) == pytest.approx(0.25)


def heaviest(subset: Sequence[tuple[int | None, int]], correct: Sequence[bool]) -> float:
    weight = {c: sum(w for d, w in subset if d == c) for c in range(len(correct))}
    top = [c for c, w in weight.items() if w > 0 and w == max(weight.values())]
    return sum(correct[c] for c in top) / len(top) if top else 0.0


@small
@given(
    st.lists(
        st.tuples(st.sampled_from([None, 0, 1, 2]), st.integers(0, 3)), min_size=1, max_size=8
    ),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_a_weighted_vote_matches_every_subset(
    samples: list[tuple[int | None, int]], correct: list[bool]
):
    classes, weights = [c for c, _ in samples], [float(w) for _, w in samples]
    for k in range(1, len(samples) + 1):
        expected = over_subsets(samples, k, lambda s: heaviest(s, correct))
        found = weighted_maj_at_k(classes, weights, correct, k)
        assert (found.value, found.error) == (pytest.approx(expected), 0.0)


def test_with_equal_weights_it_is_the_plain_vote_within_its_error():
    classes = [0] * 9 + [1] * 8 + [2] * 4 + [None] * 3
    exact = maj_at_k([9, 8, 4], [True, False, False], 3, 12)
    found = weighted_maj_at_k(classes, [0.1] * 24, [True, False, False], 12)
    assert 0 < found.error < 0.004
    assert abs(found.value - exact) < 4 * found.error
    assert weighted_maj_at_k(classes, [0.1] * 24, [True, False, False], 24).value == 1.0


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_no_estimate_is_biased(k: int):
    """Summed over all outcomes of n = 5 samples with their chances, each is what k would give."""
    chances, correct = [0.3, 0.5, 0.2], [True, False, False]

    def expectation(n: int, value: Callable[[Sequence[int]], float]) -> float:
        outcomes = itertools.product(range(3), repeat=n)
        return sum(math.prod(chances[c] for c in o) * value(o) for o in outcomes)

    def sizes(outcome: Sequence[int]) -> tuple[list[int], list[bool]]:
        found = sorted(set(outcome))
        return [outcome.count(c) for c in found], [correct[c] for c in found]

    def vote(outcome: Sequence[int]) -> float:
        return heaviest([(c, 1) for c in outcome], correct)

    def right(outcome: Sequence[int]) -> int:
        return sum(correct[c] for c in outcome)

    assert expectation(5, lambda o: pass_at_k(5, right(o), k)) == pytest.approx(1 - 0.7**k)
    assert expectation(5, lambda o: g_pass_at_k(5, right(o), k, 1.0)) == pytest.approx(0.3**k)
    assert expectation(5, lambda o: maj_at_k(*sizes(o), 0, k)) == pytest.approx(
        expectation(k, vote)
    )
