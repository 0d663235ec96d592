from dataclasses import astuple

import numpy as np
import pytest

from ttc_rl.metrics import elo


def contest(rng: np.random.Generator, theta: float, noise: float = 0.0, problems: int = 200):
    ratings = rng.uniform(800, 2400, problems)
    real = ratings + rng.normal(0, noise, problems) if noise else ratings
    return ratings.tolist(), rng.binomial(8, 1 / (1 + 10 ** ((real - theta) / 400))).tolist()


def test_a_planted_rating_is_found():
    ratings, solved = contest(np.random.default_rng(0), 1500.0, problems=4000)
    assert elo(ratings, solved, 8).value == pytest.approx(1500, abs=8)


def test_the_maximum_is_where_a_grid_finds_it():
    ratings, solved = contest(np.random.default_rng(1), 1200.0, problems=20)
    grid = np.arange(0, 3000, 0.5)
    chance = 1 / (1 + 10 ** ((np.array(ratings) - grid[:, None]) / 400))
    c = np.array(solved)
    loglik = (c * np.log(chance) + (8 - c) * np.log(1 - chance)).sum(axis=1)
    assert elo(ratings, solved, 8).value == pytest.approx(grid[loglik.argmax()], abs=0.5)


@pytest.mark.parametrize("noise", [0.0, 300.0])
def test_the_interval_covers_also_where_ratings_say_little(noise: float):
    rng = np.random.default_rng(2)
    found = [elo(*contest(rng, 1500.0, noise, 40), 8) for _ in range(300)]
    inside = np.mean([(e.lo or 0) <= 1500 <= (e.hi or 0) for e in found])
    assert inside == pytest.approx(0.95, abs=0.035)


def test_all_or_none_solved_is_a_bound_and_never_infinity():
    none, every = elo([1000.0] * 30, [0] * 30, 4), elo([1000.0] * 30, [4] * 30, 4)
    assert (none.value, none.lo, every.value, every.hi) == (None, None, None, None)
    assert none.hi is not None
    assert every.lo is not None
    chance = 1 / (1 + 10 ** ((1000 - none.hi) / 400))
    assert (1 - chance) ** 30 == pytest.approx(0.025)
    assert every.lo == pytest.approx(2000 - none.hi)
    assert "no finite Elo" in none.note


def test_one_problem_has_no_interval():
    assert astuple(elo([1200.0], [4], 8)) == (pytest.approx(1200), None, None, "")
