"""Verifiers of a user's own: named in the recipe, imported by who grades, free to fail."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ttc_rl
from ttc_rl.config import Recipe, load_recipe, make_recipe
from ttc_rl.corpus.sources import load_corpus
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.selection.less.examples import gold_reply
from ttc_rl.stages.checks import check_files
from ttc_rl.stages.own_code import graders_of
from ttc_rl.train.rewards import reward
from ttc_rl.verifiers import Graders
from ttc_rl.verifiers.golds import check_golds
from ttc_rl.verifiers.majority import check_voting, majority

TREE = {"model": "m", "corpus": "c.jsonl", "target": "aime25"}
RECIPE = "model: m\ncorpus: c.jsonl\ntarget: aime25\n"
MODULE = """
from ttc_rl.schema import Verdict

def echo(task, completion):
    return Verdict(completion == task.gold, completion)

def other(task, completion):
    return Verdict(completion != task.gold, completion)

def broken(task, completion):
    raise ZeroDivisionError("mine")

def careless(task, completion):
    return {"true": True, "half": 0.5, "all": 1.0, "most": 1.5, "yes": "yes", "": 0.0}[completion]

def alone(task):
    return None

class Silent:
    read = None

class Shown:
    template = "{prompt}!"
    verify = staticmethod(echo)
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("my_verifiers.py").write_text(MODULE, encoding="utf-8")


@pytest.fixture(autouse=True)
def _tidy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    for name in ("my_verifiers", "units"):
        sys.modules.pop(name, None)


def load(named: str) -> Graders:
    Path("r.yaml").write_text(f"{RECIPE}verifiers: {{{named}}}\n", encoding="utf-8")
    return graders_of(load_recipe("r.yaml"))


def test_a_plug_in_grades_tasks_of_its_kind():
    graders = load('echo: "my_verifiers:echo"')
    tasks = [Task("echo", "?", "a"), Task("exact", "?", "a"), Task("echo", "?", "b")]
    verdicts = graders.verify_many(tasks, ["a", "answer a", "a"])
    assert [v.correct for v in verdicts] == [True, True, False]
    assert graders.equivalence_classes(tasks[0], ["b", "a ", "b", None]) == [0, 1, 0, None]
    assert re.fullmatch("echo-[0-9a-f]{8}", graders.version("echo"))


def test_sources_of_its_recipe_accept_its_kind():
    Path("t.jsonl").write_text(
        '{"kind": "echo", "prompt": "say a", "gold": "a"}\n', encoding="utf-8"
    )
    with pytest.raises(UserError, match="unknown kind 'echo'"):
        ttc_rl.load_tasks("t.jsonl")
    graders = load('echo: "my_verifiers:echo"')
    (task,) = load_corpus(["t.jsonl"], kinds=["echo"]).tasks
    assert graders.verify(task, "a") == Verdict(True, "a")
    with pytest.raises(UserError, match="unknown kind 'echo'"):
        ttc_rl.load_tasks("t.jsonl")


WRONG = [
    ("echo: my_verifiers", "write my_package.my_module:function, not 'my_verifiers'"),
    ('echo: "my_verifier:echo"', "there is no module my_verifier"),
    ('echo: "my_verifiers:ecko"', "my_verifiers has no ecko; did you mean echo?"),
    ('echo: "my_verifiers:alone"', "is no function of (task, completion), and no Kind"),
    ('echo: "my_verifiers:Silent"', "is no function of (task, completion), and no Kind"),
    ('echo: "my_verifiers:Shown"', "has a template; write it into the recipe instead: prompts.ec"),
    ('math: "my_verifiers:echo"', "math is built in"),
]


@pytest.mark.parametrize(("named", "told"), WRONG)
def test_a_wrong_path_is_one_line_at_the_checks(named: str, told: str):
    Path("r.yaml").write_text(f"{RECIPE}verifiers: {{{named}}}\n", encoding="utf-8")
    recipe = load_recipe("r.yaml")  # which imports nothing
    with pytest.raises(UserError) as caught:
        check_files(recipe)
    assert str(caught.value).startswith("r.yaml:4: verifiers: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_its_exceptions_travel():
    graders = load('mine: "my_verifiers:broken"')
    with pytest.raises(ZeroDivisionError, match="mine"):
        graders.verify(Task("mine", "?", "a"), "a")


def test_a_bool_or_a_share_is_a_verdict():
    graders = load('mine: "my_verifiers:careless"')
    task = Task("mine", "?", "a")
    assert graders.verify(task, "true") == Verdict(True, "true")
    assert graders.verify(task, "all") == Verdict(True, "all", share=1.0)
    half = graders.verify(task, "half")
    assert half == Verdict(False, "half", share=0.5)
    assert reward(half, "partial") == 0.5
    assert graders.pays_shares(task)
    assert not graders.pays_shares(Task("code", "?"))
    assert graders.verify(task, "").status == "no_answer"


@pytest.mark.parametrize(("completion", "value"), [("most", "1.5"), ("yes", "'yes'")])
def test_any_other_value_is_told_in_one_line(completion: str, value: str):
    graders = load('mine: "my_verifiers:careless"')
    line = f"verifiers: mine: my_verifiers:careless returned {value}; return a Verdict, "
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        graders.verify(Task("mine", "?", "a"), completion)


# ------------------------------------------------------------------ recipes do not meet


def test_looking_at_arm_b_does_not_change_how_arm_a_grades():
    arms = {"a": {"verifiers": {"mine": "my_verifiers:echo"}}}
    arms["b"] = {"verifiers": {"mine": "my_verifiers:other"}}
    recipe, task = Recipe.model_validate({**TREE, "arms": arms}), Task("mine", "?", "A")
    first = graders_of(recipe.arm("a"))
    assert first.verify(task, "A").correct is True
    second = graders_of(recipe.arm("b"))
    assert first.verify(task, "A").correct is True
    assert second.verify(task, "A").correct is False


def test_neither_does_another_recipe_nor_one_with_a_module_of_the_same_name():
    task = Task("mine", "?", "A")
    recipe = make_recipe({**TREE, "verifiers": {"mine": "my_verifiers:echo"}})
    make_recipe({**TREE, "verifiers": {"mine": "my_verifiers:other"}})
    assert graders_of(recipe).verify(task, "A").correct is True
    found = []
    for name, right in (("one", "True"), ("two", "False")):
        Path(name).mkdir()
        Path(name, "units.py").write_text(f"def check(task, completion): return {right}\n", "utf-8")
        Path(name, "r.yaml").write_text(f'{RECIPE}verifiers: {{mine: "units:check"}}\n', "utf-8")
        found.append(graders_of(load_recipe(Path(name, "r.yaml"))))
    assert [graders.verify(task, "A").correct for graders in found] == [True, False]
    assert found[0].version("mine") != found[1].version("mine")


def test_the_built_in_graders_know_no_plug_in():
    load('echo: "my_verifiers:echo"')
    with pytest.raises(UserError, match="kind 'echo' has no verifier"):
        ttc_rl.verify(Task("echo", "?", "a"), "a")


# ------------------------------------------------------------------ a whole kind


def example() -> str:
    """The module that docs/verifiers.md shows."""
    text = Path(__file__).parents[2].joinpath("docs/verifiers.md").read_text(encoding="utf-8")
    return (
        text.partition("## A kind of your own")[2].partition("```python\n")[2].partition("```")[0]
    )


def test_the_kind_of_the_docs_is_a_whole_citizen():
    Path("units.py").write_text(example(), encoding="utf-8")
    graders = load('length: "units:LENGTH"')
    tasks = [Task("length", "How long is a metre?", gold, id=gold) for gold in ("100 cm", "2 m")]
    texts = ["It is [1 m]", "[100 cm]", "[3 m]", "hm"]
    verdicts = graders.verify_many([tasks[0]] * 4, texts)
    assert [(v.correct, v.share) for v in verdicts] == [
        (True, 1.0), (True, 1.0), (False, pytest.approx(1 / 3)), (False, 0.0)
    ]  # fmt: skip
    assert verdicts[3].status == "no_answer"
    check_voting(tasks, "train.majority", graders)
    vote = majority(tasks[0], texts, graders=graders)
    assert (vote.label, vote.share, vote.right) == ("1 m", 0.5, True)
    (checked,) = check_golds(tasks, graders)
    assert (checked.accepted, checked.silence_rejected, checked.others_rejected) == (2, 2, 2)
    assert gold_reply(tasks[0], graders) == "[100 cm]"
