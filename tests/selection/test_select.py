"""One call for every way of selecting: objectives, weights, difficulty, refusals."""

from pathlib import Path

import numpy as np
import pytest
from problems import posterior_variance, problem

from ttc_rl.schema import UserError
from ttc_rl.selection import METHODS, Stop, greedy, select, select_each
from ttc_rl.selection.difficulty import in_band, noise_of
from ttc_rl.selection.influence import Influence
from ttc_rl.vectors import Vectors


def rows_of(*arguments, **options) -> list[int]:
    return [pick.index for pick in select(*arguments, **options)]


def test_many_targets_are_the_same_as_their_compressed_form():
    corpus, targets = problem(7, n=50, m=40, d=6)
    picks = select(corpus, targets, size=10)
    left = posterior_variance(corpus[[p.index for p in picks]], targets, 0.1)
    assert picks[-1].uncertainty == pytest.approx(left)
    assert sum(p.gain for p in picks) == pytest.approx((targets**2).sum() - left)


@pytest.mark.parametrize("seed", range(6))
def test_minimax_takes_what_leaves_the_worst_target_best_off(seed: int):
    corpus, targets = problem(seed, n=30, m=4, d=6)
    chosen: list[int] = []

    def worst(rows: list[int]) -> float:
        return max(posterior_variance(corpus[rows], target[None], 0.1) for target in targets)

    for pick in select(corpus, targets, size=8, objective="max"):
        options = {i: worst([*chosen, i]) for i in range(30) if i not in chosen}
        assert options[pick.index] == pytest.approx(min(options.values()), abs=1e-12)
        assert pick.gain == pytest.approx(worst(chosen) - options[pick.index], abs=1e-9)
        chosen.append(pick.index)
    rest = rows_of(corpus, targets, size=8, objective="max", before=chosen[:5])
    assert rest == chosen


def test_minimax_leaves_the_worst_target_better_off_than_the_sum_does():
    corpus = np.concatenate([np.tile([1.0, 0.1, 0], (20, 1)), [[0, 0.3, 1.0]]])
    targets = np.array([[1.0, 0, 0], [1, 0.1, 0], [0, 0, 1]])
    assert 20 in rows_of(corpus, targets, size=2, objective="max")


def test_the_mean_picks_as_the_sum_and_weights_count_as_copies():
    corpus, targets = problem(2, n=60, m=3)
    total, mean = (select(corpus, targets, size=9, objective=o) for o in ("sum", "mean"))
    assert [p.index for p in total] == [p.index for p in mean]
    assert mean[-1].uncertainty == pytest.approx(total[-1].uncertainty / 3)
    copies = np.repeat(targets, [1, 3, 2], axis=0)
    assert rows_of(corpus, targets, size=9, weights=[1, 3, 2]) == rows_of(corpus, copies, size=9)


def test_hopeless_and_trivial_tasks_fade():
    corpus, targets = problem(1, n=40, m=2)
    success = np.random.default_rng(0).uniform(size=40)
    assert noise_of(np.array([0.5, 0.0, 1.0, 0.1]), 0.1) == pytest.approx(
        [0.1, 25.025, 25.025, 0.1 * 0.25 / 0.09], rel=1e-3
    )
    picks = rows_of(corpus, targets, size=10, method="difficulty", success=success)
    assert picks == greedy(corpus, targets, 10, noise_of(success, 0.1))
    even = rows_of(corpus, targets, size=10, method="difficulty", success=np.full(40, 0.5))
    assert even == rows_of(corpus, targets, size=10)


def test_the_band_is_filled_with_those_nearest_to_its_middle():
    success = np.array([0.0, 0.25, 0.6, 0.61, 0.9, 0.4, 0.2])
    assert in_band(success, 2).tolist() == [1, 2, 5]
    assert in_band(success, 5).tolist() == [1, 2, 3, 5, 6]
    corpus, targets = problem(3, n=7, m=2)
    picks = select(corpus, targets, size=3, method="band", success=success, ids=list("abcdefg"))
    assert {pick.task_id for pick in picks} == {"b", "c", "f"}
    again = select(corpus, targets, size=3, method="band", success=success, before=[picks[0].index])
    assert [pick.index for pick in again] == [pick.index for pick in picks]


def test_each_target_alone_is_as_if_it_were_the_only_one():
    corpus, targets = problem(4, n=300, m=20, d=12)
    each = list(select_each(corpus, targets, size=7))
    assert each == [rows_of(corpus, target[None], size=7) for target in targets]


@pytest.mark.parametrize("method", METHODS)
def test_a_corpus_on_disk_is_selected_from_by_every_method(tmp_path: Path, method: str):
    corpus, targets = problem(5, n=80, m=3, d=8)
    np.save(tmp_path / "a.npy", corpus[:50])
    np.save(tmp_path / "b.npy", corpus[50:])
    table = Vectors([tmp_path / "a.npy", tmp_path / "b.npy"])
    known = {
        "success": np.linspace(0, 1, 80),
        "corpus_groups": ["x"] * 80,
        "target_groups": ["x"] * 3,
        "corpus_kinds": ["math"] * 80,
        "target_kinds": ["math"] * 3,
        "features": Influence(np.arange(80), [corpus], [targets], [1.0], ["a"] * 3),
    }
    asked = {"size": 12, "method": method, **known}
    assert rows_of(table, targets, **asked) == rows_of(corpus, targets, **asked)


def test_picks_say_which_target_they_are_nearest_to():
    corpus = np.eye(3)
    picks = select(corpus, np.eye(3)[[2, 0]], size=2, ids=["a", "b", "c"])
    assert [(p.task_id, p.nearest_target, p.similarity) for p in picks] == [
        ("a", 1, 1.0),
        ("c", 0, 1.0),
    ]


def test_a_listener_hears_all_picks_so_far():
    corpus, targets = problem(0)
    heard: list[list[int]] = []
    picks = rows_of(corpus, targets, size=5, progress=lambda rows: heard.append(list(rows)))
    assert heard == [picks[: n + 1] for n in range(5)]


@pytest.mark.parametrize(
    ("n", "m", "size", "said"),
    [(5, 2, 6, "lower the size"), (5, 0, 2, "no target")],
)
def test_impossible_selections_are_refused(n: int, m: int, size: int, said: str):
    with pytest.raises(UserError, match=said):
        select(np.eye(8)[:n], np.eye(8)[:m], size=size)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "sfit"}, "no selection method 'sfit'; there are sift, "),
        ({"method": "band"}, "no estimate of how often the model solves"),
        ({"method": "difficulty", "success": [0.5]}, "one number a corpus task"),
        ({"method": "difficulty", "success": [1.5] * 25}, "between 0 and 1"),
        ({"method": "oracle"}, "oracle needs corpus_groups"),
        ({"method": "nearest", "stop": Stop(adaptive=0.3)}, "stop: nearest cannot do that"),
        ({"method": "random", "repeat": True}, "repeat: random cannot do that"),
        ({"method": "top", "objective": "max"}, "objective max: top cannot do that"),
        ({"objective": "max", "device": "cpu"}, "runs on the host only"),
        ({"weights": [1, -1, 1, 1]}, "none below 0"),
        ({"weights": [1] * 4, "objective": "max"}, "the largest has none"),
    ],
)
def test_what_a_method_needs_is_asked_for(options: dict, said: str):
    with pytest.raises(UserError, match=said):
        select(*problem(0), size=3, **options)


def test_a_stop_is_one_rule():
    for wrong in ({}, {"remaining": 0.1, "adaptive": 0.2}, {"adaptive": 0.0}):
        with pytest.raises(UserError, match=r"selection\.stop needs one of"):
            Stop(**wrong)
