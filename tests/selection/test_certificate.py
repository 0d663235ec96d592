"""The bound holds for every curriculum of the size: counted out on corpora of a dozen tasks."""

import itertools

import numpy as np
import pytest
from problems import posterior_variance, problem

from ttc_rl.selection import Stop, select
from ttc_rl.selection.certificate import certify, coverage
from ttc_rl.selection.posterior import variances
from ttc_rl.selection.sift import greedy


def test_trace_and_coverage_match_the_kernel_form():
    corpus, targets = problem(5)
    trace = variances(corpus, targets, 0.1).sum(axis=1)
    expected = [posterior_variance(corpus[:n], targets, 0.1) for n in range(len(corpus) + 1)]
    assert trace == pytest.approx(expected)
    covered = coverage(corpus, targets, np.arange(10), 0.1)
    for row, left in zip(targets, covered.targets, strict=True):
        alone = row[None]
        assert left["start"] == pytest.approx(posterior_variance(corpus[:0], alone, 0.1))
        assert left["after"] == pytest.approx(posterior_variance(corpus[:10], alone, 0.1))
        assert left["floor"] == pytest.approx(posterior_variance(corpus, alone, 0.1))
        cosines = corpus @ row / np.linalg.norm(corpus, axis=1) / np.linalg.norm(row)
        assert left["cosine"] == pytest.approx(cosines.max())
    every = np.eye(corpus.shape[1])
    assert covered.random["floor"] == pytest.approx(
        posterior_variance(corpus, every, 0.1) / len(every)
    )


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("noise", [0.01, 0.1, 1.0, "each its own"])
@pytest.mark.parametrize("seed", range(12))
def test_the_bound_is_below_the_best_of_all_curricula(seed: int, noise: float, repeat: bool):
    corpus, targets = problem(seed, n=10, m=1 + seed % 3, d=5)
    noises = np.geomspace(0.01, 1, 10) if isinstance(noise, str) else np.full(10, noise)
    chosen = greedy(corpus, targets, 3, noises, repeat=repeat)
    found = certify(corpus, targets, chosen, noises, repeat=repeat)
    combine = itertools.combinations_with_replacement if repeat else itertools.combinations

    def left(rows) -> float:
        return posterior_variance(corpus[list(rows)], targets, noises[list(rows)])

    best = min(left(rows) for rows in combine(range(10), 3))
    assert found.lower_bound <= best + 1e-9
    assert found.after == pytest.approx(left(chosen))
    assert 0.3 < found.share <= 1
    assert found.share * (found.start - found.lower_bound) <= found.start - found.after + 1e-9


def test_a_bound_on_longer_curricula_is_lower():
    corpus, targets = problem(3, n=12, m=2, d=5)
    chosen = greedy(corpus, targets, 3, 0.1)
    longer = certify(corpus, targets, chosen, 0.1, size=5)
    best = min(
        posterior_variance(corpus[list(rows)], targets, 0.1)
        for rows in itertools.combinations(range(12), 5)
    )
    assert longer.lower_bound <= best < certify(corpus, targets, chosen, 0.1).after


@pytest.mark.parametrize("share", [0.3, 0.1, 0.02])
def test_it_stops_where_no_longer_curriculum_could_gain_more(share: float):
    corpus, targets = problem(4, n=200, m=3, d=8)
    whole = select(corpus, targets, size=60)
    short = select(corpus, targets, size=60, stop=Stop(remaining=share))
    assert 8 <= len(short) < 60
    assert [pick.index for pick in short] == [pick.index for pick in whole[: len(short)]]
    start = float((targets**2).sum())
    assert short[-1].uncertainty - whole[-1].uncertainty <= share * start


@pytest.mark.parametrize("alpha", [0.15, 0.5])
def test_the_adaptive_rule_keeps_a_task_while_the_variance_is_below_its_line(alpha: float):
    corpus, targets = problem(6, n=200, m=1, d=8)
    whole = select(corpus, targets, size=60, noise=9.0)
    share = [pick.uncertainty / float((targets**2).sum()) for pick in whole]
    expected = next(n for n in range(60) if share[n] > 1 / (alpha * (n + 1)))
    assert 0 < expected < 59
    short = select(corpus, targets, size=60, noise=9.0, stop=Stop(adaptive=alpha))
    assert [pick.index for pick in short] == [pick.index for pick in whole[:expected]]
