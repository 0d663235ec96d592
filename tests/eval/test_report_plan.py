"""The plan beside what happened, from a run's own files."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ttc_eval.report.material import read_material
from ttc_eval.report.sections.plan import foreseen, plan, plan_rows, target_size
from ttc_rl.config import Recipe, load_recipe
from ttc_rl.run_dir import RunDir, read_jsonl


def test_what_was_done_is_counted_from_the_rollouts(undisturbed: Path):
    run = RunDir(undisturbed)
    recipe = run.load_recipe()
    rows = {what: (planned, done) for what, planned, done in plan_rows(run, recipe, "sift")}
    folder = undisturbed / "arms" / "sift"
    tables = [pq.read_table(path) for path in (folder / "rollouts").glob("*.parquet")]
    tokens = [n for table in tables for n in table["tokens"].to_pylist()]
    assert rows["steps"] == ("8", "8")
    assert rows["rollouts"] == ("128", f"{len(tokens)}")
    assert rows["completion tokens"] == ("at most 1,536", f"{sum(tokens):,}")
    counted = list(read_jsonl(folder / "metrics.jsonl"))[-1]["num_tokens"]
    assert rows["tokens with prompts"][1] == f"{int(counted):,}"
    assert "seconds in steps" in rows
    assert "peak GPU memory" not in rows
    assert "Plan and outcome" in (undisturbed / "report.html").read_text()


def test_an_arm_that_was_not_trained_has_no_table(tmp_path: Path):
    recipe = load_recipe("tests/tiny.yaml")
    assert plan(read_material(RunDir(tmp_path), recipe)) == ""


def test_a_targets_size_is_known_where_a_benchmark_says_it():
    made = {"model": "m", "corpus": "c"}
    sizes = [
        target_size(Recipe.model_validate({**made, "target": target}))
        for target in ("aime25", "math500", "codeforces", "my.jsonl")
    ]
    assert sizes == [30, 500, None, None]


@pytest.mark.parametrize(
    ("target", "keys", "told"),
    [
        ("aime25", {}, "30 target tasks x 32 samples can resolve about 9 points"),
        ("everyday/sum@64", {"samples": 8}, "64 target tasks x 8 samples can resolve about "),
        ({"hub": "a/b"}, {}, "the number of target tasks is not known yet"),
        ("missing.jsonl", {}, "the number of target tasks is not known yet"),
        ("What is 1 + 1?", {}, "one task says nothing of others"),
    ],
)
def test_what_a_comparison_can_resolve_is_foreseen(target: Any, keys: Any, told: str):
    recipe = Recipe.model_validate({"model": "m", "corpus": "c", "target": target, "eval": keys})
    assert told in foreseen(recipe)


def test_more_tasks_resolve_less():
    def points(count: int) -> int:
        recipe = Recipe.model_validate(
            {"model": "m", "corpus": "c", "target": f"everyday/sum@{count}"}
        )
        return int(foreseen(recipe).partition("about ")[2].split()[0])

    assert points(16) > points(64)
