"""Groups without a difference are drawn anew: what is learned from, its cost, and after a kill."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ttc_rl.config import load_recipe
from ttc_rl.launch import config_file
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import select, train
from ttc_rl.train.curriculum import Plan, Static
from ttc_rl.train.methods.grpo_following import FollowingTrainer, _flat, _shares

RECIPE = Path(__file__).with_name("following.yaml")
KEYS = [
    "arms={dynamic: {train: {dynamic_sampling: 3}}}", "arms.beta:=null", "arms.discover:=null",
    "train.guard=null", "train.epochs=3",
]  # fmt: skip
GROUP, TASKS, SLOTS = 4, 4, 48


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Job, list[dict[str, Any]]]:
    """Return a run, and what each step's update was given."""
    given: list[dict[str, Any]] = []
    real = FollowingTrainer._generate_and_score_completions

    def recorded(self: FollowingTrainer, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = real(self, inputs)
        texts = self._tokenizer.batch_decode(output["completion_ids"], skip_special_tokens=True)
        prompts = self._tokenizer.batch_decode(output["prompt_ids"], skip_special_tokens=True)
        given.append({**output, "texts": texts, "prompts": prompts, "tasks": self.director.tasks})
        return output

    recipe = load_recipe(RECIPE, KEYS)
    job = Job(recipe, RunDir.open(tmp_path_factory.mktemp("dynamic") / "run", recipe))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FollowingTrainer, "_generate_and_score_completions", recorded)
        select(job)
        train(job)
    return job, given


def drawn(job: Job) -> list[list[tuple[str, list[str], list[float]]]]:
    """Return for each step the groups drawn: task, texts, rewards."""
    steps: dict[int, list[tuple[str, list[str], list[float]]]] = {}
    folder = job.arm("dynamic")[1].rollouts
    for file in sorted(folder.glob("*.parquet"), key=lambda path: (len(path.name), path.name)):
        rows = pq.read_table(file).to_pylist()
        groups = steps.setdefault(rows[0]["step"], [])
        for i in range(0, len(rows), GROUP):
            part = rows[i : i + GROUP]
            groups.append((
                part[0]["task_id"],
                [row["completion"] for row in part],
                [row["reward"] for row in part],
            ))  # fmt: skip
    return [steps[number] for number in sorted(steps)]


@pytest.mark.slow
def test_each_update_is_on_groups_with_a_difference_as_far_as_they_were_found(
    ran: tuple[Job, list[dict[str, Any]]],
):
    job, given = ran
    for groups, output in zip(drawn(job), given, strict=True):
        useful = [group for group in groups if len(set(group[2])) > 1]
        by_task = {(task, tuple(texts)): rewards for task, texts, rewards in groups}
        advantages = output["advantages"].reshape(TASKS, GROUP)
        for number, task in enumerate(output["tasks"]):
            texts = tuple(output["texts"][number * GROUP : (number + 1) * GROUP])
            rewards = np.array(by_task[task, texts])
            expected = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-4)
            assert advantages[number].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
            shown = set(output["prompts"][number * GROUP : (number + 1) * GROUP])
            assert len(shown) == 1
        assert int(advantages.any(dim=1).sum()) == min(TASKS, len(useful))
        assert output["num_items_in_batch"] == output["completion_mask"].sum()
    assert any(len(groups) > TASKS for groups in drawn(job))


@pytest.mark.slow
def test_no_more_is_drawn_than_the_curriculum_holds_and_in_its_order(
    ran: tuple[Job, list[dict[str, Any]]],
):
    job, given = ran
    groups = [group for step in drawn(job) for group in step]
    assert SLOTS - TASKS < len(groups) <= SLOTS
    assert len(given) < SLOTS // TASKS  # fewer steps than without
    picks = [row["task_id"] for row in read_jsonl(job.arm("dynamic")[1].curriculum)]
    assert [task for task, _, _ in groups] == (picks * 3)[: len(groups)]
    rows = list(read_jsonl(job.arm("dynamic")[1].metrics))
    assert rows[-1]["dynamic_sampling/groups"] == len(groups)
    assert read_json(job.arm("dynamic")[1].training)["steps"] == len(given) == len(rows)


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same(ran: tuple[Job, list[dict[str, Any]]], tmp_path: Path):
    folder = tmp_path / "killed"
    select(Job(ran[0].recipe, RunDir.open(folder, ran[0].recipe)))
    command = [sys.executable, "-m", "ttc_rl", "train", str(RECIPE), *KEYS, "--run-dir"]
    process = subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, text=True)
    log = folder / "arms/dynamic/metrics.jsonl"
    while not (log.exists() and len(log.read_text().splitlines()) >= 4):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    subprocess.run([*command, str(folder)], check=True, timeout=300)
    mine, theirs = (path / "arms/dynamic" for path in (folder, ran[0].run.root))
    assert sorted(f.name for f in (mine / "rollouts").iterdir()) == sorted(
        f.name for f in (theirs / "rollouts").iterdir()
    )
    weights = [path / "model/model.safetensors" for path in (mine, theirs)]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in weights}) == 1


@pytest.mark.slow
def test_two_processes_keep_whole_groups(ran: tuple[Job, list[dict[str, Any]]], tmp_path: Path):
    folder = tmp_path / "two"
    select(Job(ran[0].recipe, RunDir.open(folder, ran[0].recipe)))
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file",
        str(config_file("ddp")), "--num_processes", "2", "--cpu", "-m", "ttc_rl", "train",
        str(RECIPE), *KEYS, "--run-dir", str(folder),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=500,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    job = Job(ran[0].recipe, RunDir(folder))
    groups = [group for step in drawn(job) for group in step]
    picks = [row["task_id"] for row in read_jsonl(job.arm("dynamic")[1].curriculum)]
    assert len(groups) <= SLOTS
    assert sorted(task for task, _, _ in groups) == sorted((picks * 3)[: len(groups)])


def test_what_is_flat_and_whose_it_is():
    rewards = torch.tensor([1, 1, 0, 1, 0, 0, torch.nan, 1, torch.nan, torch.nan]).unsqueeze(1)
    assert _flat(rewards, 2) == [0, 2, 3, 4]
    assert _shares([0, 2, 3], 2, 2) == [[0], [2, 3]]


def test_a_static_curriculum_is_read_as_far_as_it_goes_also_after_a_save():
    order = Plan(("a", "b", "c", "d"), 2, 0)
    static = Static(order)
    assert [static.next_tasks(2), static.next_tasks(1)] == [["a", "b"], ["c"]]
    again = Static(order)
    again.load_state_dict(static.state_dict())
    assert [again.next_tasks(2), again.next_tasks(2)] == [["d"], []]
    old = Static(order)
    old.load_state_dict({"steps": 1, "solved": {}})
    assert old.next_tasks(2) == ["c", "d"]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (["train.dynamic_sampling=1"], "dynamic_sampling: Input should be greater than 1"),
        (["train.dynamic_sampling=2", "train.ttrl={}", "train.guard=null"], "leave out `curri"),
        (["train.dynamic_sampling=2", "train.method=sft"], "belongs to train.method grpo"),
    ],
)
def test_what_it_does_not_go_with(keys: list[str], says: str):
    static = ["arms={one: {}}", "arms.beta=null", "arms.discover=null", "train.guard=null"]
    with pytest.raises(UserError) as error:
        load_recipe(RECIPE, [*static, *keys])
    assert says in str(error.value)
