"""Evaluation while training: on which tasks, when, and that it changes nothing."""

import hashlib
from pathlib import Path

import pytest

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import report, run_all, select, train

TINY = Path(__file__).parents[1] / "tiny.yaml"
SKILLS = "{skills: {split: train, seed: 9, tasks_per_family: 6, families: [count, sort]}}"


def job(folder: Path, *overrides: str) -> Job:
    recipe = load_recipe(TINY, list(overrides))
    return Job(recipe, RunDir.open(folder, recipe, resume=True))


def ids(path: Path) -> set[str]:
    return {row.get("task_id", row.get("id")) for row in read_jsonl(path)}


def test_it_is_scored_before_during_and_after_and_changes_no_weight(
    undisturbed: Path, cache: Path, tmp_path: Path
):
    dev = ["train.dev.every=3", "train.dev.tasks=5", "train.dev.samples=2"]
    made = job(tmp_path / "run", *dev, f"train.dev.source={SKILLS}")
    select(made)
    train(made)
    for arm in ("random", "sift"):
        folder, other = made.arm(arm)[1], undisturbed / "arms" / arm
        rows = list(read_jsonl(folder.dev))
        assert [row["step"] for row in rows] == [0, 3, 6, 8]
        assert all(0 <= row["avg@2"] <= 1 for row in rows)
        assert len(list(read_jsonl(folder.dev_samples(3)))) == 10
        mine, theirs = (
            hashlib.sha256((f / "model" / "model.safetensors").read_bytes()).hexdigest()
            for f in (folder.root, other)
        )
        assert mine == theirs
    report(made)
    assert "avg@2 on the dev tasks by step" in made.run.report.read_text()


def test_several_updates_a_step_are_one_step_to_the_dev_tasks(cache: Path, tmp_path: Path):
    keys = ["train.dev={every: 2, tasks: 4, samples: 1}", "train.epochs=1", "arms.random=null"]
    made = job(tmp_path / "run", *keys, "train.updates_per_step=4")
    select(made)
    train(made)
    folder = made.arm("sift")[1]
    assert [row["step"] for row in read_jsonl(folder.dev)] == [0, 2, 4]
    for step in (0, 2, 4):
        assert len(list(read_jsonl(folder.dev_samples(step)))) == 4


def test_dev_tasks_are_held_out_of_the_corpus(tmp_path: Path, cache: Path):
    made = job(tmp_path / "run", "train.dev.tasks=7")
    select(made)
    dev = ids(made.run.dev_tasks)
    assert len(dev) == 7
    size = read_json(made.arm("sift")[1].selection)["corpus_tasks"]
    for arm in ("random", "sift"):
        folder = made.arm(arm)[1]
        assert not dev & ids(folder.curriculum)
    plain = job(tmp_path / "plain")
    select(plain)
    assert read_json(plain.arm("sift")[1].selection)["corpus_tasks"] == size + 7
    assert not plain.run.dev_tasks.exists()


def test_a_source_of_ones_own_loses_what_stands_in_the_target(tmp_path: Path, cache: Path):
    target = "{skills: {split: test, tasks_per_family: 12, families: [count]}}"
    with pytest.raises(UserError, match="every corpus task overlaps with the target"):
        select(job(tmp_path / "run", f"train.dev.source={target}"))


def test_the_tests_own_golds_are_read_only_by_name_and_the_report_says_so(
    tmp_path: Path, cache: Path
):
    made = job(tmp_path / "run", "train.dev.source=target", "train.dev.tasks=4", "eval.samples=1",
               "eval.k=[1]", "train.epochs=1")  # fmt: skip
    run_all(made)
    rows = read_json(made.run.summary)["benchmarks"]["count"]["tasks"]
    assert rows == 12
    told = made.run.report.read_text()
    assert "whose golds were read for it" in told
    assert "was chosen on the test" in told
