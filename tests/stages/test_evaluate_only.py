"""An existing model on a file of tasks: no recipe, no corpus, no training."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ttc_rl.config import PretrainConfig
from ttc_rl.run_dir import RunDir, read_json
from ttc_rl.schema import UserError
from ttc_rl.stages.evaluate_only import folder_for, recipe_for
from ttc_rl.train.tiny_model import base_model

SMALL = PretrainConfig(hidden=16, layers=1, mlp=16, skills=None, max_steps=0)
ROWS = '{"question": "1 + 1?", "answer": "2"}\n{"question": "2 + 3?", "answer": "5"}\n'


def cli(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ttc_rl", "eval", *words], cwd=folder, capture_output=True, text=True
    )


def test_a_model_is_evaluated_by_one_command_and_reported(cache: Path, tmp_path: Path):
    (tmp_path / "sums.jsonl").write_text(ROWS)
    words = ("--model", str(base_model(SMALL, 0, {})), "--benchmark", "sums.jsonl")
    more = ("--samples", "3", "eval.max_tokens=4", "--run-dir", "out")
    done = cli(tmp_path, *words, *more)
    assert done.returncode == 0, done.stderr
    run = RunDir(tmp_path / "out")
    result = read_json(run.result("sums", "base"))
    assert (result["tasks"], result["samples"]) == (2, 3)
    page = run.report.read_text(encoding="utf-8")
    name = Path(words[1]).name
    assert f"<title>sums: evaluation of {name}</title>" in page
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings == ["Results", "Behind the numbers", "Completions", "How this was made"]
    samples = run.samples("sums", "base").read_bytes()
    assert cli(tmp_path, *words, *more).returncode == 0
    assert run.samples("sums", "base").read_bytes() == samples


def test_what_is_missing_is_said():
    with pytest.raises(UserError, match="--benchmark is missing"):
        recipe_for("m", [], [])
    with pytest.raises(UserError, match="--model is missing"):
        recipe_for(None, ["aime25"], ["eval.samples=4"])


def test_keys_and_an_endpoint_go_into_its_recipe():
    recipe = recipe_for("org/m", ["aime25", "x.jsonl"], ["eval.samples=4"], url="http://h/v1")
    assert recipe.targets == ["aime25", "x.jsonl"]
    assert recipe.engine.served == {"base": "org/m"}
    assert (recipe.eval.samples, recipe.eval.models) == (4, ["base"])
    assert folder_for("org/m", ["a/b@3", "../x.jsonl"]) == Path("runs/org-m-on-a-b@3-..-x.jsonl")
