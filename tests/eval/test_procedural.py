"""The whole harness, from a tiny model to numbers, on every benchmark that needs no download."""

from pathlib import Path

import pytest

from ttc_eval.records import Summary
from ttc_rl.config import Recipe
from ttc_rl.corpus.benchmark_config import benchmark_names, load_config
from ttc_rl.corpus.benchmarks import load_benchmark
from ttc_rl.corpus.skills import SKILLS
from ttc_rl.run_dir import RunDir
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import evaluate, read_summary, report

NAMES = [
    name
    for name in benchmark_names()
    if (source := load_config(name).source) is not None and source.skills is not None
]
FAMILIES = ["count", "biggest", "sort", "reverse"]


@pytest.fixture(scope="module")
def summary(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Summary:
    tree = {
        "model": {
            "pretrain": {
                "layers": 2, "max_steps": 120, "eval_every": 60,
                "skills": {"split": "pretrain", "tasks_per_family": 40, "families": FAMILIES},
            }
        },
        "corpus": [{"skills": {}}],
        "target": "skills/count",
        "seed": 0,
        "prompts": {"exact": "{prompt} =>"},
        "eval": {
            "models": ["base"], "samples": 4, "k": [1, 4], "batch": 512,
            "benchmarks": [*(f"skills/{f}@8" for f in SKILLS), *(f"{n}@30" for n in NAMES)],
            "perturbed": ["reworded", "distracted", "one-fewer"],
        },
    }  # fmt: skip
    recipe = Recipe.model_validate(tree)
    run = RunDir.open(tmp_path_factory.mktemp("procedural") / "run", recipe)
    job = Job(recipe, run)
    evaluate(job)
    report(job)
    return read_summary(run)


def test_there_are_such_benchmarks():
    assert NAMES == ["skills", "skills-long"]


def test_every_one_was_evaluated_with_every_number(summary: Summary):
    changes = [f"skills/count~{c}" for c in ("reworded", "distracted", "one-fewer")]
    wanted = {"skills/count", *changes, *(f"skills/{f}@8" for f in SKILLS)}
    wanted |= {f"{name}@30" for name in NAMES}
    assert set(summary.benchmarks) == wanted
    for name, found in summary.benchmarks.items():
        scores = found.models["base"]
        assert {"avg@4", "pass@1", "pass@4", "maj@4"} <= set(scores.metrics)
        for metric, estimate in scores.metrics.items():
            assert estimate.lo is not None
            assert estimate.hi is not None
            assert 0 <= estimate.lo <= estimate.value <= estimate.hi <= 1
            assert estimate.lo < estimate.hi, (name, metric)
        assert None not in vars(scores.rates).values()


def test_the_model_does_what_it_learned_and_nothing_else(summary: Summary):
    value = {
        name: found.models["base"].metrics["pass@4"].value
        for name, found in summary.benchmarks.items()
    }
    assert value["skills/count"] > 0.2
    assert value["skills/cipher@8"] == 0  # a family it never saw


def test_longer_contents_are_longer():
    long = load_benchmark("skills-long").tasks
    short = load_benchmark("skills").tasks
    most = max(len(task.meta["content"].split()) for task in short if task.meta["family"] == "sort")
    assert all(
        len(task.meta["content"].split()) > most for task in long if task.meta["family"] == "sort"
    )
