from pathlib import Path

import pytest

from ttc_rl import sweep
from ttc_rl.config import Recipe, load_recipe
from ttc_rl.schema import UserError

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


def test_finished_cells_are_left_alone_and_failed_ones_are_named(tmp_path: Path, monkeypatch):
    done = tmp_path / "target=skills-cipher,seed=0"
    done.mkdir()
    (done / "report.html").write_text("")
    said: list[str] = []
    with pytest.raises(UserError, match="3 of 4 runs failed"):  # c.jsonl does not exist
        sweep.run_cells(recipe(), tmp_path, 2, said.append)
    assert said[0] == "sweep: 4 runs, 1 finished before, 2 at a time"
    assert "c.jsonl" in (tmp_path / "target=skills-ends,seed=1.log").read_text()
    assert load_recipe(tmp_path / "target=skills-ends,seed=1.yaml").seed == 1


def test_a_cell_that_cannot_run_is_told_before_any_cell_begins(tmp_path: Path):
    path = tmp_path / "r.yaml"
    tree = "model: {pretrain: {max_steps: 0}}\ncorpus: c.jsonl\ntarget: t.jsonl\n"
    path.write_text(tree + "sweep: {train.mask: [null, gone.safetensors]}\n")
    with pytest.raises(
        UserError, match=r"r\.yaml:4: sweep\.train\.mask: gone\.safetensors: no such"
    ):
        sweep.run_cells(load_recipe(path), tmp_path / "runs", 2, lambda _: None)
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
