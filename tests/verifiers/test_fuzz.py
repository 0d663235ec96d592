"""Arbitrary text, from models and in data: no exception escapes, no verdict outlasts its limit."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ttc_rl import verify_many
from ttc_rl.schema import Task
from ttc_rl.verifiers import BUILT_IN, maths
from ttc_rl.verifiers.judge import Judge, decision, read_answer
from ttc_rl.verifiers.majority import majority

LIMIT = 1.0
PATIENCE = 20.0
"""Seconds over the limit that a busy machine may take to notice it."""
PIECES = [
    *(
        r"\frac",
        r"\sqrt",
        r"\pm",
        r"\boxed{",
        r"\boxed",
        r"\text{",
        r"\begin{pmatrix}",
        r"\overline",
    ),
    *(
        r"\end{pmatrix}",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "^",
        "_",
        "1",
        "0",
        "23",
        "9999999",
        "x",
        "i",
    ),
    *(
        "=",
        "<",
        r"\le",
        ",",
        ":",
        "%",
        r"\%",
        "$",
        r"\$",
        "cm",
        r"\circ",
        "!",
        "|",
        "&",
        r"\\",
        " or ",
    ),
    *(
        ".",
        "...",
        "e",
        "-",
        "+",
        "*",
        "/",
        r"\infty",
        r"\cup",
        r"\int",
        r"\sum",
        r"\log",
        "\n",
        "\0",
    ),
    *(
        "<think>",
        "</think>",
        "answer",
        "is",
        "####",
        "A",
        "B.",
        "\ud800",
        "\U0001d7d9",
        "٣",
        "ß",
        "İ",
        "\u2028",
    ),
]
LATEX = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
TEXT = st.one_of(st.text(max_size=60), LATEX, LATEX.map(lambda text: rf"\boxed{{{text}}}"))
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def limited(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maths, "SECONDS", LIMIT)
    verify_many([Task("math", "?", "x+1")], [r"\boxed{1+x}"])  # the workers are up


@given(gold=st.one_of(LATEX, st.text(max_size=20)), text=TEXT, tolerance=st.sampled_from([0, 0.05]))
@example(gold="1", text=r"\boxed{7 \mod 5}", tolerance=0)
@example(gold="1", text=r"\boxed{9^{9^{9^{9}}}}", tolerance=0)
@example(gold=r"\sqrt{2}", text=r"\boxed{\frac{1}{0}}", tolerance=0.05)
@example(gold=r"9^{9^{9^{9}}}", text=r"\boxed{1}", tolerance=0.05)
@example(gold="1", text=r"\boxed{" + "(" * 900 + "1" + ")" * 900 + "}", tolerance=0)
@example(gold="1", text=r"\boxed{" + "1e999" * 3 + "}", tolerance=0)
@FUZZ
def test_maths(gold: str, text: str, tolerance: float):
    started = time.monotonic()
    task = Task("math", "?", gold, meta={"tolerance": tolerance}, id="fuzz")
    plain, spoken = (
        maths.verify_many([task], [text], fallback=fallback)[0] for fallback in (False, True)
    )
    assert time.monotonic() - started < 2 * LIMIT + PATIENCE
    assert plain.status != "infra_error"
    assert plain.answer is None or plain == spoken


@given(answers=st.lists(st.one_of(st.none(), LATEX), max_size=4))
@settings(parent=FUZZ, max_examples=40)
def test_votes(answers: list[str | None]):
    classes = BUILT_IN.equivalence_classes(Task("math", "?", "1"), answers)
    assert [found is None for found in classes] == [answer is None for answer in answers]


@given(
    gold=st.text(max_size=10),
    options=st.lists(st.one_of(st.text(max_size=10), LATEX), max_size=30),
    text=TEXT,
)
@FUZZ
def test_choices_and_exact_answers(gold: str, options: list[str], text: str):
    for kind in ("choice", "exact"):
        task = Task(kind, "?", gold, meta={"options": options}, id="fuzz")
        (verdict,) = verify_many([task], [text])
        assert verdict.status in ("ok", "no_answer")
        assert len(majority(task, [text, text]).verdicts) == 2


@given(gold=st.text(max_size=20), text=TEXT, reply=st.text(max_size=40))
@FUZZ
def test_judges(tmp_path: Path, gold: str, text: str, reply: str):
    judge = Judge(lambda prompts: [reply] * len(prompts), "m", tmp_path)
    verdict = judge.verify(Task("judge", "{gold}", gold, id="fuzz"), text)
    assert verdict.correct in (True, False, None)
    assert decision(text) is None or "VERDICT: " in text
    assert read_answer(text) != ""


@pytest.mark.parametrize(
    "text",
    [
        *(
            r"\boxed{" + piece * 600 + "}"
            for piece in ("1 ", "1,", "x^", r"\pm", "(1,2),", "a or ")
        ),
        *(
            piece * 100_000
            for piece in (r"\boxed{", "answer is ", "<think>", "1,", "$", "a ", "((")
        ),
        r"\boxed{" + "1" * 1900 + "." + "1" * 90 + "}",
        r"\boxed{" + r"\text{" * 300 + "}" * 300 + "}",
    ],
    ids=lambda text: f"{text[:12]!r} x {len(text)}",
)
def test_long_texts_cost_no_more_than_the_limit(text: str):
    started = time.monotonic()
    for kind, gold in (("math", r"\sqrt{2}"), ("choice", "A"), ("exact", "a")):
        verify_many([Task(kind, "?", gold)], [text], fallback=True)
    assert time.monotonic() - started < LIMIT + PATIENCE
