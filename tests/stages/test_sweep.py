from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from ttc_rl.config import Recipe, load_recipe
from ttc_rl.schema import UserError
from ttc_rl.stages import sweep

GRID = {"target": ["skills/cipher", "skills/ends"], "seed": [0, 1]}


def recipe() -> Recipe:
    tree = {
        "model": {"pretrain": {"max_steps": 0}},
        "corpus": "c.jsonl",
        "target": "t.jsonl",
        "sweep": GRID,
    }
    return Recipe.model_validate(tree)


def test_every_combination_is_a_recipe_of_its_own():
    found = dict(sweep.cells(recipe()))
    assert list(found) == [
        "target=skills-cipher,seed=0",
        "target=skills-cipher,seed=1",
        "target=skills-ends,seed=0",
        "target=skills-ends,seed=1",
    ]
    cell = found["target=skills-ends,seed=1"]
    assert (cell.target, cell.seed, cell.sweep) == ("skills/ends", 1, {})


def test_finished_cells_are_left_alone_and_failed_ones_are_named(
    tmp_path: Path, monkeypatch, said: list[str]
):
    done = tmp_path / "target=skills-cipher,seed=0"
    done.mkdir()
    (done / "report.html").write_text("")
    said.clear()
    with pytest.raises(UserError) as refused:  # c.jsonl does not exist
        sweep.run_cells(recipe(), tmp_path, 1)
    first, line = "target=skills-cipher,seed=1", "ttc-rl: c.jsonl: "
    assert f"2 of 4 runs failed, 1 were not begun: two ended alike; the first said: {line}" in str(
        refused.value
    )
    assert f"{first}.log; --resume goes on" in str(refused.value)
    assert said[0] == "sweep: 4 runs, 1 finished before, 1 at a time"
    assert said[1].startswith(f"{first}: failed with code 2: {line}")
    assert line in (tmp_path / f"{first}.log").read_text()
    assert load_recipe(tmp_path / f"{first}.yaml").seed == 1
    assert not (tmp_path / "target=skills-ends,seed=1.log").exists()


def test_a_failure_of_one_cell_leaves_the_others_to_run(tmp_path: Path, monkeypatch):
    ends = iter(
        [b"old\nstep 3: out of memory\n", b"", b"step 9: no space\n", b"step 4: no space\n"]
    )

    def run(command: list[str], stdout: IO[bytes], **_: object) -> SimpleNamespace:
        stdout.write(next(ends))
        stdout.flush()
        return SimpleNamespace(returncode=1 if stdout.tell() else 0)

    monkeypatch.setattr(sweep, "check_run", lambda *_: None)
    monkeypatch.setattr(sweep.subprocess, "run", run)
    with pytest.raises(UserError, match="3 of 4 runs failed, the first said: step 3: out of mem"):
        sweep.run_cells(recipe(), tmp_path, 1)


def test_two_runs_of_one_folder_are_refused():
    made = recipe().model_copy(update={"sweep": {"corpus": ["a/c.jsonl", "b/c.jsonl"]}})
    with pytest.raises(UserError, match="two of its runs would have the folder corpus=c;"):
        list(sweep.cells(made))


def test_a_cell_that_cannot_run_is_told_before_any_cell_begins(tmp_path: Path):
    path = tmp_path / "r.yaml"
    tree = "model: {pretrain: {max_steps: 0}}\ncorpus: c.jsonl\ntarget: t.jsonl\n"
    path.write_text(tree + "sweep: {train.mask: [null, gone.safetensors]}\n")
    with pytest.raises(
        UserError, match=r"r\.yaml:4: sweep\.train\.mask: gone\.safetensors: no such"
    ):
        sweep.run_cells(load_recipe(path), tmp_path / "runs", 2)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("skills/cipher", "skills-cipher"),
        ("../data/benchmarks/a.jsonl.gz", "a"),
        ("b.parquet", "b"),
        (0.1, "0.1"),
    ],
)
def test_a_file_stands_in_a_folders_name_by_its_stem(value: object, name: str):
    assert sweep._slug(value) == name
