"""Everyday questions: right golds, disjoint splits, what is planted, the same for the same seed."""

import itertools
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest

from ttc_rl.config import EverydayConfig
from ttc_rl.corpus.benchmarks import load_benchmark
from ttc_rl.corpus.everyday import FAMILIES, MONTHS, SPLITS, WEEKDAYS, make_everyday
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import verify

SAMPLE = make_everyday(EverydayConfig(tasks_per_family=40))


def contents(split: str) -> set[tuple[str, str]]:
    tasks = make_everyday(EverydayConfig(split=split, tasks_per_family=200))
    return {(task.meta["family"], task.meta["content"]) for task in tasks}


def test_there_are_a_dozen_families_and_more():
    assert len(FAMILIES) >= 12
    counts = Counter(task.meta["family"] for task in SAMPLE)
    assert counts.keys() == FAMILIES.keys()
    assert min(counts.values()) >= 20


def test_no_content_is_in_two_splits():
    for one, other in itertools.combinations(SPLITS, 2):
        assert not contents(one) & contents(other)


def test_the_same_seed_gives_the_same_tasks_and_another_seed_others():
    first, again = (make_everyday(EverydayConfig(tasks_per_family=10)) for _ in range(2))
    assert first == again
    assert first != make_everyday(EverydayConfig(tasks_per_family=10, seed=1))


@pytest.mark.parametrize("task", SAMPLE[::9], ids=lambda task: task.source)
def test_the_solution_is_accepted_and_silence_is_not(task: Task):
    assert verify(task, task.meta["solution"]).correct is True
    assert verify(task, f"{task.meta['solution']} or 7").correct is False
    assert verify(task, "").correct is False


def numbers(task: Task) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", task.prompt)]


def by_hand(task: Task) -> str | None:
    """The answer worked out from the prompt alone; None for families of words."""
    n, family = numbers(task), task.meta["family"]
    if family in ("sum", "gained"):
        return str(n[0] + n[1])
    if family in ("difference", "given-away"):
        return str(n[0] - n[1])
    if family in ("product", "boxes"):
        return str(n[0] * n[1])
    if family == "quotient":
        return str(n[0] // n[1])
    if family == "sequence":
        return str(n[3] + n[3] - n[2])
    if family == "growing":
        return str(n[3] + n[3] - n[2] + 1)
    if family in ("largest", "smallest", "middle"):
        return str(
            {"largest": max(n), "smallest": min(n), "middle": sorted(n)[len(n) // 2]}[family]
        )
    if family in ("sort-numbers", "sort-down"):
        return ", ".join(map(str, sorted(n, reverse=family == "sort-down")))
    if family == "clock":
        hour, minute, later = n if ":" in task.prompt.split(" minutes after")[0] else n[1:] + n[:1]
        then = datetime(2000, 1, 1, hour, minute) + timedelta(minutes=later)
        return f"{int(then.strftime('%I'))}:{then.minute:02}"
    if family.startswith("days"):
        day = next(i for i, name in enumerate(WEEKDAYS) if name in task.prompt)
        return WEEKDAYS[(day + n[0] * (1 if family == "days-after" else -1)) % 7]
    if family == "months-after":
        month = next(i for i, name in enumerate(MONTHS) if name in task.prompt)
        return MONTHS[(month + n[0]) % 12]
    return None


def test_golds_are_what_the_prompt_asks_for():
    checked = Counter[str]()
    for task in SAMPLE:
        answer = by_hand(task) if "minutes after" not in task.prompt else None
        if answer is not None:
            assert task.gold == answer, task.prompt
            checked[task.meta["family"]] += 1
    assert len(checked) == 18


def test_echoes_repeat_a_quarter_of_the_contents_in_the_same_words():
    plain = make_everyday(EverydayConfig(tasks_per_family=60))
    told = make_everyday(EverydayConfig(tasks_per_family=60, echoes=3))
    assert len({task.id for task in told}) == len(told)
    of = defaultdict[tuple[str, str], list[Task]](list)
    for task in told:
        of[task.meta["family"], task.meta["content"]].append(task)
    assert {len(tasks) for tasks in of.values()} == {1, 4}
    share = sum(len(tasks) == 4 for tasks in of.values()) / len(of)
    assert 0.15 < share < 0.35
    first, *echoes = next(tasks for tasks in of.values() if len(tasks) == 4)
    original = min([first, *echoes], key=lambda task: len(task.prompt))
    assert all(task.prompt.endswith(original.prompt) for task in echoes)
    assert all("echo" not in task.meta for task in plain)


def test_it_is_a_benchmark_with_parts():
    assert len(load_benchmark("everyday/sequence").tasks) == 64
    assert load_benchmark("everyday/sum+difference").tasks[0].kind == "exact"


def test_an_unknown_family_is_named():
    with pytest.raises(UserError, match="no everyday family 'juggle'"):
        make_everyday(EverydayConfig(families=["juggle"]))
