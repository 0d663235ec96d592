"""Verifiers of a user's own: named in the recipe, checked at load, free to fail as they like."""

import sys
from pathlib import Path

import pytest

from ttc_rl import load_tasks, verify, verify_many
from ttc_rl.config import load_recipe
from ttc_rl.config.plugins import PLUGINS
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.verifiers import equivalence_classes

RECIPE = "model: m\ncorpus: c.jsonl\ntarget: aime25\n"
MODULE = """
from ttc_rl.schema import Verdict

def echo(task, completion):
    return Verdict(completion == task.gold, completion)

def broken(task, completion):
    raise ZeroDivisionError("mine")

def careless(task, completion):
    return True

def alone(task):
    return None
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module beside the recipe, and no plug-ins of other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in [*PLUGINS]:
        monkeypatch.delitem(PLUGINS, name)
    sys.modules.pop("my_verifiers", None)
    Path("my_verifiers.py").write_text(MODULE, encoding="utf-8")
    yield
    PLUGINS.clear()


def load(named: str) -> None:
    Path("r.yaml").write_text(f"{RECIPE}verifiers: {{{named}}}\n", encoding="utf-8")
    load_recipe("r.yaml")


def test_a_plug_in_grades_tasks_of_its_kind():
    load('echo: "my_verifiers:echo"')
    tasks = [Task("echo", "?", "a"), Task("exact", "?", "a"), Task("echo", "?", "b")]
    verdicts = verify_many(tasks, ["a", "answer a", "a"])
    assert [v.correct for v in verdicts] == [True, True, False]
    assert equivalence_classes(tasks[0], ["b", "a ", "b", None]) == [0, 1, 0, None]


def test_sources_accept_its_kind():
    Path("t.jsonl").write_text(
        '{"kind": "echo", "prompt": "say a", "gold": "a"}\n', encoding="utf-8"
    )
    with pytest.raises(UserError, match="unknown kind 'echo'"):
        load_tasks("t.jsonl")
    load('echo: "my_verifiers:echo"')
    (task,) = load_tasks("t.jsonl")
    assert verify(task, "a") == Verdict(True, "a")


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("echo: my_verifiers", "write my_package.my_module:function, not 'my_verifiers'"),
        ('echo: "my_verifier:echo"', "there is no module my_verifier"),
        ('echo: "my_verifiers:ecko"', "my_verifiers has no ecko; did you mean echo?"),
        ('echo: "my_verifiers:alone"', "is no function of (task, completion)"),
        ('math: "my_verifiers:echo"', "math is built in"),
    ],
)
def test_a_wrong_path_is_one_line_at_load(named: str, told: str):
    with pytest.raises(UserError) as caught:
        load(named)
    assert str(caught.value).startswith("r.yaml:4: verifiers: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_its_exceptions_travel_and_a_wrong_return_is_told():
    load('mine: "my_verifiers:broken", other: "my_verifiers:careless"')
    with pytest.raises(ZeroDivisionError, match="mine"):
        verify(Task("mine", "?", "a"), "a")
    with pytest.raises(TypeError, match="kind 'other' returned bool, not a Verdict"):
        verify(Task("other", "?", "a"), "a")
