import numpy as np
import pytest

from ttc_eval.compare.carried import changed, retained
from ttc_eval.compare.flips import flips, mcnemar

AVG = dict.fromkeys(("t", "t~x", "other", "same"), "avg@4")


def rows(values: list[float], names: str = "", of: list[str] | None = None):
    ids = list(names) or [f"r{i}" for i in range(len(values))]
    made = [{"task_id": i, "avg@4": v} for i, v in zip(ids, values, strict=True)]
    return made if of is None else [r | {"variant_of": o} for r, o in zip(made, of, strict=True)]


def test_a_gain_that_carries_over_half_is_told_as_a_half():
    before, after = [0.0, 0.25, 0.0, 0.25] * 8, [0.75, 1.0, 0.75, 0.75] * 8
    ids = [f"o{i}" for i in range(32)]
    target = {
        m: [{"task_id": i, "avg@4": v} for i, v in zip(ids, values, strict=True)]
        for m, values in (("base", before), ("sift", after))
    }
    half = [b + (a - b) / 2 for a, b in zip(after, before, strict=True)]
    back = list(reversed(range(32)))  # pairs are told by the id, not by the place
    variant = {
        m: rows([values[i] for i in back], of=[ids[i] for i in back])
        for m, values in (("base", before), ("sift", half))
    }
    found = changed("t", {"t": target, "t~x": variant}, AVG)["t~x"]["sift"]
    assert found.tasks == 32
    assert found.as_is.value == pytest.approx(np.mean(after) - np.mean(before))
    assert found.ratio.value == pytest.approx(0.5)
    assert found.ratio.lo == pytest.approx(found.ratio.hi)  # every task carries half


def test_a_gain_that_is_not_there_has_no_share_that_carried_over():
    target = {m: rows([0.5, 0.25, 0.5], "abc") for m in ("base", "sift")}
    variant = {m: rows([0.5, 0.25, 0.5], "xyz", list("abc")) for m in ("base", "sift")}
    assert changed("t", {"t": target, "t~x": variant}, AVG)["t~x"]["sift"].ratio is None
    assert changed("t", {"t": target}, AVG) == {}


def test_what_was_lost_elsewhere_is_told_and_the_target_and_its_relatives_do_not_count():
    target = {m: rows([0.5, 0.5], "ab") for m in ("base", "sift")}
    overlapping = {m: rows([0.5, 0.5], "bz") for m in ("base", "sift")}
    other = {"base": rows([0.75, 0.5], "xy"), "sift": rows([0.25, 0.5], "xy")}
    variant = {m: rows([0.5, 0.5], "vw", list("ab")) for m in ("base", "sift")}
    benchmarks = {"t": target, "same": overlapping, "other": other, "t~x": variant}
    found = retained("t", benchmarks, AVG)
    assert list(found["sift"].benchmarks) == ["other"]
    assert found["sift"].worst == "other"
    assert found["sift"].benchmarks["other"].value == pytest.approx(-0.25)
    assert found["sift"].benchmarks["other"].before == pytest.approx(0.625)


def test_tasks_that_change_hands_are_counted_each_way():
    before, after = np.array([0.0, 0.25, 1.0, 0.75, 0.5]), np.array([1.0, 0.25, 0.0, 0.5, 0.75])
    found = flips(after, before, list("abcde"))
    assert (found.up, found.down, found.first, found.lost) == (2, 2, 1, 1)
    assert (found.majority_up, found.majority_down, found.p) == (2, 2, 1.0)
    assert [task.prompt for task in found.most_changed] == ["a", "e", "c", "d"]


@pytest.mark.parametrize(("gained", "lost"), [(0, 5), (3, 4), (8, 1), (1, 1)])
def test_mcnemar_is_a_count_of_coin_throws(gained: int, lost: int):
    total = gained + lost
    far = abs(gained - total / 2)
    counted = (
        sum(abs(bin(throw).count("1") - total / 2) >= far for throw in range(2**total)) / 2**total
    )
    assert mcnemar(gained, lost) == pytest.approx(counted)
    assert mcnemar(0, 0) is None
