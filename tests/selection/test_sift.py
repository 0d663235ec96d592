"""SIFT against exact arithmetic, against its own plain form, and wherever its rows may lie."""

import operator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import problem
from threadpoolctl import ThreadpoolController

from ttc_rl.schema import UserError
from ttc_rl.selection import sift
from ttc_rl.selection.sift import greedy
from ttc_rl.vectors import Vectors


def assert_greedy(
    order: list[int],
    corpus: np.ndarray,
    targets: np.ndarray,
    noise: float | np.ndarray,
    *,
    repeat: bool = False,
) -> None:
    """Every pick has the largest gain, given the picks before, in exact rational arithmetic.

    By the whole posterior covariance of corpus and targets. Where float64 cannot tell two gains
    apart either may stand (the less noise, the more digits cancel); where they are equal, it must
    be the lower index, and of equal rows always.
    """
    rows = [[Fraction(float(value)) for value in row] for row in (*corpus, *targets)]
    cov = [[sum(map(operator.mul, a, b), Fraction(0)) for b in rows] for a in rows]
    n, noises = len(corpus), np.broadcast_to(noise, len(corpus)).tolist()
    noise = min(noises)
    nothing = float((targets**2).sum()) * max(1e-20, 1e-16 / noise)
    rounding, cancels = Fraction(1e-9 * max(1, 1e-3 / noise)), noise < 1e-3
    left = set(range(n))
    for pick in order:
        scales = {i: cov[i][i] + Fraction(noises[i]) for i in left}
        gains = {i: sum(cov[t][i] ** 2 for t in range(n, len(rows))) / scales[i] for i in left}
        best = max(gains.values())
        assert gains[pick] >= best * (1 - rounding) or best < nothing
        twins = [i for i in left if rows[i] == rows[pick] and noises[i] == noises[pick]]
        before = [i for i in left if i < pick and (i in twins or not cancels)]
        assert not any(gains[i] == gains[pick] for i in before)
        left -= set() if repeat else {pick}
        column = [row[pick] / scales[pick] for row in cov]
        source = [row[pick] for row in cov]
        cov = [
            [value - a * b for value, b in zip(row, source, strict=True)]
            for row, a in zip(cov, column, strict=True)
        ]


# Small whole numbers: exact duplicates, exact ties and zero vectors come up all the time.
vectors = st.lists(st.integers(-2, 2), min_size=4, max_size=4)
corpora = st.lists(vectors, min_size=8, max_size=14)
aims_of = st.lists(vectors, min_size=1, max_size=6)
NOISES = st.sampled_from([1e-6, 1e-3, 0.1, 1.0, 1e3])


@settings(max_examples=200, deadline=None)
@given(corpora, aims_of, NOISES)
def test_picks_equal_those_of_exact_arithmetic(rows: list, aims: list, noise: float):
    corpus, targets = np.array(rows, float), np.array(aims, float)
    assert_greedy(greedy(corpus, targets, 6, noise), corpus, targets, noise)
    drafted = greedy(corpus.astype(np.float32), targets, 6, noise, pools=(3, 1), blocks=(3, 1))
    assert_greedy(drafted, corpus, targets, noise)


@settings(max_examples=100, deadline=None)
@given(corpora, aims_of, st.lists(NOISES, min_size=14, max_size=14), st.booleans())
def test_every_task_may_have_a_noise_of_its_own_and_be_picked_again(
    rows: list, aims: list, noises: list, repeat: bool
):
    corpus, targets, noise = np.array(rows, float), np.array(aims, float), np.array(noises)
    noise = noise[: len(corpus)]
    for pools in ((), (3, 1)):
        order = greedy(corpus, targets, 6, noise, repeat=repeat, pools=pools, blocks=pools)
        assert_greedy(order, corpus, targets, noise, repeat=repeat)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("noise", [1e-6, 1e-2, 0.1, 10.0])
def test_drafting_on_pools_changes_nothing_but_the_time(seed: int, noise: float):
    corpus, targets = clustered(seed)
    plain = greedy(corpus, targets, 120, noise, pools=(), blocks=())
    assert greedy(corpus, targets, 120, noise, pools=(64, 16), blocks=(16, 4)) == plain


def clustered(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """600 rows around 12 centres, some of them twice and one of them nothing, and 40 targets."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 16))
    rows = centres[rng.integers(12, size=640)] + 0.3 * rng.normal(size=(640, 16))
    rows[200:240] = rows[100:140]
    rows[7] = 0
    return (rows[:600] / 4).astype(np.float32), rows[600:]


def test_only_rows_that_may_win_are_compared_in_float64():
    """Row 10 wins the second step, perhaps 11 does; 12 beats the pick too, but 10 beats it; 13
    would win the third step, which is never made."""
    least = np.array([[0.1, 0.1, 0.0, 0.0], [3.0, 2.5, 2.2, 0.0], [0.0, 0.0, 0.0, 9.0]])
    near = sift._Near(np.arange(10, 14), least, least + 0.6)
    assert near.possible_winners(np.array([2.0, 2.0, 2.0])).rows.tolist() == [10, 11]


SMALL = {"pools": (64, 16), "blocks": (16, 4)}


@pytest.mark.parametrize("targets_kept", [40, 5])
def test_where_the_rows_lie_and_what_counts_them_changes_no_pick(tmp_path, targets_kept: int):
    corpus, targets = clustered(0)
    targets, noise = targets[:targets_kept], np.linspace(0.05, 1, 600)
    picks = greedy(corpus, targets, 90, noise, **SMALL)
    assert greedy(corpus, targets, 90, noise, device="cpu", **SMALL) == picks
    assert greedy(corpus, targets, 90, noise, memory=0, **SMALL) == picks
    for cuts in ([100, 101, 350], [599]):
        paths = [tmp_path / f"{i}.npy" for i in range(len(cuts) + 1)]
        for path, part in zip(paths, np.split(corpus, cuts), strict=True):
            np.save(path, part)
        assert greedy(Vectors(paths), targets, 90, noise, **SMALL) == picks


@pytest.mark.parametrize("done", [1, 40, 89])
@pytest.mark.parametrize("noise", [1e-6, 0.1])
def test_it_goes_on_after_picks_made_earlier(done: int, noise: float):
    corpus, targets = clustered(1)
    picks = greedy(corpus, targets, 90, noise, **SMALL)
    rest = greedy(corpus, targets, 90, noise, before=picks[:done], **SMALL)
    assert picks[:done] + rest == picks


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"noise": 0.0}, "must be above 0"),
        ({"size": 601}, "601 different tasks requested of a corpus of 600"),
        ({"row": 9}, "corpus row 9 holds a value that is not finite"),
        ({"target": 2}, "targets' embeddings hold"),
    ],
)
def test_what_has_no_answer_is_refused(change: dict, said: str):
    corpus, targets = clustered(0)
    corpus[change.get("row", slice(0, 0)), 3] = np.nan
    targets[change.get("target", slice(0, 0)), 3] = np.inf
    with pytest.raises(UserError, match=said):
        greedy(corpus, targets, change.get("size", 5), change.get("noise", 0.1))


def test_more_threads_pick_the_same(monkeypatch):
    """Tiles of a large corpus are worked on beside each other."""
    rng = np.random.default_rng(0)
    corpus, targets = rng.normal(size=(20_000, 16)).astype(np.float32), rng.normal(size=(3, 16))
    one = greedy(corpus, targets, 60, 0.1)
    monkeypatch.setattr(sift._TileWorkers, "__init__", _three_workers)
    assert greedy(corpus, targets, 60, 0.1) == one


def _three_workers(self, xp) -> None:
    self.blas, self.workers = ThreadpoolController().select(user_api="blas"), 3


def test_ties_go_to_the_lowest_index_and_nothing_is_picked_twice():
    corpus, targets = problem(0, n=5)
    doubled = np.concatenate([corpus, corpus])
    order = greedy(doubled, targets, 10, 0.1)
    assert sorted(order) == list(range(10))
    assert order[0] < 5


def test_a_duplicate_of_a_pick_gains_less_than_an_equally_similar_new_task():
    target = np.array([[1.0, 0.0, 0.0]])
    corpus = np.array([[0.8, 0.6, 0.0], [0.8, 0.6, 0.0], [0.8, 0.0, 0.6]])
    assert greedy(corpus, target, 2, 0.1) == [0, 2]


def test_with_large_noise_sift_orders_by_summed_squared_similarity():
    corpus, targets = problem(3, n=40, m=1)
    expected = np.argsort(-((corpus @ targets.T) ** 2).sum(axis=1), kind="stable")
    assert greedy(corpus, targets, 10, 1e9) == expected[:10].tolist()
