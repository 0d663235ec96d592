"""Word problems with another number: the answer is computed anew, or the problem stays out."""

import os
import re
from fractions import Fraction
from pathlib import Path

import pytest

from ttc_eval.harness.variants import BUILT_IN
from ttc_rl.corpus.recomputed import Program, changeable, program_of, recomputed
from ttc_rl.corpus.sources import load_tasks
from ttc_rl.schema import Task

DATA = Path(os.environ["TTC_RL_TEST_DATA"])
CLIPS = Task(
    "math",
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "
    "May. How many clips did she sell altogether?",
    "72",
    meta={"solution": "In May 48/2 = <<48/2=24>>24.\nTogether 48+24 = <<48+24=72>>72."},
)


def test_the_answer_follows_the_number():
    other = recomputed(CLIPS)
    assert other
    number = int(re.findall(r"\d+", other.prompt)[0])
    assert number != 48
    assert number % 2 == 0  # half of it stays whole
    assert other.gold == str(number + number // 2)
    assert other.id != CLIPS.id
    assert "solution" not in other.meta
    assert recomputed(CLIPS) == other
    assert BUILT_IN["recomputed"] is recomputed


def test_a_result_that_was_changed_is_used_further_on():
    program = Program(["48/2", "48+24", "72*2"])
    assert program.run() == [24, 72, 144]
    assert program.run({Fraction(48): Fraction(10)}) == [5, 15, 30]


@pytest.mark.parametrize(
    ("prompt", "steps", "numbers"),
    [
        ("She has 5 apples and 7 pears.", ["5+7"], [5, 7]),
        ("She has 5 apples and 5 pears.", ["5+5"], []),  # which of them?
        ("She has 2 apples, he twice as many.", ["2*2"], []),  # twice is a 2 as well
        ("She has 5 apples, pays $7 and 10% more.", ["5*7"], [5]),
        ("She has 3 apples and 4 pears, 7 in a bag.", ["3+4", "7*7"], [3, 4]),  # 7 is a result
        ("It takes 90 minutes for 1.5 miles.", ["90/1.5"], [90]),
        ("Of 30 children 8 left.", ["30-2"], [30]),  # the program does not use 8
    ],
)
def test_numbers_that_may_be_another_are_left_alone(
    prompt: str, steps: list[str], numbers: list[int]
):
    assert list(changeable(prompt, Program(steps))) == numbers


@pytest.mark.parametrize(
    "solution",
    ["<<48/2=25>>", "<<48/0=24>>", "<<__import__('os')=1>>", "<<48**2=2304>>", "", "<<2*(3=6>>"],
)
def test_a_program_that_is_not_its_own_is_none(solution: str):
    task = Task("math", "48 friends", "24", meta={"solution": solution})
    assert program_of(task) is None
    assert recomputed(task) is None


@pytest.mark.parametrize("name", ["gsm8k_train", "svamp"])
def test_real_problems_stay_whole_and_the_program_gives_the_gold(name: str):
    path = DATA / "corpus" / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip("no task data here")
    tasks = load_tasks(str(path))[:600]
    pairs = [(task, other) for task in tasks if (other := recomputed(task))]
    assert len(pairs) > len(tasks) / 5
    for task, other in pairs:
        program = program_of(task)
        assert program
        old, new = (re.findall(r"\d+", one.prompt) for one in (task, other))
        (swap,) = {(a, b) for a, b in zip(old, new, strict=True) if a != b}
        after = program.run({Fraction(swap[0]): Fraction(swap[1])})
        assert Fraction(other.gold or "") == after[-1] != Fraction(task.gold or "")
        assert all(value >= 0 for value in after if value.denominator == 1)
