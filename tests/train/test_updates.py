"""Several optimiser updates a step: how many there are, on what, and resuming after a kill."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from ttc_rl.config import Recipe, TrainConfig, load_recipe
from ttc_rl.run_dir import ArmDir, read_json, read_jsonl
from ttc_rl.train.curriculum import plan
from ttc_rl.train.methods.grpo_config import grpo_config

pytestmark = pytest.mark.slow

TINY = str(Path(__file__).parents[1] / "tiny.yaml")
UPDATES = "train.updates_per_step=4"


FOLLOWING = ("train.curriculum.method=beta", "train.curriculum.every=2")


def start(stage: str, run: Path, *keys: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "ttc_rl", stage, TINY, UPDATES, *keys, "--run-dir", str(run)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(("micro", "passes"), [(None, 1), (2, 2)])
def test_trl_generates_once_a_step_and_updates_as_often_as_asked(
    tmp_path: Path, micro: int | None, passes: int
):
    sections = {"model": "m", "corpus": "c.jsonl", "target": "t.jsonl"}
    train = {"tasks_per_step": 4, "rollouts_per_task": 4, "updates_per_step": 4, "save_steps": 3}
    made = Recipe.model_validate({**sections, "train": {**train, "micro_batch": micro}})
    config = grpo_config(
        made, plan(list("abcdefgh"), made.train).steps, ArmDir(tmp_path), track=False
    )
    assert config.generation_batch_size == 16
    assert config.gradient_accumulation_steps == passes
    assert config.per_device_train_batch_size * passes * 4 == 16
    assert (config.max_steps, config.save_steps, config.logging_steps) == (8, 12, 4)


def test_updates_that_do_not_divide_a_step_are_refused():
    with pytest.raises(ValidationError, match="updates_per_step 3 does not divide the 16"):
        TrainConfig(tasks_per_step=4, rollouts_per_task=4, updates_per_step=3)


@pytest.mark.parametrize("keys", [(), FOLLOWING], ids=["static", "following"])
def test_the_order_is_kept_and_a_kill_changes_nothing(
    cache: Path, tmp_path: Path, keys: tuple[str, ...]
):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for run in (whole, killed):
        assert start("select", run, *keys).wait(timeout=120) == 0
    assert start("train", whole, *keys).wait(timeout=200) == 0
    process = start("train", killed, *keys)
    arm = killed / "arms" / "sift"
    while sum(1 for _ in read_jsonl(arm / "metrics.jsonl")) < 5:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = read_json(arm / "checkpoints" / "checkpoint-12" / "trainer_state.json")
    assert state["global_step"] == 3 * 4
    assert start("train", killed, *keys).wait(timeout=200) == 0
    for name in ("random", "sift"):
        one, other = (run / "arms" / name for run in (whole, killed))
        picks = [row["task_id"] for row in read_jsonl(one / "curriculum.jsonl")]
        planned = plan(picks, load_recipe(TINY).train).task_ids
        assert executed(one) == executed(other)
        assert (executed(one) == list(planned)) == (not keys)
        steps = [row["step"] for row in read_jsonl(other / "metrics.jsonl")]
        assert steps == [*range(1, 9)]
        assert digest(one) == digest(other)
        assert generated(one) == generated(other)


def executed(folder: Path) -> list[str]:
    files = sorted((folder / "rollouts").glob("*.parquet"))
    return [task for file in files for task in pq.read_table(file)["task_id"].to_pylist()][::4]


def generated(folder: Path) -> list[float]:
    return [row["tokens/generated"] for row in read_jsonl(folder / "metrics.jsonl")]


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def test_the_updates_of_a_step_are_off_its_policy(cache: Path, tmp_path: Path):
    """From the second update on the ratio to the drawing policy is not 1, so that clipping acts."""
    run = tmp_path / "run"
    for stage in ("select", "train"):
        assert start(stage, run).wait(timeout=200) == 0
    rows = list(read_jsonl(run / "arms" / "sift" / "metrics.jsonl"))
    assert any(row["clip_ratio/region_mean"] > 0 for row in rows), json.dumps(rows[-1])
