"""Prompts ask for answers in the form that the verifiers read."""

import pytest

from ttc_rl.sampling.prompts import as_messages, render
from ttc_rl.schema import Task, UserError


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("math", r"\boxed{}"),
        ("choice", r"\boxed{}"),
        ("exact", '"Answer:"'),
        ("code", "```python"),
        ("judge", "final answer"),
    ],
)
def test_each_kind_asks_for_what_is_graded(kind: str, asked: str):
    shown = render(Task(kind, "What is {x} in \\frac{1}{2}?"), {})
    assert shown.startswith("What is {x} in \\frac{1}{2}?\n\n")
    assert asked in shown.partition("?")[2]


def test_a_recipe_replaces_one_wording():
    templates = {"math": "Q: {prompt} \\boxed{}"}
    assert render(Task("math", "a {prompt} b {0}"), templates) == "Q: a {prompt} b {0} \\boxed{}"
    assert render(Task("exact", "a"), templates) == render(Task("exact", "a"), {})


def test_a_template_without_a_place_for_the_task_is_refused():
    with pytest.raises(UserError, match=r"prompts\.math: the template has no \{prompt\}"):
        render(Task("math", "a"), {"math": "Solve it."})


def test_a_kind_of_a_plug_in_is_shown_as_it_is():
    assert render(Task("echo", "say a"), {}) == "say a"


def test_a_prompt_is_one_user_turn():
    assert as_messages("hi") == [{"role": "user", "content": "hi"}]


def test_what_stands_after_every_prompt_is_no_kind_of_task():
    templates = {"after": " /no_think", "code": "{prompt}!"}
    assert render(Task("code", "sort"), templates) == "sort! /no_think"
    assert render(Task("math", "1+1"), templates) == render(Task("math", "1+1"), {}) + " /no_think"
