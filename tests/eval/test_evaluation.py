"""The evaluation stage with real processes: engines that share, die, join."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ttc_rl.config import Recipe, dump_recipe
from ttc_rl.run_dir import RunDir, read_json
from ttc_rl.schema import UserError
from ttc_rl.stages.evaluating import gpu_shares
from ttc_rl.stages.job import Job
from ttc_rl.stages.pace import pace_line
from ttc_rl.stages.policies import evaluated
from ttc_rl.stages.run import evaluate

TREE = {
    "model": {
        "pretrain": {
            "layers": 1,
            "max_steps": 5,
            "skills": {"split": "pretrain", "tasks_per_family": 5, "families": ["count"]},
        }
    },
    "corpus": [{"skills": {"families": ["count"]}}],
    "target": {"skills": {"split": "test", "tasks_per_family": 24, "families": ["count"]}},
    "seed": 0,
    "prompts": {"exact": "{prompt} =>"},
    "eval": {
        "models": ["base"],
        "retention": [],
        "samples": 8,
        "k": [1, 8],
        "max_tokens": 12,
        "greedy": True,
        "batch": 3,  # a unit of a shared drawing: all draw in batches of these shapes, bit for bit
    },
}
SAMPLES = "base.samples.jsonl"


def recipe(**engine: object) -> Recipe:
    return Recipe.model_validate(TREE | {"eval": TREE["eval"] | {"engine": engine}})


def job(folder: Path, made: Recipe) -> Job:
    return Job(made, RunDir.open(folder, made, resume=True))


@pytest.fixture(scope="module")
def alone(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    evaluate(job(folder / "run", recipe()))
    return folder / "run" / "eval" / "count"


def same_samples(run: Path, alone: Path) -> bool:
    found, expected = (sorted((f / SAMPLES).read_text().splitlines()) for f in (run, alone))
    return found == expected


def test_one_model_can_be_evaluated_without_training(alone: Path):
    result = read_json(alone / "base.json")
    assert (result["tasks"], result["samples"], result["engine"]) == (24, 8, "transformers")
    assert set(result["metrics"]) >= {"avg@8", "pass@8", "greedy"}
    assert len(result["samples_sha256"]) == 64
    assert result["versions"]["packages"]["torch"]


def test_two_engines_draw_what_one_would(alone: Path, tmp_path: Path, said: list[str]):
    evaluate(job(tmp_path / "run", recipe(processes=2)))
    found = tmp_path / "run" / "eval" / "count"
    assert same_samples(found, alone)
    mine, theirs = (read_json(folder / "base.json")["metrics"] for folder in (found, alone))
    for metrics in (mine, theirs):  # its units are one task each, and are drawn several at once
        metrics.pop("greedy")
    assert mine == theirs
    assert any("216 completions by 2 engines" in line for line in said)
    assert list(found.glob("*.queue")) == []
    told = "".join(log.read_text() for log in (tmp_path / "run" / "eval").glob("engine-*.log"))
    assert "tokens/s" in told or "base model" in told


def test_who_joins_goes_on_where_a_killed_one_stopped(alone: Path, cache: Path, tmp_path: Path):
    made, root = recipe(), tmp_path / "run"
    RunDir.open(root, made)
    (tmp_path / "asked.yaml").write_text(dump_recipe(made))
    command = [sys.executable, "-m", "ttc_rl", "eval", str(root / "recipe.yaml"), "--run-dir"]
    first = subprocess.Popen(
        [*command, str(root), "--join"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    drawn = root / "eval" / "count" / "base.queue" / "done"
    deadline = time.monotonic() + 120
    while len(list(drawn.glob("*.jsonl"))) < 3 and first.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    for lease in (drawn.parent / "leases").glob("*"):  # not touched for longer than the patience
        os.utime(lease, (time.time() - 3600,) * 2)
    for words in (
        ["eval", str(root / "recipe.yaml"), "--run-dir", str(root), "--join"],
        ["report", str(root)],
        ["compare", str(root), str(root)],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ttc_rl", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert same_samples(root / "eval" / "count", alone)
    assert RunDir(root).benchmarks() == ["count"]  # the queues are still there, and are no results


def test_names_of_models_are_checked():
    with pytest.raises(UserError, match="no model 'bass' in this run; did you mean base"):
        evaluated(Recipe.model_validate(TREE | {"eval": {"models": ["bass"]}}))
    served = {"backend": "endpoint", "url": "http://localhost/v1", "served": {"base": "m"}}
    assert evaluated(recipe(**served)) == ["base"]
    both = Recipe.model_validate(TREE | {"eval": {"engine": served, "models": ["base", "sift"]}})
    with pytest.raises(UserError, match="no name for sift; say which it has there"):
        evaluated(both)


def test_each_engine_gets_its_own_gpus(monkeypatch: pytest.MonkeyPatch):
    import torch

    assert gpu_shares(recipe(processes=2)) == [None, None]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert gpu_shares(recipe(processes=2, tensor_parallel_size=2)) == ["0,1", "2,3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6,7")
    assert gpu_shares(recipe(processes=3)) == ["3", "5", "6"]
    with pytest.raises(UserError, match="3 processes on 2 GPUs each need 6; there are 4"):
        gpu_shares(recipe(processes=3, tensor_parallel_size=2))


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ((320, 960, 12_400, 10.0), "320 of 960 completions, 1,240 tokens/s, 20 s left"),
        ((500, 960, 0, 600.0, 440), "500 of 960 completions, 77 min left"),
        ((960, 960, 100, 10.0), "960 of 960 completions, 10 tokens/s"),
    ],
)
def test_a_line_says_how_far_how_fast_and_how_long_still(told: tuple[float, ...], line: str):
    assert pace_line(*told) == line
