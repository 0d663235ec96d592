"""Final answers of mathematics, by a table checked by hand and by every gold we have."""

import json
import threading
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_rl import verify, verify_many
from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers import BUILT_IN, latex, maths
from ttc_rl.verifiers.boxes import boxes, last_boxed
from ttc_rl.verifiers.rationals import rational, value

GOLDEN = Path(__file__).parents[1] / "golden" / "maths.jsonl"


def boxed(answer: str) -> str:
    return rf"so it is \boxed{{{answer}}}"


def task(gold: str | None) -> Task:
    return Task("math", "?", gold)


def test_the_table_checked_by_hand():
    """Every verdict is right but for the rows marked `limit`, which docs/verifiers.md lists."""
    rows = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    tasks = [Task("math", "?", row["gold"], meta=row.get("meta", {})) for row in rows]
    completions = [row.get("completion", boxed(row.get("answer", ""))) for row in rows]
    wrong = [
        f"{row['gold']} | {row.get('answer') or row['completion']}: {verdict}"[:300]
        for row, verdict in zip(rows, verify_many(tasks, completions), strict=True)
        if ((verdict.correct, verdict.status) == (row["correct"], row.get("status", "ok")))
        == ("limit" in row)
    ]
    assert wrong == []
    assert len(rows) >= 500
    assert sum("limit" in row for row in rows) / len(rows) <= 0.01


def test_every_row_of_the_table_says_why_and_stands_there_once():
    rows = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    keys = [
        json.dumps([row.get(k) for k in ("gold", "answer", "completion", "meta")]) for row in rows
    ]
    assert [key for key, count in Counter(keys).items() if count > 1] == []
    assert all(row["why"] and ("answer" in row) != ("completion" in row) for row in rows)


def test_what_a_verdict_says():
    assert verify(task("5"), "five") == Verdict(
        False, None, r"no balanced, non-empty \boxed{...}", "no_answer"
    )
    assert verify(task("5"), "<think> ...").reason == "the reasoning was never closed"
    assert verify(task("3/4"), boxed(r"\frac34")) == Verdict(True, r"\frac34")
    assert verify(task("~~"), boxed("3")) == Verdict(
        None, "3", "cannot be compared with the gold '~~'"
    )
    assert verify(task(None), boxed("3")).correct is None


def test_it_works_in_another_thread():
    found: list[Verdict] = []
    thread = threading.Thread(target=lambda: found.append(verify(task("(x+1)^2"), boxed("x^2+1"))))
    thread.start()
    thread.join()
    assert found == [Verdict(False, "x^2+1")]


def test_alike_answers_vote_together_and_silence_does_not_vote():
    answers = ["1/2", None, r"\frac12", r"\sqrt{4}", "2", "0.5", None, "x", "50\\%"]
    assert BUILT_IN.equivalence_classes(task("2"), answers) == [0, None, 0, 1, 1, 0, None, 2, 0]


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
    assert last_boxed(text) == content


def test_a_long_completion_of_boxes_is_read_in_one_pass():
    assert last_boxed(r"\boxed{" * 200_000 + "7}") == "7"


@given(st.fractions(), st.sampled_from([r"\frac{%d}{%d}", r"\dfrac{%d}{%d}", "%d/%d", "(%d)/(%d)"]))
def test_fractions_are_read_exactly(value: Fraction, spelling: str):
    text = latex.tidy(spelling % (value.numerator, value.denominator))
    assert rational(text) == value


@given(st.integers())
def test_thousands_separators_change_nothing(value: int):
    for separator in (",", "{,}", r"\,", r"\!"):
        assert rational(latex.tidy(f"{value:,}".replace(",", separator))) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "1 2", "2(3)", "1/0", "2^{0.5}", "9^{9^{9}}", "1,2", "5 cm", "(", "1e9999", "."],
)
def test_what_is_not_one_exact_number(text: str):
    assert rational(text) is None
    assert value(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"1\frac12", Fraction(3, 2)),
        (r"-2\frac{1}{3}", Fraction(-7, 3)),
        ("1 1/2", Fraction(3, 2)),
        (r"1\frac{3}{2}", None),
        (r"1\frac12 + 3", None),
        ("1.5e3", Fraction(1500)),
        ("2E-2", Fraction(1, 50)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        (r"-0.\overline{3}", Fraction(-1, 3)),
        ("0.333...", Fraction(1, 3)),
    ],
)
def test_numbers_as_text_books_write_them(text: str, expected: Fraction | None):
    assert value(text) == expected


@pytest.mark.parametrize(
    ("completion", "answer", "reason"),
    [
        (r"\boxed{4}, or the answer is 5", "4", ""),
        ("The answer is $\\frac{1}{2}$.", r"\frac{1}{2}", 'no box; read after "answer"'),
        ("#### 1,250", "1,250", 'no box; read after "####"'),
        ("so 3 then 4 then 5", "5", "no box; read the last number"),
        ("nothing", None, r"no balanced, non-empty \boxed{...}"),
        ("<think> the answer is 5", None, "the reasoning was never closed"),
    ],
)
def test_fallbacks_are_off_and_named(completion: str, answer: str | None, reason: str):
    if "boxed" not in completion:
        assert verify(task("5"), completion).status == "no_answer"
    (verdict,) = maths.verify_many([task("5")], [completion], fallback=True)
    assert (verdict.answer, verdict.reason) == (answer, reason)


def test_one_box_for_each_part_of_the_gold():
    assert boxes(r"\boxed{2}, \fbox{x} \boxed 7") == ["2", "x", "7"]
    assert verify(task("2, 3"), r"\boxed{2} and \boxed{3}") == Verdict(True, "2, 3")
    assert verify(task("3"), r"\boxed{2} and \boxed{3}") == Verdict(True, "3")


@pytest.mark.parametrize(
    ("gold", "completion", "correct"),
    [
        ("(4,7),(2,9)", r"\boxed{(2,9)} and \boxed{(4,7)}", True),
        ("(4,7),(2,9)", r"\boxed{(2,7)} and \boxed{(4,9)}", False),
        ("(4,7)", r"$u=\boxed{4}$, $v=\boxed{7}$", True),
        ("(4,7)", r"$u=\boxed{7}$, $v=\boxed{4}$", False),
        (r"\pm 6", r"\boxed{-6}, \boxed{6}", True),
        ("(4,7)", r"\boxed{(4,7)}, that is \boxed{(4,7)}", True),
        ("u=1,v=8", r"\boxed{v=8}, \boxed{u=1}", True),
        ("4", r"\boxed{4} \boxed{4,7}", False),
    ],
)
def test_boxes_that_each_hold_a_part(gold: str, completion: str, correct: bool):
    assert verify(task(gold), completion).correct is correct


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("Final Answer: The final answer is $8$. I hope it is correct.", "8"),
        ("<answer> 8 </answer>", "8"),
        ("The answer is 8 cats. #### 8", "8"),
        (r"So the answer is $\$8$.", r"\$8"),
        ("The answer to this puzzle is therefore 8.", "8"),
        ("Answer: **8**</s>", "8"),
        ("The answer is 8<|im_end|>", "8"),
    ],
)
def test_what_base_models_say_without_a_box(completion: str, answer: str):
    (verdict,) = maths.verify_many([task("8")], [completion], fallback=True)
    assert (verdict.correct, verdict.answer) == (True, answer)


def test_what_cannot_be_compared_is_undecided_and_never_wrong():
    tower = "3^{3^{3^{3^{3}}}}"
    assert verify(task(f"{tower}+x"), boxed(f"{tower}+x+0")).correct is None
    assert (
        verify(task("5"), boxed(r"\sum_{k=1}^{2000}\sum_{j=1}^{2000}\sin(jk)")).correct is not True
    )


def test_nested_boxes_are_read_in_one_pass():
    assert boxes(r"\boxed{" * 100_000 + "7" + "}" * 100_000) == ["7"]
