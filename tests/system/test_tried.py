"""Runs that were begun stay counted, whatever became of them."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from ttc_eval.records import Summary
from ttc_eval.report.run_page import opening
from ttc_rl.config import Recipe
from ttc_rl.run_dir import RunDir
from ttc_rl.system.tried import NAME, tried


def recipe(**keys: Any) -> Recipe:
    return Recipe.model_validate({"model": "m", "corpus": "c", "target": "aime25"} | keys)


def test_a_run_overwritten_or_deleted_leaves_its_trace(tmp_path: Path):
    run = RunDir.open(tmp_path / "a", recipe())
    (run.root / "curriculum.jsonl").write_text("", encoding="utf-8")
    assert tried(run.root, recipe().model_dump()).endswith(": 1 run of 1 recipe.")
    RunDir.open(run.root, recipe(), resume=True)
    assert tried(run.root, recipe().model_dump()).endswith(": 1 run of 1 recipe.")
    RunDir.open(run.root, recipe(), overwrite=True)
    for seed in (1, 2):
        shutil.rmtree(RunDir.open(tmp_path / f"s{seed}", recipe(seed=seed)).root)
    RunDir.open(tmp_path / "b", recipe(train={"trl": {"learning_rate": 1e-5}}))
    RunDir.open(tmp_path / "other", recipe(target="aime24"))
    assert tried(run.root, recipe(seed=7).model_dump()) == (
        "Tried for this target in this folder: 5 runs of 2 recipes, 1 of which overwrote an "
        "earlier one. The best of several recipes is too good by chance."
    )
    assert ": 1 run of 1 recipe." in tried(tmp_path / "other", recipe(target="aime24").model_dump())


def test_a_refused_command_and_the_corrected_one_are_one_run(tmp_path: Path):
    RunDir.open(tmp_path / "a", recipe())
    RunDir.open(tmp_path / "a", recipe(seed=1))
    assert tried(tmp_path / "a", recipe().model_dump()).endswith(": 1 run of 1 recipe.")


def test_a_damaged_registry_costs_no_run(tmp_path: Path):
    RunDir.open(tmp_path / "a", recipe())
    with (tmp_path / NAME).open("a", encoding="utf-8") as file:
        file.write('{"cut\n[1]\n')
    RunDir.open(tmp_path / "b", recipe(seed=1))
    assert ": 2 runs of 1 recipe." in tried(tmp_path / "a", recipe().model_dump())
    (tmp_path / NAME).write_bytes(b"\xff\xfe")
    assert tried(tmp_path / "a", recipe().model_dump()) == ""
    assert tried(tmp_path / "nowhere" / "a", recipe().model_dump()) == ""


def test_a_registry_that_cannot_be_written_stops_nothing(tmp_path: Path):
    (tmp_path / NAME).mkdir()
    assert RunDir.open(tmp_path / "a", recipe()).begun is False
    assert tried(tmp_path / "a", recipe().model_dump()) == ""


@pytest.mark.parametrize("count", [1, 2])
def test_the_report_says_it(tmp_path: Path, make_report: Any, count: int):
    page = make_report(tmp_path, count)
    assert ("2 runs of 2 recipes" in page) == (count == 2)


@pytest.fixture
def make_report() -> Any:
    from types import SimpleNamespace

    def made(folder: Path, count: int) -> str:
        runs = [
            RunDir.open(folder / str(i), recipe(selection={"size": 10 + i})) for i in range(count)
        ]
        material = SimpleNamespace(
            run=runs[0],
            recipe=runs[0].load_recipe(),
            targets=["aime25"],
            base_name="m",
            selected=True,
            summary=Summary(target="aime25", benchmarks={}, changed={}, retention={}, analysis={}),
        )
        return " ".join(opening(material))  # pyright: ignore[reportArgumentType]

    return made
