"""A corpus, target or benchmark that changed between two stages ends the second one."""

import json
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from ttc_rl.config import load_recipe, with_keys
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import UserError
from ttc_rl.stages import run as pipeline
from ttc_rl.stages.evaluating import evaluations
from ttc_rl.stages.job import Job
from ttc_rl.stages.policies import Models
from ttc_rl.stages.preflight import _evaluation_size
from ttc_rl.stages.selecting import select


def write_tasks(path: Path, count: int, start: int) -> Path:
    rows = [
        {"kind": "math", "prompt": f"add {i} and 1", "answer": str(i + 1)}
        for i in range(start, start + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


RECIPE = """
model: {pretrain: {layers: 1, hidden: 16, mlp: 16, skills: null, max_steps: 0}}
corpus: [c.jsonl, {skills: {families: [count], tasks_per_family: 2}}]
target: t.jsonl
selection: {size: 3}
train: {dev: {source: dev.jsonl, tasks: 4}, ttrl: {tasks: 2}}
eval: {retention: [], samples: 1, k: [1], max_tokens: 4, models: [base]}
arms: {a: {selection: {method: random}}, b: {selection: {method: random}}}
"""


def job_in(folder: Path) -> Job:
    recipe = load_recipe(folder / "r.yaml")
    return Job(recipe, RunDir.open(folder / "run", recipe, resume=True))


@pytest.fixture(scope="module")
def begun(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    (folder / "r.yaml").write_text(RECIPE)
    for name, count, start in (("c", 12, 0), ("t", 3, 100), ("dev", 4, 200)):
        write_tasks(folder / f"{name}.jsonl", count, start)
    with chdir(folder):
        select(made := job_in(folder))
    shutil.rmtree(made.arm("b")[1].root)
    return folder


@pytest.fixture
def job(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Arm a is selected, arm b is not: the run was ended between the two."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return job_in(tmp_path)


@pytest.mark.parametrize(
    ("file", "count", "says"),
    [
        ("c", 9, "corpus c.jsonl: holds 9 tasks that are not the 12 this run was begun "),
        ("t", 8, "target t: holds 8 tasks that are not the 3 this run was begun with; restore it"),
        ("dev", 3, "train.dev: holds 3 tasks that are not the 4"),
    ],
)
def test_a_second_arm_is_selected_from_what_the_first_was_or_not_at_all(
    job: Job, tmp_path: Path, file: str, count: int, says: str
):
    path = tmp_path / f"{file}.jsonl"
    write_tasks(path, count, 400)
    with pytest.raises(UserError) as caught:
        select(job)
    assert str(caught.value).startswith(says)
    assert not job.arm("b")[1].selection.exists()


def test_a_second_arm_is_selected_from_the_same_files(job: Job):
    select(job)
    assert job.arm("b")[1].selection.exists()


def _target_prompts(job: Job) -> object:
    return pipeline._voting(job, with_keys(job.recipe, {"train.ttrl": {"tasks": 1}}))


@pytest.mark.parametrize(
    "stage",
    [pipeline.run_all, pipeline.evaluate, _target_prompts, _evaluation_size],
    ids=["run", "eval", "ttrl", "preflight"],
)
def test_every_stage_that_reads_the_target_again_compares_it(
    job: Job, tmp_path: Path, stage: Callable[[Job], object]
):
    write_tasks(tmp_path / "t.jsonl", 3, 101)
    with pytest.raises(UserError, match="target t: holds 3 tasks that are not the 3"):
        stage(job)


def test_a_selection_that_ended_before_its_first_curriculum_begins_anew(job: Job, tmp_path: Path):
    shutil.rmtree(job.arm("a")[1].root)
    write_tasks(tmp_path / "t.jsonl", 4, 100)
    select(job)
    write_tasks(tmp_path / "t.jsonl", 3, 100)
    with pytest.raises(UserError, match="target t: holds 3 tasks that are not the 4"):
        pipeline.evaluate(job)


def test_an_evaluation_goes_on_with_the_tasks_that_it_began_with(job: Job, tmp_path: Path):
    recipe = job.recipe.model_copy(
        update={"eval": job.recipe.eval.model_copy(update={"benchmarks": ["skills/count@5"]})}
    )
    began = Job(recipe, job.run)
    models = Models(began)
    list(evaluations(began, models))
    kept = job.run.evaluated_tasks("skills/count@5")
    rows = kept.read_text().splitlines(keepends=True)
    assert len(rows) == 5
    kept.write_text("".join(rows[:4]))
    with pytest.raises(UserError) as caught:
        list(evaluations(began, models))
    assert str(caught.value) == (
        "benchmark skills/count@5: holds 5 tasks that are not the 4 this run was begun with; "
        f"restore it, or {kept} if that was damaged, or delete {kept.parent} to evaluate every "
        "model on the new ones"
    )
    shutil.rmtree(kept.parent)
    assert list(evaluations(began, models))
