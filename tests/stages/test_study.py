"""Studies: controls unasked, a base drawn once, questions answered, and what cannot be one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttc_eval.compare.answers import Answer, answers, ask
from ttc_eval.compare.comparison import OverSeeds
from ttc_eval.compare.runs import compare
from ttc_eval.report.study_page import answers_table, sentence
from ttc_rl.config import Recipe, load_recipe, make_recipe
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages import shared_base
from ttc_rl.stages.study import run_study, with_controls

TINY = Path(__file__).parents[1] / "tiny.yaml"
KEYS = [
    "sweep={seed: [0, 1], selection.noise: [0.1]}", "arms.random:=null", "selection.size=8",
    "train.epochs=1", "eval.greedy=false", "eval.benchmarks=['skills/sort@6']",
]  # fmt: skip


def study(*more: str) -> Recipe:
    return with_controls(load_recipe(TINY, [*KEYS, *more]))


# --------------------------------------------------------------------------- controls


def test_controls_are_there_unasked_and_made_from_the_headline_arm():
    made = study("arms.sift={train: {trl: {beta: 0.1}}}", "study={near: 3}")
    assert list(made.arms) == ["sift", "random", "format", "without-nearest"]
    assert made.arm("random").selection.method == "random"
    assert made.arm("format").train.reward == "format"
    assert made.arm("without-nearest").selection.leave_nearest == 3
    assert all(made.arm(name).train.trl["beta"] == 0.1 for name in made.arms)
    assert all(made.arm(name).train.charge_selection for name in made.arms)


def test_a_control_is_refused_by_name_with_a_reason():
    made = study("study={without: {format: no format can be wrong here}}")
    assert "format" not in made.arms
    own = study("arms={sift: {}, random: {selection: {method: nearest}}}")
    assert own.arm("random").selection.method == "nearest"  # one's own of that name stays


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (["sweep={seed: [0]}"], "a study needs `sweep: {seed: [0, 1, ...]}`"),
        (["study={questions: ['sifted - random']}"], "study.questions: there is no arm sifted"),
        (["study={questions: ['sift - rondom']}"], "sift - rondom: there is no arm rondom"),
        (["study={questions: [sift]}"], "String should match pattern"),
    ],
)
def test_what_is_no_study(keys: list[str], says: str):
    with pytest.raises(UserError) as error:
        study(*keys)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_without_arms_is_its_own_headline():
    tree = {"model": "m", "corpus": "c.jsonl", "target": "aime25", "sweep": {"seed": [1, 2]}}
    assert list(with_controls(make_recipe(tree)).arms) == [
        "sift", "random", "format", "without-nearest"
    ]  # fmt: skip


# --------------------------------------------------------------------------- a whole study


@pytest.fixture(scope="module")
def done(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, Any]:
    sweep = "sweep:={seed: [0, 1], target: [skills/count@8, skills/sort@8]}"
    made = load_recipe(TINY, [*KEYS, sweep])
    made = with_controls(made)
    root = tmp_path_factory.mktemp("study") / "s"
    RunDir.open(root, made)
    return made, root, run_study(made, root, 1)


@pytest.mark.slow
def test_the_questions_are_answered_with_a_figure_and_a_table(done: tuple[Recipe, Path, Any]):
    made, _, (asked, arms, pages) = done
    assert [question.pair for question in asked] == ["sift - random"]
    assert set(asked[0].by_target) == {"skills/count@8", "skills/sort@8"}
    assert asked[0].overall
    assert asked[0].overall.seeds == 2
    assert {answer.arm for answer in arms} == {"base", *made.arms}
    assert [answer.score.value for answer in arms] == sorted(
        (answer.score.value for answer in arms), reverse=True
    )
    flops = {answer.arm: answer.flops for answer in arms}
    assert flops["base"] == 0
    assert all(flops[name] > 0 for name in made.arms)
    page = pages[0].read_text()
    assert page.count("<svg") == 1
    assert sentence(asked[0]).split(":")[0] in page
    assert "without-nearest" in pages[1].read_text()
    assert "Tried for this target" in page


@pytest.mark.slow
def test_the_base_is_drawn_once_for_all_runs_of_a_seed(done: tuple[Recipe, Path, Any]):
    _, root, _ = done
    runs = [RunDir(path) for path in sorted(root.iterdir()) if (path / "recipe.yaml").exists()]
    assert len(runs) == 4
    taken = [path for path in root.glob("*.log") if "taken from" in path.read_text()]
    assert len(taken) == 2  # the second target of each seed
    for seed in (0, 1):
        own = [run for run in runs if run.load_recipe().seed == seed]
        rows = [list(read_jsonl(run.samples("skills/sort@6", "base"))) for run in own]
        assert rows[0] == rows[1]
    held = [read_json(run.result("skills/sort@6", "base")) for run in runs]
    assert held[0]["metrics"] == held[1]["metrics"] or held[0]["seed"] != held[1]["seed"]


@pytest.mark.slow
def test_nothing_is_taken_where_anything_differs(
    done: tuple[Recipe, Path, Any], monkeypatch: pytest.MonkeyPatch
):
    from ttc_eval.records import read_result
    from ttc_rl.corpus.benchmarks import load_benchmark
    from ttc_rl.stages.job import Job

    _, root, _ = done
    first = next(RunDir(path) for path in sorted(root.iterdir()) if (path / "eval").exists())
    held = read_result(first.result("skills/sort@6", "base"))
    recipe = first.load_recipe()
    benchmark = load_benchmark("skills/sort@6")
    assert held.sampling
    assert held.weights
    copied: list[Path] = []
    monkeypatch.setattr(shared_base, "_copy", lambda _, path: copied.append(path))
    fresh = RunDir(root / "new")
    shared_base.take_evaluated(Job(recipe, fresh), benchmark, held.sampling, held.weights)
    assert len(copied) == 1
    other = recipe.model_copy(update={"seed": 7})
    cooler = held.sampling.model_copy(update={"temperature": 0.5})
    shared_base.take_evaluated(Job(other, fresh), benchmark, held.sampling, held.weights)
    shared_base.take_evaluated(Job(recipe, fresh), benchmark, cooler, held.weights)
    shared_base.take_evaluated(Job(recipe, fresh), benchmark, held.sampling, "other")
    alone = RunDir(root / "deeper" / "run")
    shared_base.take_evaluated(Job(recipe, alone), benchmark, held.sampling, held.weights)
    assert len(copied) == 1


@pytest.mark.slow
def test_a_question_may_be_asked_either_way_round(done: tuple[Recipe, Path, Any]):
    _, root, (asked, arms, _) = done
    runs = [RunDir(path) for path in sorted(root.iterdir()) if (path / "recipe.yaml").exists()]
    comparison = compare(runs)
    turned = ask(comparison, "random - sift")
    assert turned
    assert turned.overall
    assert asked[0].overall
    assert turned.overall.value == pytest.approx(-asked[0].overall.value)
    assert turned.overall.lo == pytest.approx(-asked[0].overall.hi)
    assert ask(comparison, "sift - nothing") is None
    assert answers(comparison, runs) == arms


# --------------------------------------------------------------------------- words


def test_the_sentence_claims_only_what_is_resolved():
    def cell(value: float, reach: float) -> OverSeeds:
        return OverSeeds(value, value - reach, value + reach, None, seeds=3)

    from ttc_eval.compare.answers import Asked

    def said(overall: OverSeeds | None, one: OverSeeds) -> str:
        return sentence(Asked(pair="a - b", metric="avg@8", by_target={"t": one}, overall=overall))

    assert said(cell(0.1, 0.05), cell(0, 1)).startswith("a beats b: a - b is +10.0")
    assert said(cell(-0.1, 0.05), cell(0, 1)).startswith("b beats a")
    assert said(None, cell(0.1, 0.2)).startswith("a and b cannot be told apart")
    assert "on t (3 seeds)" in said(None, cell(0.1, 0.2))


def test_costs_are_in_units_of_the_cheapest_that_costs_anything():
    score = OverSeeds(0.5, 0.4, 0.6, None, seeds=2)
    arms = [
        Answer(arm=name, score=score, gain=None, over_random=None, flops=flops, elsewhere=None)
        for name, flops in (("base", 0.0), ("a", 2e9), ("b", 5e9), ("c", None))
    ]
    table = answers_table(arms)
    assert [row[4] for row in table.rows] == ["0.0", "1.0", "2.5", ""]
    assert "2e+09" in table.note
    assert json.dumps([list(row) for row in table.rows])
    assert np.isfinite(score.value)
