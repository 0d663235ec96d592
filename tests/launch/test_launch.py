"""Launching: accelerate's own reading of our configs, and two real ranks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from alike import assert_trained_alike
from ruamel.yaml import YAML

from ttc_rl.config import Recipe, load_recipe
from ttc_rl.launch import CONFIGS, Launch, Parallel, check, config_file, local, run_local
from ttc_rl.run_dir import read_json, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.system.tether import LAUNCH
from ttc_rl.train.curriculum import plan

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
TINY = ROOT / "tests" / "tiny.yaml"
SAME_DRAWS = Path(__file__).parent / "same_draws.py"
FOLLOWING = ("train.curriculum.method=beta", "train.curriculum.every=2")


def recipe(**train: object) -> Recipe:
    return Recipe.model_validate(
        {"model": "Qwen/Qwen3-8B", "corpus": "c.jsonl", "target": "aime25", "train": train}
    )


def asked(config: Parallel = "fsdp2", gpus: int = 4, nodes: int = 1, run: str = "runs/r") -> Launch:
    return Launch(Path("r.yaml"), ["seed=1"], Path(run), config, gpus, nodes)


# --------------------------------------------------------------------------- accelerate's view


@pytest.mark.parametrize("name", CONFIGS)
def test_accelerate_knows_every_key_and_reads_what_was_meant(name: Parallel):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    path = config_file(name)
    tree = YAML(typ="safe").load(path.read_text())
    config = load_config_from_file(str(path))  # raises for a key that it does not know
    parser = launch_command_parser()
    known = {action.dest for action in parser._actions}
    assert set(tree.get("fsdp_config", {})) <= known
    assert config.distributed_type.value == tree["distributed_type"]
    processes = "1" if name == "single" else "2"
    command = ["--config_file", str(path), "--num_processes", processes, "--num_machines", "1"]
    args, _, _ = _validate_launch_command(parser.parse_args([*command, "-m", "ttc_rl", "train"]))
    assert args.use_fsdp == (name == "fsdp2")
    assert args.multi_gpu == (name in ("ddp", "cpu"))
    assert args.use_cpu == (name == "cpu")
    if name == "fsdp2":
        assert str(args.fsdp_version) == "2"
        assert args.fsdp_state_dict_type == "FULL_STATE_DICT"


# --------------------------------------------------------------------------- two real ranks


def ttc_rl(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ttc_rl", *arguments],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def executed(folder: Path) -> list[str]:
    """Task of every completion, step by step and rank by rank."""
    files = sorted((folder / "rollouts").glob("*.parquet"))
    return [task for file in files for task in pq.read_table(file)["task_id"].to_pylist()]


def completions(folder: Path) -> list[str]:
    files = sorted((folder / "rollouts").glob("*.parquet"))
    return [text for file in files for text in pq.read_table(file)["completion"].to_pylist()]


def assert_went_by_plan(run: Path) -> None:
    for arm in ("random", "sift"):
        folder = run / "arms" / arm
        picks = [row["task_id"] for row in read_jsonl(folder / "curriculum.jsonl")]
        made = plan(picks, load_recipe(TINY).train)
        assert executed(folder) == [task for task in made.task_ids for _ in range(4)]
        ranks = [file.stem.rpartition("-")[2] for file in (folder / "rollouts").glob("*.parquet")]
        assert sorted(ranks) == ["0"] * 8 + ["1"] * 8
        assert [row["step"] for row in read_jsonl(folder / "metrics.jsonl")] == [*range(1, 9)]
        assert not (folder / "checkpoints").exists()


KEPT = ("train.dev={every: 3, tasks: 7, samples: 2}", "train.keep=best")


def two_ranks(run: Path) -> list[str]:
    cpu = ["--parallel", "cpu", "--gpus", "2", "--run-dir", str(run)]
    return ["launch", str(TINY), *KEPT, *cpu]


def launched(run: Path, metrics: Path, lines: int) -> "subprocess.Popen[str]":
    """`ttc-rl launch` alive, with so many steps trained."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ttc_rl", *two_ranks(run)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while not (metrics.exists() and len(metrics.read_text(encoding="utf-8").splitlines()) >= lines):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    return process


def weights(run: Path, arm: str) -> bytes:
    return (run / "arms" / arm / "model" / "model.safetensors").read_bytes()


def assert_takes_all_with_it(process: "subprocess.Popen[str]", ends: signal.Signals) -> None:
    below = psutil.Process(process.pid).children(recursive=True)
    ranks = [one for one in below if "RANK" in one.environ() and "train" in one.cmdline()]
    assert len(ranks) == 2
    process.send_signal(ends)
    said = process.communicate(timeout=60)[0]
    assert psutil.wait_procs(below, timeout=10)[1] == []
    if ends != signal.SIGKILL:
        assert process.returncode == 128 + ends
        assert f"ended by {ends.name}; the same command goes on from there" in said


def test_a_launch_takes_its_ranks_with_it_and_ends_the_same_when_launched_again(
    cache: Path, tmp_path: Path
):
    run, alone = tmp_path / "two", tmp_path / "undisturbed"
    random, sift = (run / "arms" / arm / "metrics.jsonl" for arm in ("random", "sift"))
    assert_takes_all_with_it(launched(run, random, 5), signal.SIGTERM)
    assert_takes_all_with_it(launched(run, sift, 5), signal.SIGKILL)
    assert "training goes on after step 3" in ttc_rl(*two_ranks(run))
    assert_went_by_plan(run)
    for model in ("base", "random", "sift"):
        assert (run / "eval" / "count" / f"{model}.json").exists()
    assert "Plan and outcome" in (run / "report.html").read_text()
    select, train, _ = local(Launch(TINY, list(KEPT), alone, "cpu", 2))
    for command in (select, train):
        subprocess.run(command, capture_output=True, timeout=300, check=True)
    for arm in ("random", "sift"):
        assert executed(run / "arms" / arm) == executed(alone / "arms" / arm)
        assert weights(run, arm) == weights(alone, arm)
        dev = [list(read_jsonl(folder / "arms" / arm / "dev.jsonl")) for folder in (run, alone)]
        assert dev[0] == dev[1]
        assert [row["step"] for row in dev[0]] == [0, 3, 6, 8]


SLOW_TO_END = """
trap 'sleep 0.3; echo "the child has ended"; exit 3' INT TERM
echo begun
while true; do sleep 0.01; done
"""
LAUNCHING = """
import logging, sys
from ttc_rl.launch import _run
logger = logging.getLogger("ttc_rl")
logger.addHandler(logging.StreamHandler(sys.stdout))
logger.setLevel(logging.INFO)
_run(["bash", "-c", sys.argv[1]])
"""


def launching(script: str, sigint: signal.Handlers) -> "subprocess.Popen[str]":
    """With SIGINT as a terminal has it, or as a background shell does, wherever the tests run."""
    return subprocess.Popen(
        [sys.executable, "-uc", LAUNCHING, script], stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, sigint),
    )  # fmt: skip


def test_a_signal_that_is_ignored_stays_ignored():
    process = launching("echo begun; sleep 1; echo done", signal.SIG_IGN)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "done\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_the_child_waited_for(number: signal.Signals):
    process = launching(SLOW_TO_END, signal.SIG_DFL)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    said = process.communicate(timeout=60)[0].splitlines()
    assert said[0] == "the child has ended"
    assert said[1].startswith(f"ended by {number.name}")
    assert process.returncode == 128 + number


def test_a_rank_whose_launch_has_ended_does_not_begin(tmp_path: Path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    done = subprocess.run(
        [sys.executable, "-m", "ttc_rl", "train", str(TINY), "--run-dir", str(tmp_path)],
        env={**os.environ, LAUNCH: str(ended.pid)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"process {ended.pid}, has ended" in done.stderr


def with_same_draws(run: Path, ranks: int, *keys: str, **environment: str) -> None:
    """Train with so many ranks, on the draws of one."""
    done = subprocess.run(
        same_draws(run, ranks, *keys), env={**os.environ, **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def same_draws(run: Path, ranks: int, *keys: str) -> list[str]:
    before = [
        "-m", "accelerate.commands.launch", "--config_file", str(config_file("cpu")),
        "--num_processes", str(ranks), "--num_machines", "1", "--main_process_port", "0",
    ]  # fmt: skip
    train = [str(SAME_DRAWS), "train", str(TINY), *keys, "--run-dir", str(run)]
    return [sys.executable, *(before if ranks > 1 else []), *train]


@pytest.mark.parametrize("keys", [(), FOLLOWING], ids=["static", "following"])
def test_a_training_of_one_rank_goes_on_with_two_and_ends_with_the_same_model(
    cache: Path, tmp_path: Path, keys: tuple[str, ...]
):
    whole, run = tmp_path / "whole", tmp_path / "run"
    one_arm = (*keys, "arms.random=null")
    for folder in (whole, run):
        ttc_rl("select", str(TINY), *one_arm, "--run-dir", str(folder))
    with_same_draws(whole, 1, *one_arm, DRAWN=str(tmp_path / "drawn"))
    process = subprocess.Popen(
        same_draws(run, 1, *one_arm), env={**os.environ, "DRAWN": str(tmp_path / "other")},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    arm = run / "arms" / "sift"
    while not (arm / "checkpoints" / "checkpoint-3" / "complete.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    with_same_draws(run, 2, *one_arm, DRAWN=str(tmp_path / "drawn"), FIRST="3")
    assert executed(arm) == executed(whole / "arms" / "sift")
    ranks = [file.stem.rpartition("-")[2] for file in sorted((arm / "rollouts").glob("*.parquet"))]
    assert ranks == ["0"] * 3 + ["0", "1"] * 5
    assert_trained_alike(arm, whole / "arms" / "sift")


WATCHED = (*KEPT, "train.stop=2")


@pytest.mark.parametrize("keys", [(), FOLLOWING, WATCHED], ids=["static", "following", "watched"])
def test_two_ranks_train_the_model_that_one_trains(
    cache: Path, tmp_path: Path, keys: tuple[str, ...]
):
    alone, two = tmp_path / "alone", tmp_path / "two"
    for run, ranks in ((alone, 1), (two, 2)):
        ttc_rl("select", str(TINY), *keys, "--run-dir", str(run))
        with_same_draws(run, ranks, *keys, DRAWN=str(tmp_path / "drawn"))
    if not keys:
        assert_went_by_plan(two)
        with pytest.raises(AssertionError):  # other tasks make another model
            assert_trained_alike(two / "arms" / "random", two / "arms" / "sift")
    for arm in ("random", "sift"):
        one, other = (run / "arms" / arm for run in (alone, two))
        assert completions(one) == completions(other)
        assert executed(one) == executed(other)
        assert_trained_alike(one, other)
        if keys is WATCHED:
            seen = [list(read_jsonl(arm / "dev.jsonl")) for arm in (one, other)]
            assert seen[0] == seen[1]
            assert len(seen[0]) >= 3
            told = [read_json(arm / "training.json") for arm in (one, other)]
            assert told[0]["kept"] == told[1]["kept"]
            assert told[0]["steps"] == told[1]["steps"]
            assert not (other / "best").exists()


@pytest.mark.parametrize("stage", ["run", "select", "eval"])
def test_a_stage_for_one_process_refuses_to_run_in_two(stage: str, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "ttc_rl", stage, str(TINY), "--run-dir", str(tmp_path / "r")],
        env={**os.environ, "WORLD_SIZE": "2", "RANK": "1"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"{stage}: runs in one process, but 2 were started" in done.stderr


def test_more_arguments_of_the_engine_are_flags_of_the_server():
    from ttc_rl.launch import serve

    engine = {"max_num_seqs": 64, "enforce_eager": True, "enable_prefix_caching": False,
              "hf_overrides": {"a": 1}, "kv_cache_dtype": "fp8"}  # fmt: skip
    command = serve(recipe(vllm={"mode": "server", "engine": engine}))
    assert command[-8:] == [
        "--max-num-seqs", "64", "--enforce-eager", "--no-enable-prefix-caching",
        "--hf-overrides", '{"a": 1}', "--kv-cache-dtype", "fp8",
    ]  # fmt: skip


# --------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("launch", "train", "says"),
    [
        (asked("single", 2), {}, "one process, but 2 GPUs"),
        (asked("fsdp2", 1), {}, "needs at least two processes"),
        (asked("ddp", 3), {}, "do not divide over 3 devices"),
        (
            asked("ddp", 2),
            {"curriculum": {"method": "gradalign"}},
            "gradalign: works in one process",
        ),
        (
            asked("ddp", 2),
            {"curriculum": {"method": "beta", "reembed": True}},
            "reembed: works in one",
        ),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_starts(launch, train, says: str):
    with pytest.raises(UserError, match=says):
        check(launch, recipe(**train))


def test_a_local_launch_with_a_server_wants_its_address():
    with pytest.raises(UserError, match="VLLM_SERVER_DEV_MODE=1 vllm serve Qwen/Qwen3-8B"):
        run_local(asked("ddp", 2), recipe(vllm={"mode": "server"}))


def test_a_dry_run_shows_the_commands_and_starts_none(tmp_path: Path):
    run = tmp_path / "r"
    shown = ttc_rl(
        "launch", str(TINY), "--parallel", "cpu", "--gpus", "2", "--dry-run", "--run-dir", str(run)
    )
    assert [line.split()[3] for line in shown.splitlines()[:3:2]] == ["select", "eval"]
    assert "distributed_type: MULTI_GPU" in shown
    assert not run.exists()
    assert json.dumps(str(run))[1:-1] in shown
