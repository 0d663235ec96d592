"""GradAlign: its scores, what a look costs, and that a killed run ends as if it had not been."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ttc_rl.config import load_recipe
from ttc_rl.config.train import CurriculumConfig
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.schema import Task, UserError
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import select, train
from ttc_rl.train.curriculum import Pool
from ttc_rl.train.curriculum.gradalign import GradAlign, unit
from ttc_rl.train.methods.policy_gradients import _Drawing

RECIPE = Path(__file__).with_name("following.yaml")
KEYS = [
    "arms={aligned: {train: {curriculum: {method: gradalign, every: 3, probes: 2, pool: 20}}}}",
    "arms.beta:=null", "arms.discover:=null", "train.guard=null", "train.epochs=5",
]  # fmt: skip
GROUP, TASKS, SLOTS = 4, 4, 80


def curriculum(size: int = 4) -> GradAlign:
    tasks = [Task("exact", f"task {n}", gold="a", id=str(n)) for n in range(size)]
    pool = Pool(tasks, np.eye(size, 3), np.eye(3)[:1])
    return GradAlign(pool, CurriculumConfig(method="gradalign"), every=2, noise=0.1, passes=1)


def test_tasks_are_taken_by_the_cosine_with_the_targets_mean_direction():
    found = curriculum()
    gradients = np.array([[1.0, 0.0, 0.0], [5.0, 5.0, 0.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    # A target's length says nothing: both directions count the same.
    found.see(gradients, np.array([[100.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 0.0]]))
    half = np.sqrt(0.5)
    assert found.score_N == pytest.approx([half, 1.0, 0.0, -half])
    assert found.choose(np.arange(4), 3) == [1, 0, 2]
    assert found.choose(np.array([2, 3]), 1) == [2]
    assert (unit(np.zeros((2, 3))) == 0).all()


def test_between_two_looks_and_after_a_save_the_choice_stays():
    found, looks = curriculum(), []
    found.look = lambda: looks.append(1)  # a look that is not paid for returns nothing
    found.see(np.eye(4, 3), np.array([[0.0, 1.0, 0.0]]))
    before = found.score_N.copy()
    assert found.next_tasks(2) == ["1", "0"]
    assert found.metrics()["alignment"] == 0.5
    assert looks == [1]
    assert (found.score_N == before).all()
    other = curriculum()
    other.load_state_dict(found.state_dict())
    found.look = None
    assert [found.next_tasks(1) for _ in range(3)] == [other.next_tasks(1) for _ in range(3)]


def order(job: Job) -> list[str]:
    files = sorted(job.arm("aligned")[1].rollouts.glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    return [row["task_id"] for row in rows[::GROUP]]


def job_in(folder: Path) -> Job:
    recipe = load_recipe(RECIPE, KEYS)
    return Job(recipe, RunDir.open(folder, recipe, resume=True))


def digest(job: Job) -> str:
    return hashlib.sha256(
        (job.arm("aligned")[1].model / "model.safetensors").read_bytes()
    ).hexdigest()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Job, list[Any]]:
    """Return a run, and what was graded by votes and by golds."""
    asked: list[Any] = []
    real = _Drawing.features

    def recorded(self: _Drawing, tasks: Any, *, vote: bool) -> np.ndarray:
        features = real(self, tasks, vote=vote)
        asked.append((vote, [task.gold for task in tasks], features))
        return features

    job = job_in(tmp_path_factory.mktemp("gradalign") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Drawing, "features", recorded)
        select(job)
        train(job)
    return job, asked


@pytest.mark.slow
def test_a_look_is_paid_for_in_rollouts_and_reads_no_gold_of_a_target(ran: tuple[Job, list[Any]]):
    job, asked = ran
    looks = len(asked) // 2
    pool = len(asked[0][1])
    cost = -(-(pool + len(asked[1][1])) * 2 // GROUP)
    trained = len(order(job))
    assert looks >= 2
    assert SLOTS - TASKS < trained + looks * cost <= SLOTS
    for vote, golds, features in asked:
        assert vote == all(gold is None for gold in golds)
        assert np.isfinite(features).all()
    assert any(np.abs(features).sum() > 0 for vote, _, features in asked if vote)
    assert not np.array_equal(asked[0][2], asked[2][2])  # other completions, another model
    rows = list(read_jsonl(job.arm("aligned")[1].metrics))
    assert rows[-1]["dynamic_sampling/groups"] == trained + looks * cost


@pytest.mark.slow
def test_a_killed_run_ends_as_if_it_had_not_been(
    ran: tuple[Job, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = job_in(tmp_path / "run")
    select(job)
    steps, real = [0], GradAlign.next_tasks

    def killed(self: GradAlign, count: int) -> list[str]:
        steps[0] += 1
        if steps[0] == 6:
            raise KeyboardInterrupt
        return real(self, count)

    monkeypatch.setattr(GradAlign, "next_tasks", killed)
    with pytest.raises(KeyboardInterrupt):
        train(job)
    monkeypatch.setattr(GradAlign, "next_tasks", real)
    train(job_in(tmp_path / "run"))
    assert order(job) == order(ran[0])
    assert digest(job) == digest(ran[0])


@pytest.mark.slow
def test_a_first_look_that_costs_more_than_the_training_is_refused(tmp_path: Path, cache: Path):
    recipe = load_recipe(
        RECIPE, [*KEYS, "train.epochs=1", "arms.aligned.train.curriculum.probes=8"]
    )
    job = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    select(job)
    with pytest.raises(UserError, match=r"gradalign draws 8 rollouts for each of .* lower"):
        train(job)


def test_probes_of_another_method_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="probes"):
        load_recipe(RECIPE, ["arms={b: {train: {curriculum: {method: beta, probes: 2}}}}"])
