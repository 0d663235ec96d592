"""The whole job for real on a tiny model: what a run leaves, and that a kill changes nothing."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.train.curriculum import plan
from ttc_rl.train.methods.grpo_reward import ROLLOUTS

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[1] / "tiny.yaml"


def start(run_dir: Path, *extra: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ttc_rl", "run", str(RECIPE), "--run-dir", str(run_dir)]
    return subprocess.Popen(
        [*command, *extra], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def killed_once(run_dir: Path, reached: Callable[[], bool], *extra: str) -> None:
    """Start or resume, and kill -9 as soon as `reached` holds."""
    process = start(run_dir, *extra)
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def executed(folder: Path) -> list[str]:
    """Task ids in the order they were rolled out, once a group."""
    files = sorted((folder / "rollouts").glob("*.parquet"))
    ids = [task for file in files for task in pq.read_table(file)["task_id"].to_pylist()]
    return ids[::4]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_leaves_what_the_readme_lists(undisturbed: Path):
    for name in ("recipe.yaml", "versions.json", "overlap.jsonl", "summary.json", "report.html"):
        assert (undisturbed / name).stat().st_size >= 0
    for arm in ("random", "sift"):
        folder = undisturbed / "arms" / arm
        for name in ("curriculum.jsonl", "selection.json", "selection.md", "metrics.jsonl"):
            assert (folder / name).stat().st_size > 0
        assert (folder / "model" / "model.safetensors").exists()
        assert lines(folder / "metrics.jsonl") == 8
    for model in ("base", "random", "sift"):
        result = read_json(undisturbed / "eval" / "count" / f"{model}.json")
        assert {"avg@4", "pass@4", "maj@4", "greedy"} <= set(result["metrics"])
        assert lines(undisturbed / "eval" / "count" / f"{model}.samples.jsonl") == 12 * 4


def test_a_model_has_the_rights_of_any_new_file(undisturbed: Path, cache: Path, tmp_path: Path):
    (tmp_path / "new").write_text("")
    expected = (tmp_path / "new").stat().st_mode
    models = [*undisturbed.glob("arms/*/model/*"), *cache.glob("models/*/*")]
    assert sum(path.suffix == ".safetensors" for path in models) >= 3
    assert {path.name: path.stat().st_mode for path in models} == {
        path.name: expected for path in models
    }


def test_trl_executed_exactly_the_curriculum(undisturbed: Path):
    recipe = load_recipe(RECIPE)
    for arm in ("random", "sift"):
        folder = undisturbed / "arms" / arm
        picks = [row["task_id"] for row in read_jsonl(folder / "curriculum.jsonl")]
        made = plan(picks, recipe.train)
        assert (made.steps, made.padding) == (8, 2)
        assert executed(folder) == list(made.task_ids)


def test_every_reward_is_the_verdict(undisturbed: Path):
    for file in (undisturbed / "arms" / "sift" / "rollouts").glob("*.parquet"):
        assert pq.read_schema(file).equals(ROLLOUTS)
        for row in pq.read_table(file).to_pylist():
            assert row["reward"] == float(row["correct"])
            assert row["finish_reason"] in ("stop", "length")


def test_the_curriculum_holds_no_target_task(undisturbed: Path):
    report = read_json(undisturbed / "overlap.json")
    assert report["remaining_overlap"] == 0
    assert report["targets"] == 12
    assert report["corpus_tasks"] == 160


def test_killed_in_every_stage_and_resumed_it_ends_the_same(
    undisturbed: Path, cache: Path, tmp_path: Path
):
    run = tmp_path / "killed"
    sift, evaluation = run / "arms" / "sift", run / "eval" / "count"
    killed_once(run, (run / "overlap.json").exists)
    killed_once(run, lambda: lines(sift / "metrics.jsonl") >= 5, "--resume")
    assert (sift / "checkpoints").exists()
    killed_once(run, lambda: lines(evaluation / "random.samples.jsonl") >= 16, "--resume")
    finish(start(run, "--resume"))
    untrained = {digest(path) for path in (cache / "models").glob("*/model.safetensors")}
    for arm in ("random", "sift"):
        folder, other = run / "arms" / arm, undisturbed / "arms" / arm
        assert digest(folder / "curriculum.jsonl") == digest(other / "curriculum.jsonl")
        assert executed(folder) == executed(other)
        weights = "model/model.safetensors"
        assert digest(other / weights) not in untrained
        assert digest(folder / weights) == digest(other / weights)
        assert lines(folder / "metrics.jsonl") == 8
    for model in ("base", "random", "sift"):
        for kind in ("samples", "greedy.samples"):
            name = f"eval/count/{model}.{kind}.jsonl"
            assert digest(run / name) == digest(undisturbed / name)


def test_a_checkpoint_cut_by_a_kill_is_not_resumed_from(tmp_path: Path):
    from ttc_rl.run_dir import ArmDir
    from ttc_rl.train.checkpoints import COMPLETE, newest_checkpoint

    arm = ArmDir(tmp_path)
    for step in (3, 6, 9):
        (arm.checkpoints / f"checkpoint-{step}").mkdir(parents=True)
    for step in (3, 6):
        (arm.checkpoints / f"checkpoint-{step}" / COMPLETE).write_text(json.dumps({"step": step}))
    assert newest_checkpoint(arm) == (arm.checkpoints / "checkpoint-6", 6)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "unmarked"])
def test_a_damaged_checkpoint_gives_way_to_the_older_one(
    tmp_path: Path, damage: str, said: list[str]
):
    from ttc_rl.run_dir import ArmDir, append_jsonl
    from ttc_rl.train.checkpoints import COMPLETE, forget_after, mark_complete, newest_checkpoint

    arm = ArmDir(tmp_path)
    for step in (3, 6):
        folder = arm.checkpoints / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights" * step)
        mark_complete(folder, step)
    append_jsonl(arm.metrics, [{"step": step} for step in range(1, 8)])
    weights = arm.checkpoints / "checkpoint-6" / "model.safetensors"
    found = weights.read_bytes()
    if damage == "gone":
        weights.unlink()
    elif damage == "unmarked":
        weights = weights.with_name(COMPLETE)
        weights.write_bytes(weights.read_bytes()[:-20])
    else:
        weights.write_bytes(found[:-1] if damage == "cut" else b"W" + found[1:])
    checkpoint, step = newest_checkpoint(arm)
    assert (checkpoint, step) == (arm.checkpoints / "checkpoint-3", 3)
    assert said[0].startswith(f"{weights}: is damaged; training goes on from an older checkpoint")
    forget_after(arm, checkpoint, step)
    assert [row["step"] for row in read_jsonl(arm.metrics)] == [1, 2, 3]
    assert not weights.parent.exists()


def test_what_was_recorded_before_the_first_checkpoint_is_recorded_once(tmp_path: Path):
    from ttc_rl.run_dir import ArmDir, append_jsonl
    from ttc_rl.train.checkpoints import forget_after

    arm = ArmDir(tmp_path)
    append_jsonl(arm.dev, [{"step": 0}, {"step": 1}])
    forget_after(arm, None, 0)
    assert list(read_jsonl(arm.dev)) == []


def test_metrics_are_on_the_disk_before_a_checkpoint_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from ttc_rl.run_dir import ArmDir
    from ttc_rl.train import checkpoints

    arm, order = ArmDir(tmp_path), list[Path]()
    monkeypatch.setattr(checkpoints, "sync", order.append)
    monkeypatch.setattr(checkpoints, "write_json", lambda path, _: order.append(path))
    (arm.checkpoints / "checkpoint-3").mkdir(parents=True)
    weights = arm.checkpoints / "checkpoint-3" / "model.safetensors"
    weights.write_bytes(b"w")
    args = SimpleNamespace(output_dir=arm.checkpoints)
    state = SimpleNamespace(global_step=3, is_world_process_zero=True)
    checkpoints.MarkComplete(arm).on_save(args, state, None)
    assert order == [arm.metrics, weights, weights.with_name(checkpoints.COMPLETE)]


def test_an_existing_run_is_refused_and_another_recipe_is_not_resumed(undisturbed: Path):
    process = start(undisturbed)
    assert "--resume goes on with it" in process.communicate(timeout=60)[0]
    assert process.returncode == 2
    process = start(undisturbed, "--resume", "seed=1")
    said = process.communicate(timeout=60)[0]
    assert "this run's recipe differs in seed (was 0, now 1); resume with" in said
    assert RunDir(undisturbed).load_recipe().seed == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few hundred kilobytes, where this process may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_nothing_is_lost(small_disk: Path, undisturbed: Path):
    run = small_disk / "run"
    told = start(run).communicate(timeout=300)[0]
    assert "the disk is full; free some space, then --resume goes on" in told
    assert "Traceback" not in told
    more = ["mount", "-o", "remount,size=100m", str(small_disk)]
    subprocess.run(more, check=True)
    finish(start(run, "--resume"))
    for arm in ("random", "sift"):
        weights = f"arms/{arm}/model/model.safetensors"
        assert digest(run / weights) == digest(undisturbed / weights)


def test_a_full_disk_under_the_cache_is_told_and_nothing_is_lost(
    small_disk: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """First no embedding can be kept there, then no base model."""
    monkeypatch.setenv("TTC_RL_CACHE", str(small_disk))
    run, resume = tmp_path / "run", list[str]()
    for size in ("24k", "400k"):
        change = ["mount", "-o", f"remount,size={size}", str(small_disk)]
        subprocess.run(change, check=True)
        process = start(run, *resume)
        lines = process.communicate(timeout=300)[0].splitlines()
        assert process.returncode == 2, lines
        assert "Traceback" not in "".join(lines)
        assert lines[-1].startswith("ttc-rl: ")
        assert str(small_disk) in lines[-1]
        assert "the disk is full" in lines[-1]
        resume = ["--resume"]
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    finish(start(run, "--resume"))
    weights = "arms/sift/model/model.safetensors"
    assert digest(run / weights) == digest(undisturbed / weights)
