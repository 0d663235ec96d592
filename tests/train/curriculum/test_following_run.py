"""Curricula in real training: never a step behind, and the same after a kill."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ttc_rl.config import GuardConfig, Recipe, load_recipe
from ttc_rl.corpus.skills import make_skills
from ttc_rl.run_dir import ArmDir, RunDir, read_json, read_jsonl
from ttc_rl.schema import Task
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.run import select, train
from ttc_rl.train import loop
from ttc_rl.train.curriculum import Curriculum, Plan, Static, guard, plan
from ttc_rl.train.curriculum.guard import FULL_AT
from ttc_rl.train.methods.grpo_following import FollowingTrainer, _ShrunkStep
from ttc_rl.train.rewards import pass_at_k_advantages

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).with_name("following.yaml")


def start(run_dir: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ttc_rl", "train", str(RECIPE), "--run-dir", str(run_dir)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def executed(folder: Path) -> list[list[str]]:
    """Task ids of every step, once a group, over all processes."""
    steps: dict[str, list[str]] = {}
    for file in sorted((folder / "rollouts").glob("*.parquet")):
        steps.setdefault(file.name[:10], []).extend(pq.read_table(file)["task_id"].to_pylist())
    return [ids[::4] for ids in steps.values()]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def metrics(folder: Path) -> list[dict[str, float]]:
    """Without what a clock says."""
    rows = read_jsonl(folder / "metrics.jsonl")
    return [{k: v for k, v in row.items() if "time" not in k} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    folder, recipe = tmp_path_factory.mktemp("following") / "whole", load_recipe(RECIPE, [])
    job = Job(recipe, RunDir.open(folder, recipe))
    select(job)
    train(job)
    return folder


def test_it_logs_what_it_did(whole: Path):
    for arm in ("discover", "beta"):
        rows = metrics(whole / "arms" / arm)
        assert len(rows) == 8
        for row in rows:
            assert 0 < row["curriculum/achievability"] < 1
            assert 0 <= row["curriculum/never_solved"] <= 1
            assert row["guard/shrink"] == pytest.approx(
                min(1, (1 - row["guard/dropped"]) / FULL_AT)
            )
            assert row["curriculum/flat"] == pytest.approx(row["frac_reward_zero_std"])
        assert rows[-1]["curriculum/reselections"] == (8 if arm == "discover" else 3)
        assert len({tuple(ids) for ids in executed(whole / "arms" / arm)}) > 2
    assert len({row["curriculum/relevance"] for row in metrics(whole / "arms" / "discover")}) > 2


def test_killed_and_resumed_it_ends_the_same(whole: Path, tmp_path: Path):
    recipe = load_recipe(RECIPE, [])
    run = tmp_path / "killed"
    select(Job(recipe, RunDir.open(run, recipe)))
    for arm, steps in (("discover", 5), ("beta", 4)):
        process, log = start(run), run / "arms" / arm / "metrics.jsonl"
        while not (log.exists() and len(log.read_text().splitlines()) >= steps):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert (run / "arms" / arm / "checkpoints").exists()
    output, _ = start(run).communicate(timeout=300)
    for arm in ("discover", "beta"):
        mine, theirs = run / "arms" / arm, whole / "arms" / arm
        assert executed(mine) == executed(theirs), output
        assert digest(mine / "model/model.safetensors") == digest(
            theirs / "model/model.safetensors"
        )
        assert metrics(mine) == metrics(theirs)


class Probe(Curriculum):
    """Takes notes: what was observed when it was asked."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__()
        self.ids, self.heard, self.notes, self.given = ids, [], [], []

    def next_tasks(self, count: int) -> list[str]:
        self.notes.append(len(self.heard))
        self.steps += 1
        # The next tasks are told by the last rewards, so a stale answer could not go unnoticed.
        first = len(self.heard) + sum(round(4 * rate) for _, rate in self.heard[-count:])
        self.given.append([self.ids[(first + i) % len(self.ids)] for i in range(count)])
        return self.given[-1]

    def observe(self, task_id: str, pass_rate: float, trials: int) -> None:
        super().observe(task_id, pass_rate, trials)
        self.heard.append((task_id, pass_rate))


def short(recipe: Recipe, **change: object) -> Recipe:
    changed = {"guard": None, "save_steps": 4, **change}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=changed)})


def trained(
    recipe: Recipe, plan: Plan, folder: Path, curriculum: Curriculum | None
) -> Mapping[str, Task]:
    tasks = {t.id: t for t in make_skills(recipe.corpus[0].skills)}
    base = starting_model(recipe)
    arm = ArmDir(folder)
    loop.train(recipe, plan, tasks, base, arm, track=False, curriculum=curriculum)
    return tasks


@pytest.mark.parametrize(
    ("micro_batch", "updates"), [(None, 1), (4, 1), (8, 2)], ids=["whole", "accumulated", "twice"]
)
def test_the_tasks_of_a_step_know_the_rewards_of_the_one_before(
    cache: Path, tmp_path: Path, micro_batch: int | None, updates: int
):
    made = load_recipe(RECIPE, [])
    trl = {**made.train.trl, "num_iterations": updates}
    recipe = short(made, trl=trl, micro_batch=micro_batch)
    ids = [task.id for task in make_skills(recipe.corpus[0].skills)]
    probe = Probe(ids)
    slots = plan(ids[:24], recipe.train.model_copy(update={"epochs": 1}))
    trained(recipe, slots, tmp_path, probe)
    assert probe.notes == [4 * step for step in range(6)]
    assert executed(tmp_path) == probe.given
    assert [i for ids in probe.given for i in ids] == [task_id for task_id, _ in probe.heard]
    for step, file in enumerate(sorted((tmp_path / "rollouts").glob("*.parquet"))):
        rewards = pq.read_table(file)["reward"].to_pylist()
        rates = [sum(rewards[i : i + 4]) / 4 for i in range(0, 16, 4)]
        assert rates == [rate for _, rate in probe.heard[4 * step : 4 * step + 4]]


def test_a_static_curriculum_asked_step_by_step_trains_the_same_model(cache: Path, tmp_path: Path):
    recipe = short(load_recipe(RECIPE, []))
    ids = [task.id for task in make_skills(recipe.corpus[0].skills)][:16]
    slots = plan(ids, recipe.train)
    for name, curriculum in (("plain", None), ("asked", Static(slots))):
        trained(recipe, slots, tmp_path / name, curriculum)
    plain, asked = tmp_path / "plain", tmp_path / "asked"
    assert executed(plain) == executed(asked)
    weights = "model/model.safetensors"
    assert digest(plain / weights) == digest(asked / weights)


def test_the_guard_shrinks_the_step_itself(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Adam's first step has one length whatever the gradient's: it falls with the rate alone."""
    from safetensors.torch import load_file

    made = load_recipe(RECIPE, [])
    ids = [task.id for task in make_skills(made.corpus[0].skills)][:4]
    slots = plan(ids, made.train.model_copy(update={"epochs": 1}))
    moves, shrunk = [], []
    for full_at in (0.01, 1.0):
        monkeypatch.setattr(guard, "FULL_AT", full_at)
        recipe = short(made, guard=GuardConfig(min_successes=1))
        folder = tmp_path / str(full_at)
        trained(recipe, slots, folder, Static(slots))
        base = load_file(Path(starting_model(recipe)) / "model.safetensors")
        after = load_file(folder / "model/model.safetensors")
        moves.append(torch.cat([(after[name] - base[name]).flatten() for name in base]))
        shrunk += [row["guard/shrink"] for row in metrics(folder)]
    assert shrunk[0] == 1
    assert 0 < shrunk[1] < 1
    assert moves[0].abs().max() > 5e-4
    assert torch.allclose(moves[1], shrunk[1] * moves[0], atol=1e-6)


def test_the_rate_of_the_next_step_is_whole_again():
    director = SimpleNamespace(shrink=0.0)
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.0)
    callback, places = _ShrunkStep(director), [weight.detach().clone()]
    for shrink in (1.0, 0.0, 1.0):
        director.shrink = shrink
        weight.grad = torch.ones(3)
        callback.on_pre_optimizer_step(None, None, None, optimizer=optimizer)
        optimizer.step()
        callback.on_optimizer_step(None, None, None, optimizer=optimizer)
        places.append(weight.detach().clone())
        assert optimizer.param_groups[0]["lr"] == 0.1
    assert torch.equal(places[1], places[2])
    assert torch.allclose(places[2] - places[3], torch.full((3,), 0.1))


def test_two_processes_train_on_the_same_curriculum(whole: Path, tmp_path: Path):
    alone = "arms.beta.train.curriculum.reembed=false"  # embeds in one process only
    recipe = load_recipe(RECIPE, [alone])
    run = tmp_path / "two"
    select(Job(recipe, RunDir.open(run, recipe)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    command += ["-m", "ttc_rl", "train", str(RECIPE), alone, "--run-dir", str(run)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for arm in ("discover", "beta"):
        folder = run / "arms" / arm
        assert len(list((folder / "rollouts").glob("*-1.parquet"))) == 8
        assert [len(ids) for ids in executed(folder)] == [4] * 8
        assert len(metrics(folder)) == 8
        # Whoever chose the tasks had heard both halves of the rewards of the step before.
        from ttc_rl.train.curriculum import follow, read_pool

        made = recipe.arm(arm)
        picks = [row["task_id"] for row in read_jsonl(folder / "curriculum.jsonl")]
        given = made.train, made.selection.noise, made.places
        curriculum = follow(*given, plan(picks, made.train), read_pool(ArmDir(folder)))
        for step, ids in enumerate(executed(folder), start=1):
            assert curriculum.next_tasks(4) == ids
            files = sorted((folder / "rollouts").glob(f"step-{step:05d}-*.parquet"))
            rewards = [r for file in files for r in pq.read_table(file)["reward"].to_pylist()]
            for i, task_id in enumerate(ids):
                curriculum.observe(task_id, sum(rewards[4 * i : 4 * i + 4]) / 4, 4)
    assert read_json(run / "arms" / "beta" / "selection.json")["method"] == "sift"


@pytest.mark.parametrize("scale", ["group", "none"])
def test_the_optimiser_is_given_the_advantages_of_the_best_of_k(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, scale: str
):
    """As counted from the rewards in rollouts/; the order and the picks are those without it."""
    keys = [f"train.trl.scale_rewards={scale}", "train.pass_at_k=2", "train.guard=null"]
    static = ["arms.beta=null", "arms.discover={train: {curriculum: {method: static}}}"]
    recipe = load_recipe(RECIPE, [*keys, *static])
    job = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    given: list[torch.Tensor] = []
    real = FollowingTrainer._generate_and_score_completions

    def recorded(self: FollowingTrainer, inputs: list[dict[str, object]]) -> dict[str, object]:
        output = real(self, inputs)
        given.append(output["advantages"])
        return output

    monkeypatch.setattr(FollowingTrainer, "_generate_and_score_completions", recorded)
    select(job)
    train(job)
    arm = job.arm("discover")[1]
    files = sorted(arm.rollouts.glob("*.parquet"))
    assert len(given) == len(files) == 8
    seen = 0
    for advantages, file in zip(given, files, strict=True):
        rewards = np.array(pq.read_table(file)["reward"].to_pylist(), float).reshape(4, 4)
        expected = pass_at_k_advantages(rewards, 2, scale=scale == "group").ravel()
        assert advantages.tolist() == pytest.approx(expected.tolist(), abs=1e-6)
        seen += int((expected != 0).sum())
    assert seen > 0
    picks = [row["task_id"] for row in read_jsonl(arm.curriculum)]
    order = plan(picks, recipe.train).task_ids
    assert [i for step in executed(arm.root) for i in step] == list(order)
