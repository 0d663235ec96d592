"""`ttc-rl init`: a recipe that loads, from what lies in a folder."""

import json
from pathlib import Path

import pytest

from ttc_rl.config import load_recipe
from ttc_rl.schema import UserError
from ttc_rl.stages.starter import MODEL, Here, look_around, starter, write_starter


def test_what_lies_here_is_named(tmp_path: Path):
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model" / "config.json").write_text("{}")
    rows = [{"question": f"{i} + 1?", "answer": str(i + 1)} for i in range(40)]
    (tmp_path / "a-note.json").write_text('"not tasks"')
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    here = look_around(tmp_path)
    assert (here.model, here.data, here.tasks, here.kind) == ("my-model", "sums.jsonl", 40, "math")
    write_starter(tmp_path / "r.yaml", starter(here))
    recipe = load_recipe(tmp_path / "r.yaml")
    assert (recipe.model.path, recipe.corpus, recipe.target) == (
        "my-model", ["./sums.jsonl"], "math500",
    )  # fmt: skip
    assert (recipe.selection.size, recipe.arm_names) == (10, ["random", "sift"])
    with pytest.raises(UserError, match="is there already"):
        write_starter(tmp_path / "r.yaml", "")


def test_nothing_here_is_said_and_the_recipe_still_loads(tmp_path: Path):
    text = starter(look_around(tmp_path), target="aime25")
    (tmp_path / "r.yaml").write_text(text)
    recipe = load_recipe(tmp_path / "r.yaml")
    assert (recipe.model.path, recipe.corpus, recipe.target) == (MODEL, ["math-train"], "aime25")
    assert "no model's folder was found here" in text


def test_gpus_bring_vllm(tmp_path: Path):
    (tmp_path / "r.yaml").write_text(starter(Here(None, None, 0, "math", 2)))
    assert load_recipe(tmp_path / "r.yaml").train.vllm is not None


def test_a_named_file_without_tasks_is_refused(tmp_path: Path):
    (tmp_path / "x.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"x\.jsonl: no task could be read"):
        look_around(tmp_path, data="x.jsonl")
