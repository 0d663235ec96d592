"""Final answers of mathematics, by a table checked by hand and by every gold we have."""

import json
import os
import random
import threading
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_rl import load_tasks, verify, verify_many
from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers import equivalence_classes, latex

GOLDEN = Path(__file__).parents[1] / "golden" / "maths.jsonl"
DATA = Path(os.environ.get("TTC_RL_DATA", Path(__file__).parents[3] / "shared" / "data"))
BENCHMARKS = ["aime2024", "aime2025", "math500", "gsm8k_test"]


def boxed(answer: str) -> str:
    return rf"so it is \boxed{{{answer}}}"


def task(gold: str | None) -> Task:
    return Task("math", "?", gold)


def test_the_table_checked_by_hand():
    rows = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    completions = [
        row["completion"] if "completion" in row else boxed(row["answer"]) for row in rows
    ]
    verdicts = verify_many([task(row["gold"]) for row in rows], completions)
    expected = [(row["correct"], row.get("status", "ok")) for row in rows]
    wrong = [
        f"{row}: {verdict}"[:300]
        for row, verdict, want in zip(rows, verdicts, expected, strict=True)
        if (verdict.correct, verdict.status) != want
    ]
    assert len(rows) >= 60
    assert wrong == []


def test_what_a_verdict_says():
    assert verify(task("5"), "five") == Verdict(
        False, None, r"no balanced, non-empty \boxed{...}", "no_answer"
    )
    assert verify(task("5"), "<think> ...").reason == "the reasoning was never closed"
    assert verify(task("3/4"), boxed(r"\frac34")) == Verdict(True, r"\frac34")
    assert verify(task("~~"), boxed("3")) == Verdict(None, "3", "gold unreadable: '~~'")
    assert verify(task(None), boxed("3")).correct is None


def test_it_works_in_another_thread():
    found: list[Verdict] = []
    thread = threading.Thread(target=lambda: found.append(verify(task("(x+1)^2"), boxed("x^2+1"))))
    thread.start()
    thread.join()
    assert found == [Verdict(False, "x^2+1")]


def test_alike_answers_vote_together_and_silence_does_not_vote():
    answers = ["1/2", None, r"\frac12", r"\sqrt{4}", "2", "0.5", None, "x", "50\\%"]
    assert equivalence_classes(task("2"), answers) == [0, None, 0, 1, 1, 0, None, 2, 0]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{1} \boxed{2", "1"),
        (r"\boxed{\frac{1}{2}} {", r"\frac{1}{2}"),
        (r"{ \boxed{a}", "a"),
        (r"} \boxed{a}", "a"),
        (r"\boxed{\{1\}}", r"\{1\}"),
        (r"\boxed{\}}", r"\}"),
        (r"\boxed{ }", None),
        (r"\boxed{a{b}", None),
        ("\\boxed\n{a}", "a"),
    ],
)
def test_the_last_balanced_box(text: str, content: str | None):
    assert latex.last_boxed(text) == content


def test_a_long_completion_of_boxes_is_read_in_one_pass():
    assert latex.last_boxed(r"\boxed{" * 200_000 + "7}") == "7"


@given(st.fractions(), st.sampled_from([r"\frac{%d}{%d}", r"\dfrac{%d}{%d}", "%d/%d", "(%d)/(%d)"]))
def test_fractions_are_read_exactly(value: Fraction, spelling: str):
    text = latex.tidy(spelling % (value.numerator, value.denominator))
    assert latex.rational(text) == value


@given(st.integers())
def test_thousands_separators_change_nothing(value: int):
    for separator in (",", "{,}", r"\,", r"\!"):
        assert latex.rational(latex.tidy(f"{value:,}".replace(",", separator))) == value


@pytest.mark.parametrize(
    "text", ["", "x", "1 2", "2(3)", r"1\frac12", "1/0", "2^{0.5}", "9^{9^{9}}", "1,2", "5 cm", "("]
)
def test_what_is_not_one_exact_number(text: str):
    assert latex.rational(text) is None


# --------------------------------------------------------------------------- every gold we have


@pytest.mark.skipif(not DATA.is_dir(), reason="no task data here")
def test_golds_of_every_source_are_accepted_and_silence_and_other_golds_are_not():
    """At most 300 tasks a source. Counted too: golds that math-verify cannot read on their own."""
    failures: dict[str, list[str]] = {}
    counts: dict[str, tuple[int, int]] = {}
    files = [*(DATA / "corpus").iterdir(), *(DATA / f"benchmarks/{b}.jsonl" for b in BENCHMARKS)]
    for path in sorted(files):
        tasks = [task for task in load_tasks(str(path)) if task.kind == "math"]
        if not tasks:
            continue
        tasks = random.Random(0).sample(tasks, min(300, len(tasks)))
        others = [
            next(o for o in tasks[i + 1 :] + tasks if different(o.gold, task.gold))
            for i, task in enumerate(tasks)
        ]
        accepted = verify_many(tasks, [boxed(str(task.gold)) for task in tasks])
        silent = verify_many(tasks, [""] * len(tasks))
        rejected = verify_many(tasks, [boxed(str(other.gold)) for other in others])
        failures[path.name] = [
            f"{t.meta['id']}: gold {t.gold!r}, other {o.gold!r}: {a.correct}, {s.correct}, {r}"
            for t, o, a, s, r in zip(tasks, others, accepted, silent, rejected, strict=True)
            if (a.correct, s.correct) != (True, False) or r.correct is True
        ]
        counts[path.name] = len(tasks), sum(v.correct is None for v in rejected)
    for name, (number, unreadable) in counts.items():
        print(f"{name}: {number} golds, {unreadable} unreadable")  # noqa: T201
    assert {name: lines for name, lines in failures.items() if lines} == {}


def different(gold: str | None, other: str | None) -> bool:
    """Surely not the same answer: their numbers differ, however they are dressed."""
    numbers = [latex.rational(bare(str(text))) for text in (gold, other)]
    if None in numbers:
        return bare(str(gold)) != bare(str(other))
    return numbers[0] != numbers[1]


def bare(text: str) -> str:
    """`n = 4` and `4` are the same answer, and so are `10 %` and `10`."""
    return latex.tidy(text.rpartition("=")[2].replace("%", "").replace("\\", "").strip())
