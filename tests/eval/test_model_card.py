"""The model card: the Hub's own parser reads it, its numbers are the run's, nothing is invented."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard_data import eval_results_to_model_index

from ttc_eval.records import read_summary
from ttc_eval.report.card_facts import read_facts
from ttc_eval.report.model_card import base_id, card, write_cards
from ttc_rl.config import Recipe
from ttc_rl.run_dir import RunDir, read_json, write_json

PROMPT = "How many primes are there below 1,000?"
SOURCES = [
    {"name": "gsm8k-train", "licence": "MIT", "hub": "openai/gsm8k", "tasks": 7000, "hash": "a"},
    {"name": "theoremqa", "licence": "MIT", "path": "/d/t.jsonl.gz", "tasks": 5, "hash": "b"},
    {"name": "me/sums", "licence": None, "hub": "me/sums", "tasks": 9, "hash": "c"},
    {"name": "me/empty", "licence": None, "hub": "me/empty", "tasks": 0, "hash": "d"},
    {"name": "/me/own.jsonl", "licence": None, "path": "/me/own.jsonl", "tasks": 1, "hash": "e"},
]  # fmt: skip


def recipe(**more: Any) -> Recipe:
    usual = {"model": "Qwen/Qwen3-0.6B", "corpus": "gsm8k-train", "target": "aime25"}
    return Recipe.model_validate(usual | more)


def made(folder: Path, asked: Recipe) -> ModelCard:
    run = RunDir.open(folder / "run", asked)
    write_json(run.corpus, SOURCES)
    return ModelCard(card(read_facts(run, asked, asked.arm_names[0], None)))


def test_a_runs_cards_hold_its_results_as_the_hub_reads_them(undisturbed: Path):
    run = RunDir(undisturbed)
    part = read_json(run.summary)["benchmarks"]["count"]
    for arm in ("random", "sift"):
        read = ModelCard.load(run.arm(arm, run.load_recipe()).model / "README.md")
        data = read.data
        assert (data.library_name, data.base_model, data.license) == ("transformers", None, None)
        assert {"ttc-rl", "trl", "grpo"} <= set(data.tags or [])
        assert data.model_name == f"undisturbed-{arm}"
        expected = part["models"][arm]["metrics"]
        found = {result.metric_name.partition(",")[0]: result for result in data.eval_results}
        assert found.keys() == {"avg@4", "pass@4", "maj@4", "greedy"}
        for metric, result in found.items():
            value, low = expected[metric]["value"], expected[metric]["lo"]
            assert result.metric_value == pytest.approx(100 * value, abs=0.005)
            assert f"interval {100 * low:.1f} to" in result.metric_name
        again = ModelCardData(**data.to_dict() | {"eval_results": data.eval_results})
        assert eval_results_to_model_index(data.model_name, again.eval_results) == (
            eval_results_to_model_index(data.model_name, data.eval_results)
        )
        gain = part["differences"][f"{arm} - base"]["avg@4"]
        assert f"{100 * gain['value']:+.1f} [{100 * gain['lo']:+.1f}" in read.text
        opening = {"sift": "Specialised", "random": "Trained for comparison"}[arm]
        assert f"> **{opening} on one test: count.**" in read.text
        assert "The run trained 2 arms" in read.text
        certified = read_json(run.arm(arm, run.load_recipe()).selection)["contamination"]
        assert certified["curriculum_hash"] in read.text


def test_no_prompt_and_no_gold_of_the_test_is_in_a_card(undisturbed: Path):
    run = RunDir(undisturbed)
    folder = run.arm("sift", run.load_recipe())
    text = (folder.model / "README.md").read_text()
    for target in read_json(folder.selection)["targets"]:
        assert target["prompt"] not in text


def test_trained_and_not_evaluated_it_says_so(undisturbed: Path, tmp_path: Path):
    shutil.copytree(undisturbed, tmp_path / "run")
    run = RunDir(tmp_path / "run")
    write_cards(run, run.load_recipe(), "sift")
    read = ModelCard.load(run.arm("sift", run.load_recipe()).model / "README.md")
    assert read.data.eval_results is None
    assert "Not evaluated yet." in read.text


def test_sources_base_and_licences_are_named_where_they_are_known(tmp_path: Path):
    read = made(tmp_path, recipe())
    assert read.data.base_model == "Qwen/Qwen3-0.6B"
    assert read.data.to_dict()["base_model_relation"] == "finetune"
    assert read.data.datasets == ["openai/gsm8k", "me/sums"]
    assert read.data.license is None
    assert "| gsm8k-train | openai/gsm8k | 7,000 | MIT |" in read.text
    assert "| me/sums | me/sums | 9 | not known |" in read.text
    assert "| own.jsonl |  | 1 | not known |" in read.text


def test_a_folders_own_card_gives_its_licence_and_no_id(tmp_path: Path):
    folder = tmp_path / "Qwen" / "base"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\nA model.\n")
    read = made(tmp_path, recipe(model=str(folder)))
    assert (read.data.license, read.data.base_model) == ("apache-2.0", None)
    (folder / "README.md").write_text("---\nlicense: [\n---\n")
    again = recipe(model=str(folder))
    assert ModelCard(card(read_facts(RunDir(tmp_path), again, "run", None))).data.license is None


@pytest.mark.parametrize("path", ["Qwen/Qwen3-0.6B", "a/b"])
def test_what_exists_here_is_no_hub_id(path: str, tmp_path: Path, monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    assert base_id(recipe(model=path)) == path
    (tmp_path / path).mkdir(parents=True)
    assert base_id(recipe(model=path)) is None


def test_a_prompt_of_ones_own_and_a_token_stay_private(tmp_path: Path):
    asked = recipe(target=PROMPT, train={"trl": {"hub_token": "hf_secret", "beta": 0.1}})
    read = made(tmp_path, asked)
    assert PROMPT not in read.content
    assert "hf_secret" not in read.content
    assert "beta 0.1" in read.text
    assert "Specialised on one prompt, which is not published." in read.text


def test_how_the_test_was_seen_is_told(tmp_path: Path):
    blind = made(tmp_path, recipe(selection={"method": "random"})).text
    assert "drawn without a look at that test" in blind
    assert "Specialised" not in blind
    seen = made(tmp_path / "b", recipe(train={"ttrl": {"tasks": 2}})).text
    assert "also trained on the test's own prompts" in seen
    assert "Specialised on one test: aime25." in seen
    control = made(tmp_path / "c", recipe(train={"reward": "shuffled"})).text
    assert "A control arm: it was rewarded for another task's answer" in control


def test_benchmarks_of_the_hub_are_named_by_their_id_there_and_none_swallows_another(
    undisturbed: Path,
):
    run = RunDir(undisturbed)
    asked, whole = run.load_recipe(), read_summary(run.summary)
    parts = dict.fromkeys(["math500@100", "math500"], whole.benchmarks["count"])
    summary = replace(whole, benchmarks=parts)
    read = ModelCard(card(read_facts(run, asked, "sift", summary)))
    found = {(one.dataset_name, one.dataset_type) for one in read.data.eval_results}
    assert found == {(name, "math-ai/math500") for name in parts}


def test_text_of_data_is_no_markup_of_a_card(tmp_path: Path):
    run = RunDir.open(tmp_path / "run", recipe())
    write_json(run.corpus, [SOURCES[2] | {"hub": "me/[x](y)", "licence": "<b>own</b> | {{ 7 }}"}])
    text = card(read_facts(run, recipe(), "run", None))
    line = next(line for line in text.splitlines() if line.startswith("| me/sums"))
    assert line == r"| me/sums | me/\[x\](y) | 9 | \<b\>own\</b\> \| {{ 7 }} |"
