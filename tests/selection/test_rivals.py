"""The arms beside SIFT, each against a plainer form or a problem whose answer is known."""

import itertools

import numpy as np
import pytest
from problems import problem

from ttc_rl.schema import UserError
from ttc_rl.selection import Problem, select
from ttc_rl.selection.hull import hull, hull_weights
from ttc_rl.selection.shares import cluster_shares, whole_numbers


def rows_of(*arguments, **options) -> list[int]:
    return [pick.index for pick in select(*arguments, **options)]


def test_nearest_takes_each_targets_best_in_turn():
    corpus = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.2, 0.8]], dtype=float)
    targets = np.array([[1, 0], [0, 1]], dtype=float)
    assert rows_of(corpus, targets, size=3, method="nearest") == [0, 2, 1]


def test_top_ranks_by_the_mean_cosine():
    corpus, targets = problem(2, n=30, m=3)
    expected = np.argsort(-(corpus @ targets.T).mean(axis=1), kind="stable")[:8]
    assert rows_of(corpus, targets, size=8, method="top") == expected.tolist()


def test_random_is_seeded_and_oracle_takes_only_the_targets_groups():
    corpus, targets = problem(1, n=30)
    one, two = (rows_of(corpus, targets, size=9, method="random", seed=s) for s in (1, 1))
    assert one == two
    assert one != rows_of(corpus, targets, size=9, method="random", seed=2)
    groups = ["ab"[i % 2] for i in range(30)]
    arguments = {"corpus_groups": groups, "target_groups": ["b"] * 4}
    picks = rows_of(corpus, targets, size=9, method="oracle", **arguments)
    assert {groups[row] for row in picks} == {"b"}
    with pytest.raises(UserError, match="holds 15 tasks of the targets' groups"):
        select(corpus, targets, size=16, method="oracle", **arguments)
    kinds = {"corpus_kinds": groups, "target_kinds": ["a"] * 4}
    within = rows_of(corpus, targets, size=9, method="random-within-kind", **kinds)
    assert {groups[row] for row in within} == {"a"}


def test_facility_location_is_near_the_best_of_all_sets_and_goes_round_again():
    corpus, targets = problem(3, n=12, m=4)
    cosine = corpus @ targets.T
    picks = rows_of(corpus, targets, size=12, method="facility")
    assert sorted(picks) == list(range(12))

    def value(rows) -> float:
        return cosine[list(rows)].max(axis=0).sum() + 4  # from -1 up

    best = max(value(rows) for rows in itertools.combinations(range(12), 3))
    assert value(picks[:3]) >= (1 - 1 / np.e) * best
    nearest = set(cosine.argmax(axis=0).tolist())
    assert set(picks[: len(nearest)]) == nearest


def test_kmeans_plus_plus_spreads_and_survives_a_corpus_of_few_different_tasks():
    corpus = np.repeat(np.eye(4), 10, axis=0)
    first = rows_of(corpus, np.eye(4)[:1], size=4, method="kmeans++", seed=3)
    assert sorted(row // 10 for row in first) == [0, 1, 2, 3]
    every = rows_of(corpus, np.eye(4)[:1], size=40, method="kmeans++", seed=3)
    assert sorted(every) == list(range(40))


@pytest.mark.parametrize("seed", range(4))
def test_uncertainty_maximises_the_log_determinant_step_by_step(seed: int):
    corpus, targets = problem(seed, n=20, m=2, d=5)
    corpus = corpus * np.linspace(0.5, 2, 20)[:, None]

    def information(rows: list[int]) -> float:
        return np.linalg.slogdet(np.eye(5) + corpus[rows].T @ corpus[rows] / 0.1)[1]

    chosen: list[int] = []
    for row in rows_of(corpus, targets, size=8, method="uncertainty"):
        rest = [i for i in range(20) if i not in chosen]
        assert information([*chosen, row]) == pytest.approx(
            max(information([*chosen, i]) for i in rest)
        )
        chosen.append(row)


def test_shares_find_the_mixture_that_the_targets_were_drawn_from():
    rng = np.random.default_rng(0)
    axes = [np.diag(np.where(np.arange(9) // 3 == block, 1.0, 0.02)) for block in range(3)]
    clusters = [rng.normal(size=(4000, 9)) @ axis for axis in axes]
    mixture = [0.6, 0.3, 0.1]
    targets = np.concatenate(
        [rng.normal(size=(int(4000 * p), 9)) @ axis for p, axis in zip(mixture, axes, strict=True)]
    )
    assert cluster_shares(clusters, targets) == pytest.approx(mixture, abs=0.05)


def test_qp_draws_from_the_clusters_that_lie_as_the_targets_do():
    rng = np.random.default_rng(1)
    corpus = np.concatenate([rng.normal(c, 0.1, size=(50, 6)) for c in 3 * np.eye(6)])
    targets = rng.normal(3 * np.eye(6)[0], 0.1, size=(10, 6))
    picks = rows_of(corpus, targets, size=30, method="qp")
    assert picks == rows_of(corpus, targets, size=30, method="qp")
    assert sum(row < 50 for row in picks) >= 24


def test_whole_numbers_sum_up_and_respect_what_is_there():
    assert whole_numbers(np.array([0.5, 0.3, 0.2]), 7, np.array([9, 9, 9])).tolist() == [4, 2, 1]
    assert whole_numbers(np.array([0.9, 0.1, 0.0]), 7, np.array([3, 2, 9])).tolist() == [3, 2, 2]


@pytest.mark.parametrize("seed", range(4))
def test_hull_weights_rebuild_targets_that_lie_in_the_hull(seed: int):
    rng = np.random.default_rng(seed)
    corpus = rng.normal(size=(40, 6))
    targets = rng.dirichlet(np.ones(3), size=5) @ corpus[:3]
    weights = hull_weights(Problem(corpus, targets, 10))
    assert weights.min() >= 0
    assert weights.sum(axis=0) == pytest.approx(np.ones(5))
    assert np.linalg.norm(weights.T @ corpus - targets) < 0.15 * np.linalg.norm(targets)


def test_hull_repeats_a_task_as_often_as_its_weight_says():
    corpus, targets = np.eye(4), np.array([[0.75, 0.25, 0.0, 0.0]])
    assert hull(Problem(corpus, targets, 4)) == [0, 1, 0, 0]
