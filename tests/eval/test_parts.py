"""Addresses, windows of days, and random parts that are the same every time."""

import pytest

from ttc_rl.corpus.addresses import Address, address, drawn, narrowed, shown
from ttc_rl.corpus.benchmark_config import BenchmarkConfig
from ttc_rl.schema import Task, UserError

CONFIG = BenchmarkConfig.model_validate(
    {
        "description": "d",
        "file": "f.jsonl",
        "subset": "level",
        "date": "day",
        "release": "v1",
        "releases": {"v1": {"config": "r1", "size": 4}},
    }
)
DAYS = ["2024-07-31", "2024-08-01", "2024-09-30", "2024-10-01"]
TASKS = [
    Task("math", f"task {i}", "1", meta={"day": day, "level": ["easy", "hard"][i % 2]})
    for i, day in enumerate(DAYS)
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", Address("a", "a")),
        ("a/x+y", Address("a/x+y", "a", ("x+y",))),
        (
            "a/v6/2024-08..2025-02",
            Address("a/v6/2024-08..2025-02", "a", ("v6", "2024-08..2025-02")),
        ),
        ("a/x@20", Address("a/x@20", "a", ("x",), 20)),
        ("a@20=b/c=d.jsonl", Address("a@20", "a", (), 20, "b/c=d.jsonl")),
    ],
)
def test_an_address_is_taken_apart(text: str, expected: Address):
    assert address(text) == expected


@pytest.mark.parametrize("text", ["", "/x", "a@", "a@x", "a=", "a//b", "a b"])
def test_what_is_no_address_is_told(text: str):
    with pytest.raises(UserError, match=r"addressed as NAME\[/PART\]"):
        address(text)


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        ("2024-08..2024-09", [1, 2]),
        ("2024-08-01..2024-08-01", [1]),
        ("2024-09..", [2, 3]),
        ("..2024-07", [0]),
        ("hard", [1, 3]),
        ("hard+easy", [0, 1, 2, 3]),
        ("hard/2024-08..", [1, 3]),
        ("v1/easy/..2024-08", [0]),
    ],
)
def test_pieces_narrow_one_after_another(piece: str, expected: list[int]):
    assert narrowed(TASKS, address(f"a/{piece}"), CONFIG) == [TASKS[i] for i in expected]


def test_a_window_without_tasks_says_what_there_is():
    with pytest.raises(UserError, match="its days go from 2024-07-31 to 2024-10-01"):
        narrowed(TASKS, address("a/2025-01..2025-02"), CONFIG)


def test_a_release_is_offered_where_a_part_is_misspelt():
    with pytest.raises(UserError, match="'v2'; known: v1, easy, hard"):
        narrowed(TASKS, address("a/v2"), CONFIG)


MANY = [Task("math", f"task {i}", "1") for i in range(300)]


def test_a_draw_is_the_same_whatever_the_order_of_the_tasks_and_keeps_theirs():
    chosen = drawn(MANY, 40, "a@40")
    assert chosen == sorted(chosen, key=MANY.index)
    assert {t.id for t in drawn(MANY[::-1], 40, "a@40")} == {t.id for t in chosen}
    assert chosen[0].prompt == "task 8"  # on every machine


def test_a_smaller_draw_is_within_a_larger_one_and_no_stretch_is_preferred():
    small, large = (drawn(MANY, n, "a") for n in (50, 100))
    assert set(map(MANY.index, small)) <= set(map(MANY.index, large))
    assert 30 < sum(MANY.index(task) < 150 for task in large) < 70


@pytest.mark.parametrize("count", [0, 301])
def test_a_draw_that_cannot_be_is_refused(count: int):
    with pytest.raises(UserError, match=f"{count} tasks requested; there are 300"):
        drawn(MANY, count, "a")


def test_a_paragraph_without_its_field_is_left_out():
    template = "{prompt}\n\nBegin with\n{meta.code}\n\nTest: {tests.0.code}"
    test = ({"type": "assert", "code": "assert {prompt}"},)
    bare, full = (Task("code", "a\n\nb", tests=test, meta=m) for m in ({}, {"code": "  def f"}))
    assert shown(bare, template) == "a\n\nb\n\nTest: assert {prompt}"
    assert shown(full, template) == "a\n\nb\n\nBegin with\n  def f\n\nTest: assert {prompt}"
