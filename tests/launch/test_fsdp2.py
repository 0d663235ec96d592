"""Weights shared out over two processes (PyTorch's FSDP2 over gloo): the model that one trains."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from alike import assert_trained_alike

from ttc_rl.launch import config_file
from ttc_rl.run_dir import read_jsonl

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TINY = HERE.parent / "tiny.yaml"
ONE_ARM = "arms.random=null"
KEYS = {
    "all": (ONE_ARM,),
    "following": (
        ONE_ARM, "train.curriculum.method=beta", "train.curriculum.every=2",
        "train.guard={min_successes: 1}", "train.pass_at_k=2",
    ),
    "lora": (ONE_ARM, "train.lora={rank: 4}"),
    "svf": (ONE_ARM, "train.svf={}", "train.trl.learning_rate=1e-2"),
}  # fmt: skip


def config(folder: Path) -> str:
    """Ours, but for processors: no GPU, no bfloat16."""
    text = config_file("fsdp2").read_text()
    changed = text.replace("mixed_precision: bf16", 'mixed_precision: "no"')
    path = folder / "fsdp2.yaml"
    path.write_text(changed.replace("use_cpu: false", "use_cpu: true"))
    assert path.read_text() != changed != text
    return str(path)


def start(
    folder: Path, run: Path, keys: tuple[str, ...], *, drawn: Path | None = None
) -> "subprocess.Popen[str]":
    ranks = [
        "-m", "accelerate.commands.launch", "--config_file", config(folder),
        "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0",
    ]  # fmt: skip
    script = [str(HERE / "fsdp2_on_cpu.py"), "train", str(TINY), *keys, "--run-dir", str(run)]
    return subprocess.Popen(
        [sys.executable, *ranks, *script],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | ({"DRAWN": str(drawn)} if drawn else {}),
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


def selected(run: Path, keys: tuple[str, ...]) -> Path:
    command = [sys.executable, "-m", "ttc_rl", "select", str(TINY), *keys, "--run-dir", str(run)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return run


def tasks(run: Path) -> list[str]:
    files = sorted((run / "arms" / "sift" / "rollouts").glob("*.parquet"))
    return [task for file in files for task in pq.read_table(file)["task_id"].to_pylist()]


def assert_same(one: Path, other: Path) -> None:
    assert tasks(one) == tasks(other)
    assert_trained_alike(*(run / "arms" / "sift" for run in (one, other)))


@pytest.mark.parametrize("what", list(KEYS))
def test_two_ranks_that_share_the_weights_train_the_model_of_one(
    cache: Path, tmp_path: Path, what: str
):
    keys = KEYS[what]
    alone, two = (selected(tmp_path / name, keys) for name in ("alone", "two"))
    script = [str(HERE / "same_draws.py"), "train", str(TINY), *keys, "--run-dir", str(alone)]
    subprocess.run(
        [sys.executable, *script], check=True, capture_output=True, timeout=300,
        env={**os.environ, "DRAWN": str(tmp_path / "drawn")},
    )  # fmt: skip
    finish(start(tmp_path, two, keys, drawn=tmp_path / "drawn"))
    assert_same(alone, two)


def test_killed_and_started_again_it_ends_the_same(cache: Path, tmp_path: Path):
    keys = KEYS["all"]
    whole, killed = (selected(tmp_path / name, keys) for name in ("whole", "killed"))
    finish(start(tmp_path, whole, keys))
    process = start(tmp_path, killed, keys)
    metrics = killed / "arms" / "sift" / "metrics.jsonl"
    while sum(1 for _ in read_jsonl(metrics)) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    for one in [process, *psutil.Process(process.pid).children(recursive=True)]:
        one.kill()
    process.communicate()
    assert "training goes on after step 3" in finish(start(tmp_path, killed, keys))
    assert [row["step"] for row in read_jsonl(metrics)] == [*range(1, 9)]
    assert_same(whole, killed)
