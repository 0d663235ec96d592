"""What a resumed run may change, and how a refusal names what it may not."""

import subprocess
import sys
from pathlib import Path

import pytest

from ttc_rl.config import Recipe
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import UserError

TREE = {"model": "m", "corpus": "c.jsonl", "target": "t.jsonl"}
START = {"train": {"epochs": 2}, "arms": {"sift": {}, "random": {"selection": {"size": 5}}}}


def recipe(**sections: object) -> Recipe:
    return Recipe.model_validate({**TREE, **START, **sections})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = RunDir.open(tmp_path / "run", recipe())
    run.summary.write_text("{}")  # without a result it would be no run yet
    return run.root


def test_keys_that_cannot_change_a_result_may_change_and_are_kept(run: Path):
    changed = recipe(
        train={"epochs": 2, "micro_batch": 4, "watchdog": {"stop": []}},
        eval={"batch": 7, "engine": {"processes": 2}},
        arms={**START["arms"], "sift": {"train": {"watchdog": {"stall": 3}}}},
    )
    assert RunDir.open(run, changed, resume=True).load_recipe() == changed


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"seed": 1}, "differs in seed (was 42, now 1); resume with the same recipe"),
        (
            {"train": {"epochs": 3, "trl": {"beta": 0.1}, "micro_batch": 2}},
            "differs in train.epochs (was 2, now 3), train.trl.beta (was unset, now 0.1); resume",
        ),
        ({"train": {"epochs": 2, "svf": {}}}, "train.svf.target_modules (was unset, now all-lin"),
        ({"arms": {"sift": {}}}, "differs in arms.random.selection.size (was 5, now unset)"),
        (
            {"arms": {"sift": {"train": {"svf": None}}, "random": {"selection": {"size": 5}}}},
            "differs in arms.sift.train.svf (was unset, now None)",
        ),
        ({"selection": {"method": "qp", "size": 3, "noise": 1, "weight_by": "w", "group_by": "g",
                        "repeat": True}}, "and 1 more; resume"),
    ],
)  # fmt: skip
def test_any_other_key_is_named(run: Path, sections: dict, named: str):
    with pytest.raises(UserError) as refused:
        RunDir.open(run, recipe(**sections), resume=True)
    assert named in str(refused.value)
    assert RunDir(run).load_recipe() == recipe()


def test_a_folder_that_a_refused_stage_left_takes_the_corrected_recipe(tmp_path: Path):
    run = RunDir.open(tmp_path / "run", recipe())
    for path in (run.versions, run.overlap, run.dev_tasks, run.evaluated_tasks("t")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    changed = recipe(seed=1)
    assert RunDir.open(run.root, changed).load_recipe() == changed
    assert not run.evaluated_tasks("t").exists()  # it may be of another target


def test_an_evaluation_whose_model_was_refused_can_be_asked_again_with_another(tmp_path: Path):
    target = tmp_path / "t.jsonl"
    target.write_text('{"kind": "math", "prompt": "1+1", "answer": "2"}\n')
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (broken / name).write_text("{")
    said = []
    for model in (broken, tmp_path / "other"):
        tree = f"model: {model}\ncorpus: c.jsonl\ntarget: {target}\n"
        (tmp_path / "r.yaml").write_text(tree + "eval: {models: [base], retention: []}\n")
        words = ["eval", str(tmp_path / "r.yaml"), "--run-dir", str(tmp_path / "run")]
        done = subprocess.run(
            [sys.executable, "-m", "ttc_rl", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, done
        said.append(done.stderr)
    assert f"{broken}" in said[0]
    assert f"{tmp_path / 'other'}: no such" in said[1]
