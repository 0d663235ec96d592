"""Grid puzzles in ARC's format: read, made here, and turned about without losing their rule.

A puzzle shows pairs of grids before and after one rule, and asks for what comes after another
grid. Mirroring and turning all grids alike, and giving all colours other names, makes another
puzzle with the same answer turned alike: transforms that can be undone.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttc_rl.schema import UserError, content_hash

Grid = tuple[tuple[int, ...], ...]
"""Rows of colours, 0 to 9."""
Pair = tuple[Grid, Grid]
COLOURS = 10


@dataclass(frozen=True)
class Puzzle:
    id: str
    train: tuple[Pair, ...]
    """What is shown: before and after."""
    query: Grid
    answer: Grid | None
    """None where the file does not tell."""


# --------------------------------------------------------------------------- files


def read_puzzles(path: Path) -> list[Puzzle]:
    """Return the puzzles of a file or folder; one with several queries is several.

    Raises UserError for what is no puzzle, with its file.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder of puzzles")
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    solved = [file for file in files if not file.name.endswith("_solutions.json")]
    found = [puzzle for file in solved for puzzle in _read(file)]
    if not found:
        raise UserError(f"{path}: holds no puzzle (*.json)")
    return found


def _read(path: Path) -> Iterator[Puzzle]:
    whole = _json(path)
    if not isinstance(whole, dict):
        raise UserError(f"{path}: is no puzzle: a mapping with `train` and `test`")
    many = {path.stem: whole} if "train" in whole else whole
    answers = path.with_name(path.name.replace("_challenges", "_solutions"))
    solutions = _json(answers) if answers != path and answers.exists() else {}
    for name, puzzle in many.items():
        try:
            train = tuple((_grid(p["input"]), _grid(p["output"])) for p in puzzle["train"])
            for number, test in enumerate(puzzle["test"]):
                told = test.get("output")
                if told is None and name in solutions:
                    told = solutions[name][number]
                answer = None if told is None else _grid(told)
                yield Puzzle(f"{name}/{number}", train, _grid(test["input"]), answer)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise UserError(f"{path}: {name}: is no puzzle ({error})") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: is not readable as JSON ({error})") from None


def _grid(rows: Any) -> Grid:
    grid = tuple(tuple(int(cell) for cell in row) for row in rows)
    if not grid or not grid[0] or len({len(row) for row in grid}) > 1:
        raise ValueError("a grid is rows of one length")
    if any(not 0 <= cell < COLOURS for row in grid for cell in row):
        raise ValueError(f"colours are 0 to {COLOURS - 1}")
    return grid


# --------------------------------------------------------------------------- transforms


def transposed(grid: Grid) -> Grid:
    return tuple(zip(*grid, strict=True))


def mirrored(grid: Grid) -> Grid:
    """Return the grid with left and right exchanged."""
    return tuple(row[::-1] for row in grid)


def turned(grid: Grid) -> Grid:
    """Return the grid turned by a quarter, to the right."""
    return mirrored(transposed(grid))


@dataclass(frozen=True)
class Transform:
    """Quarter turns, then perhaps a transposition, then other names of the colours."""

    turns: int = 0
    flip: bool = False
    colours: tuple[int, ...] = tuple(range(COLOURS))

    def __call__(self, grid: Grid) -> Grid:
        for _ in range(self.turns):
            grid = turned(grid)
        if self.flip:
            grid = transposed(grid)
        return tuple(tuple(self.colours[cell] for cell in row) for row in grid)

    def undo(self, grid: Grid) -> Grid:
        """Return the grid that this transform makes `grid` of."""
        back = {new: old for old, new in enumerate(self.colours)}
        grid = tuple(tuple(back[cell] for cell in row) for row in grid)
        if self.flip:
            grid = transposed(grid)
        for _ in range(-self.turns % 4):
            grid = turned(grid)
        return grid

    def of(self, puzzle: Puzzle) -> Puzzle:
        """Return the puzzle with all of its grids transformed alike."""
        train = tuple((self(before), self(after)) for before, after in puzzle.train)
        answer = None if puzzle.answer is None else self(puzzle.answer)
        return Puzzle(puzzle.id, train, self(puzzle.query), answer)


IDENTITY = Transform()
EIGHT = tuple(Transform(turns, flip) for flip in (False, True) for turns in range(4))
"""All ways to turn and mirror a square."""


def recoloured(transform: Transform, puzzle: Puzzle, rng: random.Random) -> Transform:
    """Return the transform with the puzzle's colours exchanged among themselves."""
    grids = [grid for pair in puzzle.train for grid in pair] + [puzzle.query]
    used = sorted({cell for grid in grids for row in grid for cell in row})
    names = dict(zip(used, rng.sample(used, len(used)), strict=True))
    colours = tuple(names.get(cell, cell) for cell in range(COLOURS))
    return Transform(transform.turns, transform.flip, colours)


def leave_one_out(puzzle: Puzzle) -> list[Puzzle]:
    """Return a puzzle for each pair that is shown: that pair is asked for, the others are shown."""
    return [
        Puzzle(f"{puzzle.id}-{i}", puzzle.train[:i] + puzzle.train[i + 1 :], before, after)
        for i, (before, after) in enumerate(puzzle.train)
        if len(puzzle.train) > 1
    ]


def training_items(
    puzzle: Puzzle, count: int, *, augmented: bool, rng: random.Random
) -> list[Puzzle]:
    """Return what a model can learn of a puzzle from itself: leave-one-out puzzles; `augmented`,
    under transforms and with their pairs in other orders, `count` of them."""
    plain = leave_one_out(puzzle)
    if not augmented or not plain:
        return plain[:count]
    items: list[Puzzle] = []
    for transform in itertools.islice(itertools.cycle(EIGHT), count):
        one = recoloured(transform, puzzle, rng).of(rng.choice(plain))
        shown = tuple(rng.sample(one.train, len(one.train)))
        items.append(Puzzle(one.id, shown, one.query, one.answer))
    return items


# --------------------------------------------------------------------------- made here

Rule = Callable[[Grid], Grid]


def _shifted(grid: Grid) -> Grid:
    return tuple(row[-1:] + row[:-1] for row in grid)


SHAPES: Mapping[str, Rule] = {
    "as it is": lambda grid: grid,
    "mirrored": mirrored,
    "upside down": lambda grid: grid[::-1],
    "turned right": turned,
    "turned left": lambda grid: turned(turned(turned(grid))),
    "turned over": lambda grid: turned(turned(grid)),
    "transposed": transposed,
    "shifted right": _shifted,
    "shifted down": lambda grid: grid[-1:] + grid[:-1],
}
"""What a rule may do to the places of a grid."""
PALETTE, SIDE, PAIRS = 4, 3, 4
"""Colours, length of a side, and pairs of a puzzle that is made here."""
SWAPS = (None, *itertools.combinations(range(PALETTE), 2))
"""What a rule may do to colours: nothing, or exchange two."""


def rules(split: str) -> list[tuple[str, tuple[int, int] | None]]:
    """Return the rules of a part: `plain` keep the places; `train` and `test` share no pair of
    shape and swap, though each shape and each swap is in both."""
    every = [(shape, swap) for shape in SHAPES for swap in SWAPS]
    if split == "plain":
        return [rule for rule in every if rule[0] == "as it is"]
    moving = [rule for rule in every if rule[0] != "as it is"]
    held_out = {rule for rule in moving if int(content_hash(str(rule))[-1], 16) % 4 == 0}
    return [rule for rule in moving if (rule in held_out) == (split == "test")]


def make_puzzles(split: str, count: int, seed: int) -> list[Puzzle]:
    """Return puzzles of the rules of a part, in turn; all of their grids are different."""
    rng = random.Random(f"grids {split} {seed}")
    own = rules(split)
    rng.shuffle(own)
    return [_made(f"{split}-{seed}-{i}", own[i % len(own)], rng) for i in range(count)]


def _made(name: str, rule: tuple[str, tuple[int, int] | None], rng: random.Random) -> Puzzle:
    shape, swap = rule
    grids: list[Grid] = []
    while len(grids) < PAIRS:
        cells = [tuple(rng.randrange(PALETTE) for _ in range(SIDE)) for _ in range(SIDE)]
        grid = tuple(cells)
        if grid not in grids and len({cell for row in grid for cell in row}) > 2:
            grids.append(grid)
    colours = list(range(COLOURS))
    if swap:
        colours[swap[0]], colours[swap[1]] = swap[1], swap[0]
    recolour = Transform(colours=tuple(colours))
    pairs = [(grid, recolour(SHAPES[shape](grid))) for grid in grids]
    *train, (query, answer) = pairs
    return Puzzle(name, tuple(train), query, answer)


# --------------------------------------------------------------------------- as text


def shown(grid: Grid) -> str:
    return " / ".join(" ".join(map(str, row)) for row in grid)


def parts(puzzle: Puzzle) -> list[tuple[str, str]]:
    """Return what is read and what is to be written, pair after pair, the query last."""
    asked = [*puzzle.train, (puzzle.query, puzzle.answer or ())]
    return [(f"{shown(before)} >", f" {shown(after)} ;") for before, after in asked]


def read_grid(text: str) -> Grid | None:
    """Return the grid that a text says; None for one that is none."""
    rows = [row.split() for row in text.partition(";")[0].split("/")]
    try:
        return _grid(rows)
    except ValueError:
        return None
