"""Grid puzzles: ARC's files, transforms and their undoing, leave-one-out, votes, and a study."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from ttc_rl.config.grids import GridStudy, load_grid_study
from ttc_rl.corpus.grids import (
    EIGHT,
    IDENTITY,
    SHAPES,
    SWAPS,
    Grid,
    Puzzle,
    Transform,
    leave_one_out,
    make_puzzles,
    parts,
    read_grid,
    read_puzzles,
    recoloured,
    rules,
    shown,
    training_items,
)
from ttc_rl.run_dir import read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.grid_study import grid_tables, run_grid_study, two_level_vote
from ttc_rl.train.grid_trainer import GridTrainer, _loss, small_model

GRID: Grid = ((1, 2, 3), (4, 5, 6))
RNG = random.Random(0)


def study(**more: Any) -> GridStudy:
    small = {"hidden": 32, "layers": 1, "mlp": 64, "steps": 6, "tuning_steps": 6}
    return GridStudy.model_validate({"small": small, "count": 3, "items": 8, "epochs": 1, **more})


# --------------------------------------------------------------------------- files


def test_the_public_format_one_file_a_puzzle(tmp_path: Path):
    shape = {
        "train": [{"input": [[0, 1]], "output": [[1, 0]]}, {"input": [[2]], "output": [[3]]}],
        "test": [{"input": [[5, 5], [0, 9]], "output": [[1]]}, {"input": [[4]]}],
    }
    (tmp_path / "007bbfb7.json").write_text(json.dumps(shape))
    (tmp_path / "notes.txt").write_text("no puzzle")
    first, second = read_puzzles(tmp_path)
    assert (first.id, second.id) == ("007bbfb7/0", "007bbfb7/1")
    assert first.train == ((((0, 1),), ((1, 0),)), (((2,),), ((3,),)))
    assert (first.query, first.answer, second.answer) == (((5, 5), (0, 9)), ((1,),), None)
    assert read_puzzles(tmp_path / "007bbfb7.json") == [first, second]


def test_the_public_format_many_in_a_file_and_their_solutions_beside(tmp_path: Path):
    one = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}
    path = tmp_path / "arc-agi_evaluation_challenges.json"
    path.write_text(json.dumps({"aa": one, "bb": one}))
    assert [puzzle.answer for puzzle in read_puzzles(path)] == [None, None]
    (tmp_path / "arc-agi_evaluation_solutions.json").write_text(
        json.dumps({"aa": [[[4]]], "bb": [[[5, 6]]]})
    )
    assert [puzzle.answer for puzzle in read_puzzles(path)] == [((4,),), ((5, 6),)]
    assert len(read_puzzles(tmp_path)) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1]", "is no puzzle: a mapping"),
        ("{", "is not readable as JSON"),
        ('{"train": [{"input": [[1], [1, 2]], "output": [[1]]}], "test": []}', "of one length"),
        ('{"train": [{"input": [[12]], "output": [[1]]}], "test": []}', "colours are 0 to 9"),
        ('{"train": [{"input": [[1]]}], "test": []}', "is no puzzle"),
        ('{"a": 3}', "is no puzzle"),
    ],
)
def test_a_file_that_is_no_puzzle_is_one_line(tmp_path: Path, text: str, says: str):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(UserError, match=says) as error:
        read_puzzles(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_without_puzzles(tmp_path: Path):
    with pytest.raises(UserError, match="holds no puzzle"):
        read_puzzles(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        read_puzzles(tmp_path / "nothing")


# --------------------------------------------------------------------------- transforms


def test_every_transform_is_undone():
    (puzzle,) = make_puzzles("test", 1, 0)
    for way in EIGHT:
        both = recoloured(way, puzzle, RNG)
        for grid in (GRID, puzzle.query):
            assert both.undo(both(grid)) == grid
            assert way.undo(way(grid)) == grid
    assert len({way(GRID) for way in EIGHT}) == 8
    assert EIGHT[1](GRID) == ((4, 1), (5, 2), (6, 3))
    assert IDENTITY(GRID) == GRID


def test_colours_are_exchanged_among_those_of_the_puzzle():
    puzzle = Puzzle("p", ((((1, 2),), ((2, 1),)),), ((7,),), None)
    ways = [recoloured(IDENTITY, puzzle, RNG) for _ in range(20)]
    assert len({way.colours for way in ways}) > 2
    assert all(sorted(way.colours[i] for i in (1, 2, 7)) == [1, 2, 7] for way in ways)
    assert all(way.colours[0] == 0 for way in ways)


def test_leave_one_out_and_its_augmentation():
    (puzzle,) = make_puzzles("test", 1, 0)
    plain = leave_one_out(puzzle)
    assert [(one.query, one.answer) for one in plain] == list(puzzle.train)
    assert all(len(one.train) == 2 for one in plain)
    assert not any(puzzle.answer == one.answer and puzzle.query == one.query for one in plain)
    more = training_items(puzzle, 24, augmented=True, rng=random.Random(1))
    assert len(more) == 24
    assert len({one.query for one in more}) > 12
    assert more == training_items(puzzle, 24, augmented=True, rng=random.Random(1))
    assert training_items(puzzle, 24, augmented=False, rng=RNG) == plain
    single = Puzzle("s", puzzle.train[:1], puzzle.query, puzzle.answer)
    assert training_items(single, 24, augmented=True, rng=RNG) == []


# --------------------------------------------------------------------------- made here


def test_no_rule_is_trained_and_tested_but_its_halves_are():
    train, test = rules("train"), rules("test")
    assert not set(train) & set(test)
    assert len(train) + len(test) + len(rules("plain")) == len(SHAPES) * len(SWAPS)
    assert {shape for shape, _ in test} <= {shape for shape, _ in train}
    assert {swap for _, swap in test} <= {swap for _, swap in train}
    assert len(test) >= 8


def test_a_puzzle_that_is_made_follows_one_rule():
    for puzzle in make_puzzles("test", 20, 3):
        pairs = [*puzzle.train, (puzzle.query, puzzle.answer)]
        assert len({before for before, _ in pairs}) == 4

        def fits(shape: str, swap: tuple[int, int] | None, pairs: Any = pairs) -> bool:
            colours = list(range(10))
            if swap:
                colours[swap[0]], colours[swap[1]] = swap[1], swap[0]
            recolour = Transform(colours=tuple(colours))
            return all(recolour(SHAPES[shape](a)) == b for a, b in pairs)

        assert any(fits(shape, swap) for shape, swap in rules("test"))
    assert make_puzzles("test", 5, 3) == make_puzzles("test", 5, 3)


def test_a_grid_is_read_as_it_is_written():
    assert shown(GRID) == "1 2 3 / 4 5 6"
    assert read_grid(f" {shown(GRID)} ; and more") == GRID
    for text in ("", "1 2 / 3", "1 x", "11 2"):
        assert read_grid(text) is None
    (puzzle,) = make_puzzles("test", 1, 0)
    assert len(parts(puzzle)) == 4
    assert parts(puzzle)[-1][0] == f"{shown(puzzle.query)} >"


# --------------------------------------------------------------------------- voting


def test_the_vote_counts_ways_before_answers():
    a, b, c = ((1,),), ((2,),), ((3,),)
    votes = [(EIGHT[0], a), (EIGHT[0], a), (EIGHT[0], a), (EIGHT[1], b), (EIGHT[2], b)]
    assert two_level_vote(votes) == [b, a]  # b stands in two ways, a in one
    assert two_level_vote([*votes, (EIGHT[3], None), (EIGHT[3], c)]) == [b, a]
    many = [(EIGHT[0], ((n,),)) for n in (1, 1, 2, 2, 3, 3, 4)]
    assert ((4,),) not in two_level_vote([*many, (EIGHT[1], ((9,),))])
    assert two_level_vote([(EIGHT[0], None)]) == []


# --------------------------------------------------------------------------- training


def test_an_adapter_learns_a_puzzle_and_is_gone_afterwards(cache: Path):
    config = study(learning_rate=1e-2, epochs=30, items=32)
    assert config.small
    trainer = GridTrainer(small_model(config.small, tuned=False), config)
    (puzzle,) = make_puzzles("test", 1, 0)
    items = training_items(puzzle, 32, augmented=False, rng=RNG)

    def seen() -> dict[str, torch.Tensor]:
        return {name: p.clone() for name, p in trainer.model.named_parameters()}

    def loss() -> float:
        return float(_loss(trainer.model, trainer.tokenizer, items).detach())

    before, untrained = seen(), loss()
    with trainer.trained_on(items, "s"):
        inside = seen()
        assert loss() < 0.95 * untrained
    assert loss() == untrained
    after = seen()
    assert any(not torch.equal(before[name], inside[name]) for name in before)
    assert all(torch.equal(before[name], after[name]) for name in before)
    frozen = [name for name in before if "lora" not in name]
    assert all(torch.equal(before[name], inside[name]) for name in frozen)


def test_a_study_goes_on_where_it_stopped(tmp_path: Path, cache: Path):
    whole = run_grid_study(study(), tmp_path / "whole")
    rows = tmp_path / "whole" / "arc.jsonl"
    kept = rows.read_text().splitlines()
    assert len(kept) == 2 * 3 * 3
    rows.write_text("\n".join(kept[:7]) + '\n{"model": "tu')
    assert run_grid_study(study(), tmp_path / "whole") == whole
    assert sorted(rows.read_text().splitlines()) == sorted(kept)
    assert len(list(read_jsonl(rows))) == 18
    page = grid_tables(whole)
    assert "3 puzzles" in page
    assert "tuned, augmented - tuned, direct" in page
    with pytest.raises(UserError, match="holds another study"):
        run_grid_study(study(rank=3), tmp_path / "whole")


def test_the_studies_that_come_along_can_be_read():
    assert [load_grid_study(path) for path in sorted(Path("recipes/grids").glob("*.yaml"))]


def test_a_study_of_files(tmp_path: Path, cache: Path):
    for i, puzzle in enumerate(make_puzzles("test", 2, 0)):
        train = [{"input": a, "output": b} for a, b in puzzle.train]
        test = [{"input": puzzle.query, "output": puzzle.answer}]
        (tmp_path / f"{i}.json").write_text(json.dumps({"train": train, "test": test}))
    found = run_grid_study(study(puzzles=str(tmp_path)), tmp_path / "run")
    assert found.puzzles == 2
    (tmp_path / "s.yaml").write_text("count: 3\n")
    with pytest.raises(UserError, match="model: name one"):
        load_grid_study(tmp_path / "s.yaml")
