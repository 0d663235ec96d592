"""What selectors get from the model: on a real tiny one, killed, billed, and blind to golds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttc_rl.config import DifficultyConfig, Recipe, load_recipe, merge
from ttc_rl.corpus.skills import make_skills
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.sampling import drawing
from ttc_rl.schema import Task, UserError
from ttc_rl.selection.difficulty import fill, posterior_mean, rates_from_meta
from ttc_rl.selection.influence import order
from ttc_rl.selection.less import gradients, warmup
from ttc_rl.stages import base_model as base_model_stage
from ttc_rl.stages.base_model import BaseModel
from ttc_rl.stages.inputs import Ask, Inputs, model_inputs
from ttc_rl.train.tiny_model import base_model

RECIPE = load_recipe(Path(__file__).parents[1] / "tiny.yaml")
DEV = {"skills": {"split": "pretrain", "tasks_per_family": 5, "families": ["count"]}}
METHODS: dict[str, dict[str, Any]] = {
    "difficulty": {"method": "difficulty"},
    "dev": {"method": "less", "less": {"labels": "dev", "dev": DEV, "subtask_by": "family"}},
    "majority": {"method": "less"},
    "policy": {"method": "less", "less": {"labels": "policy"}},
}
SMALL = {
    "size": 10,
    "difficulty": {"samples": 3, "pool": 24},
    "less": {
        "pool": 24,
        "samples": 4,
        "features": 64,
        "warmup_learning_rate": 1e-3,
    },
}


@pytest.fixture(scope="module")
def two_epochs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warmup, "EPOCHS", 2)
        yield


@pytest.fixture(scope="module")
def ask(
    cache: Path, two_epochs: None, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Ask]:
    """ask(method, run=, targets=) with embeddings at random, the targets' among them."""
    assert RECIPE.model.pretrain is not None
    base = base_model(RECIPE.model.pretrain, 0, RECIPE.prompts)
    corpus = make_skills(RECIPE.corpus[0].skills)  # pyright: ignore
    found = make_skills(RECIPE.target.skills)  # pyright: ignore
    rng = np.random.default_rng(0)
    corpus_ND, target_MD = rng.normal(size=(len(corpus), 8)), rng.normal(size=(len(found), 8))

    def made(name: str, *, run: Path | None = None, targets=found) -> Ask:
        root = run or tmp_path_factory.mktemp("run")
        plain = RECIPE.model_dump()
        chosen = merge(plain, {"selection": merge(SMALL, METHODS[name]), "eval": {"batch": 24}})
        recipe = Recipe.model_validate(chosen)
        return Ask(recipe, RunDir(root), lambda: base, corpus, targets, corpus_ND, target_MD)

    return made


def killing(write: Callable[..., None]) -> Callable[..., None]:
    def written(*arguments: Any) -> None:
        write(*arguments)
        raise InterruptedError

    return written


def base_rows(run: Path) -> list[dict[str, Any]]:
    return [row for path in (run / "base").glob("*.samples.jsonl") for row in read_jsonl(path)]


def picks(found: Inputs) -> list[Any]:
    if "success" in found.keywords:
        return found.keywords["success"].tolist()
    return order(found.keywords["features"], 10)


@pytest.mark.parametrize("name", METHODS)
def test_the_golds_of_targets_are_not_read(ask: Callable[..., Ask], name: str):
    targets = ask(name).targets
    wrong = [
        replace(t, gold="z", meta={**t.meta, "solution": "answer z", "level": 9}) for t in targets
    ]
    right, other = model_inputs(ask(name)), model_inputs(ask(name, targets=wrong))
    assert picks(right) == picks(other)
    assert right.compute == other.compute


@pytest.mark.parametrize("name", METHODS)
def test_killed_after_every_write_it_goes_on_and_ends_the_same(
    ask: Callable[..., Ask], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = model_inputs(ask(name))
    monkeypatch.setattr(gradients, "CHUNK", 10)
    for module, write in ((drawing, "append_jsonl"), (gradients, "_save")):
        monkeypatch.setattr(module, write, killing(getattr(module, write)))
    found, kills = None, 0
    while found is None:
        try:
            found = model_inputs(ask(name, run=tmp_path))
        except InterruptedError:
            kills += 1
            for path in (tmp_path / "base").glob("*"):
                with path.open("a") as file:
                    file.write('{"task_id": "cut by a kil')
        assert kills < 50
    assert kills > 2
    assert found.compute == whole.compute
    assert picks(found) == picks(whole)


def test_success_is_the_posterior_mean_of_the_drawn_verdicts(
    ask: Callable[..., Ask], tmp_path: Path
):
    asked = ask("difficulty", run=tmp_path)
    found = model_inputs(asked)
    success_N = found.keywords["success"]
    correct: dict[str, list[bool]] = {}
    for row in base_rows(tmp_path):
        correct.setdefault(row["task_id"], []).append(row["correct"])
    assert len(correct) == found.notes["estimated"] == 24
    known = [i for i, task in enumerate(asked.corpus) if task.id in correct]
    expected = [(1 + sum(correct[asked.corpus[i].id])) / 5 for i in known]
    assert success_N[known].tolist() == pytest.approx(expected)
    assert len(set(expected)) > 1
    others = np.setdiff1d(np.arange(len(asked.corpus)), known)
    assert np.allclose(success_N[others], np.mean(expected))
    assert found.notes["without_estimate"] == len(others)


def test_what_one_stage_drew_no_other_draws_again(
    ask: Callable[..., Ask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = ask("majority", run=tmp_path)
    base = BaseModel(asked.base(), asked.recipe, asked.run, asked.graders)
    plain = base.groups("targets", asked.corpus[:6], 2, grade=False)
    assert [group.correct for group in plain] == [[]] * 6
    assert not any("correct" in row for row in base_rows(tmp_path))
    base.close()
    monkeypatch.setattr(base_model_stage, "load_completer", None)  # nothing is left to draw
    graded = base.groups("preflight", asked.corpus[:6], 2, grade=True)
    assert [group.texts for group in graded] == [group.texts for group in plain]
    assert all(len(group.correct) == 2 for group in graded)
    fewer = base.groups("preflight", asked.corpus[2:4], 1, grade=True)
    assert [group.texts for group in fewer] == [group.texts[:1] for group in plain[2:4]]
    assert len(base_rows(tmp_path)) == 12


def test_the_bill_counts_every_token(ask: Callable[..., Ask], tmp_path: Path):
    asked = ask("policy", run=tmp_path)
    found = model_inputs(asked)
    assert found.compute is not None
    rows = base_rows(tmp_path)
    assert found.compute["generated_tokens"] == sum(row["tokens"] for row in rows)
    assert found.compute["completions"] == 4 * (24 + len(asked.targets)) == len(rows)
    forward, back = (found.compute[f"{name}ed_tokens"] for name in ("forward", "backpropagat"))
    assert 0 < back < forward
    assert found.compute["flops"] == found.compute["parameters"] * (2 * forward + 4 * back)


def test_a_labelled_example_that_is_a_target_is_refused(ask: Callable[..., Ask]):
    asked = ask("dev")
    dev = make_skills(asked.recipe.selection.less.dev.skills)  # pyright: ignore
    leaked = [*asked.targets[:-1], replace(dev[0], id="")]
    with pytest.raises(UserError, match=r"less\.dev: 1 of 5 tasks overlap with the target"):
        model_inputs(ask("dev", targets=leaked))


def test_a_pool_smaller_than_the_curriculum_is_refused(ask: Callable[..., Ask]):
    asked = ask("majority")
    with pytest.raises(UserError, match="a pool of 5 tasks cannot give a curriculum of 10"):
        asked.pool(5)


def test_success_rates_can_be_read_from_the_tasks():
    tasks = [Task("math", str(i), "1", meta={"rate": rate}) for i, rate in enumerate((0, 50, None))]
    config = DifficultyConfig(key="rate", scale=0.01)
    known = rates_from_meta(tasks, config)
    assert known == {0: 0.01, 1: 0.5}
    assert fill(known, 3).tolist() == pytest.approx([0.01, 0.5, 0.255])
    with pytest.raises(UserError, match=r"meta\.rate of task .* is 50; times scale 1 it should be"):
        rates_from_meta(tasks, DifficultyConfig(key="rate"))
    with pytest.raises(UserError, match=r"no corpus task holds meta\.other"):
        rates_from_meta(tasks, DifficultyConfig(key="other"))


def test_an_undecided_verdict_is_no_trial():
    assert posterior_mean([True, None, False, True], (1, 1)) == pytest.approx(3 / 5)
    assert posterior_mean([], (1, 3)) == 0.25
