"""One judge for every kind: dispatch, order, votes, and the kinds decided on the spot."""

import subprocess
import sys

import pytest

from ttc_rl import verify, verify_many
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import BUILT_IN


def exact(gold: str) -> Task:
    return Task("exact", "?", gold)


def choice(gold: str, *options: str) -> Task:
    return Task("choice", "?", gold, meta={"options": list(options)} if options else {})


CITIES = ("Rome", "Paris", "Berlin", "Oslo.", "new york", "Bonn", "Kiel", "Graz", "Linz", "Bern")


@pytest.mark.parametrize(
    ("gold", "completion", "answer", "correct"),
    [
        ("a c b", "3 5 ; answer a c b", "a c b", True),
        ("a c b", "answer acb", "acb", True),
        ("a c b", "answer a c", "a c", False),
        ("7", "The answer is 7.", "7.", True),
        ("7", "Answer: 7\nGood luck!", "7", True),
        ("7", "answer 6 no , answer 7", "7", True),
        ("Yes", "**Answer:** yes", "yes", True),
        ("7", "<think> answer 6 </think> Answer: 7", "7", True),
        ("7", "<think> answer 7", None, False),
        ("7", r"it is \boxed{7}", "7", True),
        ("7", r"answer: \n \boxed{7}".replace(r"\n", "\n"), "7", True),
        ("7", "it is 7", None, False),
        ("7", "answers 7", None, False),
        ("7", "answer", None, False),
        ("7", "", None, False),
    ],
)
def test_exact_answers(gold: str, completion: str, answer: str | None, correct: bool):
    verdict = verify(exact(gold), completion)
    assert (verdict.answer, verdict.correct) == (answer, correct)
    assert verdict.status == ("ok" if answer else "no_answer")


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (r"\boxed{B}", "B"),
        (r"\boxed{(b)}", "B"),
        (r"\boxed{\text{B}}", "B"),
        (r"\boxed{B. Paris}", "B"),
        (r"\boxed{(B) paris}", "B"),
        (r"\boxed{Paris}", "B"),
        (r"\boxed{\text{New York}}", "E"),
        (r"\boxed{Oslo}", "D"),
        (r"\boxed{J}", "J"),
        (r"\boxed{K}", None),
        (r"\boxed{A, B}", None),
        (r"\boxed{B. Rome}", None),
        (r"\boxed{C}. This is a direct consequence", "C"),
        (r"\boxed{A} no, \boxed{C}", "C"),
        ("The answer is (C).", "C"),
        ("the answer is **C**", "C"),
        ("Answer: c", "C"),
        ("Answer: (c)", "C"),
        ("Answer: B\n", "B"),
        ("The answer is B, as I said", "B"),
        ("The answer is Paris.", "B"),
        ("the answer is a bit subtle", None),
        ("The answer is A bit subtle", None),
        ("I think so", None),
        ("<think> The answer is (A)", None),
        ("<think> \\boxed{A} </think> The answer is (D)", "D"),
        ("", None),
    ],
)
def test_choices(completion: str, answer: str | None):
    verdict = verify(choice("B", *CITIES), completion)
    assert verdict.answer == answer
    assert verdict.correct is (answer == "B")


def test_a_gold_may_be_the_option_itself_and_must_be_one():
    assert verify(choice("paris", *CITIES), r"\boxed{B}").correct is True
    assert verify(choice("Z", *CITIES), r"\boxed{B}").correct is None
    assert verify(choice("Z"), r"\boxed{Z}").correct is True
    assert verify(choice("A", "x", "x"), r"\boxed{x}").status == "no_answer"


def test_many_verdicts_keep_the_order_of_their_tasks():
    tasks = [Task("math", "?", "1/2"), exact("a"), Task("math", "?", r"\sqrt{2}"), choice("A")]
    right = [r"\boxed{0.5}", "answer a", r"\boxed{2^{1/2}}", "answer is (A)"]
    assert [v.correct for v in verify_many(tasks * 3, right * 3)] == [True] * 12
    assert [v.correct for v in verify_many(tasks, right[::-1])] == [False] * 4
    assert verify_many([], []) == []
    with pytest.raises(ValueError, match="2 tasks, but 1 completions"):
        verify_many(tasks[:2], right[:1])


def test_kinds_without_verifier_are_told():
    with pytest.raises(UserError, match="kind 'poem' has no verifier; there are math, exact"):
        verify(Task("poem", "?", "a"), "")
    with pytest.raises(UserError, match="kind 'poem' has no verifier"):
        verify_many([exact("a"), Task("poem", "?", "a")], ["", ""])


def test_votes_of_exact_answers_and_letters():
    assert BUILT_IN.equivalence_classes(exact("a"), ["a c", None, "AC.", "b"]) == [0, None, 0, 1]
    assert BUILT_IN.equivalence_classes(choice("A"), ["A", "B", "A", None]) == [0, 1, 0, None]


def test_verifiers_load_without_heavy_packages():
    code = (
        "import sys, ttc_rl.verifiers; "
        "print([m for m in ('torch', 'sympy', 'math_verify', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
