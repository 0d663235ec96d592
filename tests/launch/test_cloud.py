"""SkyPilot's task and Hugging Face's job, run by stand-ins; Hugging Face's own reading of ours."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from schedulers import STUBS

from ttc_rl.config import Recipe, load_recipe
from ttc_rl.launch import Launch
from ttc_rl.launch.cloud import Cloud, hf_command, hf_script, sky_task, write_hf
from ttc_rl.schema import UserError

ROOT = Path(__file__).parents[2]
RENTED = Cloud(bucket="me/runs", image="me/ttc-rl:1")


def recipe(**train: object) -> Recipe:
    return Recipe.model_validate(
        {"model": "Qwen/Qwen3-8B", "corpus": "dapo-math", "target": "aime25", "train": train}
    )


def asked(gpus: int = 4, nodes: int = 1, run: str = "runs/r") -> Launch:
    return Launch(Path("r.yaml"), ["seed=1"], Path(run), "fsdp2", gpus, nodes)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins on the PATH that write down what they were asked; the log."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in STUBS.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("BUCKETS", str(tmp_path / "buckets"))
    monkeypatch.setattr("ttc_rl.launch.cloud.RUNS", tmp_path / "runs on the machine")
    (tmp_path / "runs on the machine").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "log"


# --------------------------------------------------------------------------- SkyPilot


def test_the_sky_task_runs_select_once_and_training_everywhere(cloud: Path, tmp_path: Path):
    task = YAML(typ="safe").load(sky_task(asked(nodes=2, gpus=8), recipe(), Cloud()))
    assert (task["num_nodes"], task["resources"]["accelerators"]) == (2, "H100:8")
    ((mounted, bucket),) = task["file_mounts"].items()
    assert bucket == {"name": "ttc-rl-runs", "store": "s3", "mode": "MOUNT_CACHED"}
    env = {**os.environ, "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2"}
    nodes = [
        subprocess.Popen(["bash", "-c", task["run"]], env={**env, "SKYPILOT_NODE_RANK": rank})
        for rank in ("1", "0")
    ]
    assert [node.wait(timeout=60) for node in nodes] == [0, 0]
    lines = cloud.read_text(encoding="utf-8").splitlines()
    assert "-m ttc_rl select" in lines[0]
    assert sum("-m ttc_rl eval" in line for line in lines) == 1
    training = [line for line in lines if "ttc_rl train" in line]
    assert sorted(re.findall(r"--machine_rank (\d)", " ".join(training))) == ["0", "1"]
    for line in training:
        assert "--main_process_ip 10.0.0.1" in line
        assert f"--run-dir {mounted}/r" in line
    named = shlex.split(training[0])[shlex.split(training[0]).index("--config_file") + 1]
    assert (ROOT / named).exists()
    assert (ROOT / task["setup"].split()[3]).exists()  # the constraints


def test_the_sky_task_takes_a_bucket_an_image_and_a_strange_name():
    task = YAML(typ="safe").load(
        sky_task(asked(run="runs/50% off"), recipe(), Cloud("A100", "my-bucket", "me/img"))
    )
    assert task["name"] == "ttc-rl-50-off"
    assert task["resources"]["image_id"] == "docker:me/img"
    assert task["resources"]["accelerators"] == "A100:4"
    assert task["file_mounts"]["/runs"]["name"] == "my-bucket"
    assert "'/runs/50% off'" in task["run"]


# --------------------------------------------------------------------------- Hugging Face Jobs


def test_hugging_face_reads_the_command_as_it_was_meant(tmp_path: Path):
    words = shlex.split(hf_command(asked(run="runs/my run"), RENTED))
    hf = Path(sys.executable).with_name("hf")
    done = subprocess.run(
        [str(hf), *words[1:3], "--dry-run", *words[3:]],
        env={**os.environ, "HF_TOKEN": "x", "NO_COLOR": "1"},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    read = dict(
        line.strip().split(None, 1) for line in done.stdout.splitlines() if line.startswith("  ")
    )
    assert read["image"] == "me/ttc-rl:1"
    assert read["command"] == "bash /launch/job.sh"
    assert (read["flavor"], read["timeout"], read["attempts"]) == ("h200x4", "24h", "3")
    assert read["volumes"] == f"{Path.cwd()}/runs/my run.launch:/launch"
    assert read["labels"] == "name=ttc-rl-my-run"


def test_a_hugging_face_that_would_misread_the_command_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.HfApi.run_job", lambda image, command: None)
    with pytest.raises(UserError, match=r"pip install 'huggingface_hub>=2\.4'"):
        hf_command(asked(), RENTED)


def run_job(folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", str(folder / "job.sh")],
        env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_job_keeps_its_run_in_the_bucket_and_a_second_attempt_begins_with_it(
    cloud: Path, tmp_path: Path
):
    assert write_hf(asked(), recipe(), RENTED).startswith("hf jobs run ")
    launch = tmp_path / "runs" / "r.launch"
    assert load_recipe(launch / "recipe.yaml").model.path == "Qwen/Qwen3-8B"
    kept = tmp_path / "buckets" / "me" / "runs" / "ttc-rl-r"
    kept.mkdir(parents=True)
    (kept / "of the first attempt").write_text("5 steps")
    done = run_job(launch, TRAINING="0.5", TRAIN_ENDS="3")
    assert done.returncode == 3
    lines = cloud.read_text(encoding="utf-8").splitlines()
    stages = [i for i, line in enumerate(lines) if "-m ttc_rl" in line]
    uploads = [i for i, line in enumerate(lines) if line.endswith("--delete")]
    assert lines[0] == "hf buckets create hf://buckets/me/runs --private --exist-ok"
    assert lines[1].startswith("hf buckets sync hf://buckets/me/runs/ttc-rl-r ")
    assert len(uploads) > 1  # while it trains
    assert (kept / "of the first attempt").read_text() == "5 steps"
    run = tmp_path / "runs on the machine" / "ttc-rl-r"
    assert (run / "of the first attempt").exists()
    assert f"select /launch/recipe.yaml --run-dir {run} --resume" in lines[stages[0]]
    cloud.unlink()
    done = run_job(launch, KEEPS_EVERY="3")
    assert done.returncode == 0, done.stderr
    lines = cloud.read_text(encoding="utf-8").splitlines()
    assert "-m ttc_rl eval" in lines[-2]
    assert [line for line in lines if line.endswith("--delete")] == lines[-1:]  # at the end alone


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing(tmp_path: Path):
    (tmp_path / "job.sh").write_text(hf_script(asked(), recipe(), RENTED))
    done = subprocess.run(
        ["shellcheck", str(tmp_path / "job.sh")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("launch", "cloud", "says"),
    [
        (asked(), Cloud(bucket="me/runs"), "name an image with --image"),
        (asked(), Cloud(image="i"), "--bucket ttc-rl-runs: write USER/ttc-rl-runs"),
        (asked(nodes=2), RENTED, "a job has one node"),
        (asked(gpus=3), RENTED, "--gpus 3: no machine is known with so many"),
    ],
)
def test_what_a_job_cannot_be_is_one_line(launch: Launch, cloud: Cloud, says: str):
    with pytest.raises(UserError, match=re.escape(says)):
        hf_command(launch, cloud)


def test_a_folder_of_this_machine_is_no_place_for_a_job_to_read_tasks_from():
    here = recipe().model_copy(update={"data": "/my/tasks"})
    with pytest.raises(UserError, match="data: /my/tasks is a folder of this machine"):
        hf_script(asked(), here, RENTED)
    with pytest.raises(UserError, match=r"train\.vllm\.mode: server is rendered for SLURM"):
        hf_script(asked(), recipe(vllm={"mode": "server"}), RENTED)
