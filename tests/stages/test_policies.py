"""Arms that train nothing: demonstrations, a vote of neighbours, a dial on the trained weights."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from ttc_eval.compare.spending import arm_spending
from ttc_rl.cli.app import app
from ttc_rl.config import load_recipe, make_recipe
from ttc_rl.config.marks import KEY
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.sampling.prompts import conversation
from ttc_rl.schema import Task, UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.policies import Policy, policy_of
from ttc_rl.stages.policies.base import of_weights
from ttc_rl.stages.policies.demonstrations import Preface, Shown, nearest_rows, shown
from ttc_rl.stages.policies.neighbours import Vote
from ttc_rl.stages.run import run_all
from ttc_rl.train.weights.mixture import interpolated
from ttc_rl.verifiers import BUILT_IN

TINY = Path(__file__).parents[1] / "tiny.yaml"
ARMS: dict[str, Any] = {
    "random": None,
    "sift": {},
    "demos": {"policy": {"method": "demonstrations", "count": 2}},
    "demos-sift": {"policy": {"method": "demonstrations", "count": 1, "of": "sift"}},
    "knn": {"selection": {"method": "nearest"}, "policy": {"method": "neighbours", "count": 3}},
    "whole": {"policy": {"method": "interpolation", "of": "sift", "alpha": 1}},
    "half": {"policy": {"method": "interpolation", "of": "sift", "alpha": 0.5}},
    "dial-0": {"policy": {"method": "proxy", "of": "sift", "alpha": 0}},
    "dial-1": {"policy": {"method": "proxy", "of": "sift", "alpha": 1}},
}


@pytest.fixture(scope="module")
def done(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    recipe = load_recipe(TINY, [f"arms={json.dumps(ARMS)}", "selection.size=8", "train.epochs=1"])
    folder = tmp_path_factory.mktemp("policies") / "run"
    made = Job(recipe, RunDir.open(folder, recipe, resume=True))
    run_all(made)
    return made


def texts(job: Job, model: str) -> dict[tuple[str, int], str]:
    rows = read_jsonl(job.run.samples(target(job), model), "task_id")
    return {(row["task_id"], row["sample"]): row["completion"] for row in rows}


def target(job: Job) -> str:
    return read_json(job.run.summary)["target"]


def prompt_tokens(job: Job, model: str) -> float:
    rows = read_jsonl(job.run.samples(target(job), model), "task_id")
    return float(np.mean([row["prompt_tokens"] for row in rows]))


# --------------------------------------------------------------------------- a whole run


@pytest.mark.slow
def test_the_ends_of_a_dial_are_the_two_models(done: Job):
    assert texts(done, "whole") == texts(done, "sift") != texts(done, "base")
    assert texts(done, "dial-1") == texts(done, "sift")
    assert texts(done, "dial-0") == texts(done, "base")
    assert texts(done, "half") not in (texts(done, "sift"), texts(done, "base"))


@pytest.mark.slow
def test_only_what_is_trained_leaves_a_model_and_only_what_it_needs_is_selected(done: Job):
    arms = {path.name: path for path in (done.run.root / "arms").iterdir()}
    assert [name for name, folder in arms.items() if (folder / "model").exists()] == ["sift"]
    chosen = {name for name, folder in arms.items() if (folder / "curriculum.jsonl").exists()}
    assert chosen == {"sift", "demos", "demos-sift", "knn"}
    assert set(done.run.models(target(done))) == {"base", *arms, *ARMS} - {"random"}


@pytest.mark.slow
def test_demonstrations_are_read_and_paid_for(done: Job):
    assert prompt_tokens(done, "demos") > prompt_tokens(done, "demos-sift")
    assert prompt_tokens(done, "demos-sift") > prompt_tokens(done, "base")
    compute = read_json(done.run.summary)["analysis"][target(done)]["compute"]
    arms = compute["arms"]
    assert arms["demos"]["training_flops"] == 0
    assert arms["demos-sift"]["training_flops"] == arms["sift"]["training_flops"] > 0
    answered_once = arms["demos"]["curve"][0]["flops"] / compute["base"]["curve"][0]["flops"]
    assert answered_once > 1.5  # two demonstrations are longer than an answer
    assert "knn" not in arms  # nothing is written by any model
    assert arm_spending(done.run, done.recipe, "dial-1").passes == 2


@pytest.mark.slow
def test_the_report_shows_the_arms(done: Job):
    page = done.run.report.read_text()
    assert "demos-sift" in page
    assert "dial-1" in page


@pytest.mark.slow
def test_a_policy_of_the_users_own(done: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine.py").write_text(
        "from ttc_rl.stages.policies.base import of_weights, starting_model\n"
        "def like_base(job, name):\n"
        "    return of_weights(job, name, starting_model(job.recipe))\n"
        "def nothing(job, name):\n"
        "    return name\n"
    )
    monkeypatch.chdir(tmp_path)
    arms = {"sift": {}, "mine": {"policy": {"method": "mine:like_base"}}}
    recipe = load_recipe(TINY, [f"arms={json.dumps(arms)}", "arms.random=null"])
    policy = policy_of(Job(recipe, done.run), "mine")
    assert isinstance(policy, Policy)
    assert policy.fingerprint == of_weights(done, "x", starting_model(done.recipe)).fingerprint
    arms["mine"]["policy"]["method"] = "mine:nothing"
    recipe = load_recipe(TINY, [f"arms={json.dumps(arms)}", "arms.random=null"])
    with pytest.raises(UserError, match=r"policy\.method: mine:nothing returned no"):
        policy_of(Job(recipe, done.run), "mine")


@pytest.mark.slow
def test_interpolated_weights_lie_between(done: Job, tmp_path: Path):
    base, trained = Path(starting_model(done.recipe)), done.arm("sift")[1].model
    for alpha in (0.0, 0.25, 1.0):
        interpolated(base, trained, alpha, tmp_path / str(alpha))
    before, after = (load_file(folder / "model.safetensors") for folder in (base, trained))
    ends = [load_file(tmp_path / name / "model.safetensors") for name in ("0.0", "1.0")]
    quarter = load_file(tmp_path / "0.25" / "model.safetensors")
    for name in before:
        assert (ends[0][name] == before[name]).all()
        assert (ends[1][name] == after[name]).all()
        middle = 0.75 * before[name] + 0.25 * after[name]
        assert (quarter[name] - middle).abs().max() < 1e-6


# --------------------------------------------------------------------------- the parts


def embed(tasks: Sequence[Task]) -> np.ndarray:
    """Return the first letter on a circle: neighbours in the alphabet are near."""
    angle = np.array([(ord(task.prompt[0]) - 97) / 26 for task in tasks])
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def exact(letter: str, gold: str, **meta: Any) -> Task:
    return Task("exact", letter, gold, meta=meta)


def test_the_nearest_pick_stands_last_and_a_picks_own_marks_give_way():
    picks = [exact("a", "1"), exact("m", "2"), exact("c", "3", solution="so 3")]
    preface = Preface(shown_of(picks), 2, {"exact": "{prompt} =>", "system": "Be brief."}, embed)
    asked = replace(exact("d", "?"), meta={KEY: ["boxed"], "turns": [turn("user", "before")]})
    (task,) = preface([asked])
    assert task.id == asked.id
    words = [turn["content"] for turn in conversation(task, preface.templates)]
    assert words == ["Be brief.", "a =>", "answer 1", "c =>", "so 3", "before", "d =>"]
    assert preface([asked]) == [task]


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def shown_of(tasks: Sequence[Task]) -> list[Shown]:
    job: Any = type("Job", (), {"graders": BUILT_IN})
    return shown(job, tasks)


def test_tasks_without_a_gold_reply_or_with_turns_of_their_own_are_not_shown():
    program = Task("code", "write", tests=({"input": "", "output": ""},))
    talk = exact("a", "1", turns=[turn("user", "x"), turn("assistant", "y")])
    assert [one.task.prompt for one in shown_of([program, talk, exact("b", "2")])] == ["b"]


def test_neighbours_by_cosine_the_earlier_first_in_a_tie():
    picks = np.array([[0.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    assert nearest_rows(np.array([[0.1, 5.0]]), picks, 2) == [[0, 2]]
    assert nearest_rows(np.array([[0.1, 5.0]]), picks, 9) == [[0, 2, 1]]


def vote(picks: Sequence[Task], count: int = 3) -> Vote:
    return Vote(picks, count, embed, BUILT_IN)


def test_equal_golds_in_other_spellings_vote_together_and_a_tie_goes_to_the_nearest():
    picks = [
        Task("math", prompt, gold)
        for prompt, gold in [("a", "1/2"), ("b", "0.5"), ("c", "3"), ("z", "9")]
    ]
    (answer,) = vote(picks)([Task("math", "c", "?")])
    assert BUILT_IN.verify_many([Task("math", "c", "0.5")], [answer])[0].correct
    (answer,) = vote(picks, 2)([Task("math", "c", "?")])
    assert BUILT_IN.verify_many([Task("math", "c", "3")], [answer])[0].correct


def test_a_choice_is_voted_for_by_its_text_and_other_kinds_are_left_out():
    def choice(prompt: str, options: list[str], gold: str) -> Task:
        return Task("choice", prompt, gold, meta={"options": options})

    picks = [choice("b", ["cat", "dog"], "A"), choice("c", ["dog", "cow"], "A"), exact("d", "B")]
    (answer,) = vote(picks, 1)([choice("c", ["cow", "dog"], "A")])
    assert BUILT_IN.verify_many([choice("c", ["cow", "dog"], "B")], [answer])[0].correct
    assert vote([exact("a", "1")])([choice("c", ["cow", "dog"], "A")]) == [""]
    with pytest.raises(UserError, match="answers of kind code cannot vote"):
        vote(picks)([Task("code", "write", tests=({"input": "", "output": ""},))])


# --------------------------------------------------------------------------- keys


def arms(**policies: Any) -> list[str]:
    tree = {name: {"policy": policy} for name, policy in policies.items()}
    return [f"arms={json.dumps(tree)}", "arms.random=null", "arms.sift={}"]


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"method": "interpolation"}, "name it, `of:`"),
        ({"method": "proxy"}, "adds what training changed"),
        ({"method": "proxy", "expert": "small"}, "adds what training changed"),
        ({"method": "proxy", "of": "sift", "expert": "a", "antiexpert": "b"}, "adds what training"),
        ({"method": "interpolation", "of": "sifted"}, "no trained arm 'sifted'; did you mean sift"),
        ({"method": "interpolation", "of": "x"}, "no trained arm 'x'; trained are sift"),
        ({"method": "neighbours", "alpha": 2}, "policy.alpha: belongs to policy.method interpol"),
        ({"method": "neighbors"}, "did you mean neighbours"),
    ],
)
def test_what_no_policy_can_be_made_of(policy: Any, says: str):
    with pytest.raises(UserError) as error:
        load_recipe(TINY, arms(mine=policy))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_an_arm_that_trains_nothing_is_not_told_how_to():
    tree = {"knn": {"policy": {"method": "neighbours"}, "train": {"epochs": 2}}}
    with pytest.raises(UserError, match=r"arms\.knn\.train: the arm answers by .* trains nothing"):
        load_recipe(TINY, [f"arms={json.dumps(tree)}"])


def test_a_recipe_without_arms_names_none():
    plain = {"model": "m", "corpus": "c.jsonl", "target": "aime25"}
    with pytest.raises(UserError, match=r"policy\.of: names an arm; the recipe has no `arms:`"):
        make_recipe({**plain, "policy": {"method": "interpolation", "of": "sift"}})


# --------------------------------------------------------------------------- looks at the run


@pytest.mark.slow
def test_changes_and_headroom_of_a_run(done: Job, capsys: pytest.CaptureFixture[str]):
    from ttc_rl.stages.diagnostics import changes_of, headroom_of

    ((name, about, found),) = changes_of(done)
    assert (name, about["steps"], about["learning_rate"]) == ("sift", 2, 1e-3)
    assert found[-1].module == "all"
    assert 0 < found[-1].changed < 1
    assert {"mlp.up_proj", "embed_tokens"} <= {one.module for one in found}
    with pytest.raises(UserError, match="no model there"):
        list(changes_of(done, "knn"))
    with pytest.raises(UserError, match="12 tasks say too little"):
        headroom_of(done)


@pytest.mark.slow
def test_how_alike_the_models_of_a_run_answer(done: Job):
    from ttc_rl.stages.diagnostics import alike_of

    name = done.run.benchmarks()[0]
    found = alike_of(done, name)
    models = list(done.run.models(name))
    assert len(found) == len(models) * (len(models) + 1) // 2
    assert {n: c for n, c in found.items() if not -1.001 <= c.value <= 1.001} == {}
    shown = CliRunner().invoke(app, ["alike", str(done.run.root), "--json"])
    assert len(json.loads(shown.stdout)) == len(found)
    with pytest.raises(UserError, match="was not evaluated; there are"):
        alike_of(done, "aime25")
