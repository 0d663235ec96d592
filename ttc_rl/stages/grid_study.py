"""What of test-time training on puzzles helps: similar puzzles, augmentation, an adapter each.

Every puzzle is answered directly, after training on what it shows, and after training on what it
shows augmented; by the base and by the model that was fine-tuned on similar puzzles; with one
answer, and with a vote over transforms.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttc_eval.report.tables import points, share
from ttc_rl.config.grids import METHODS, GridStudy
from ttc_rl.corpus.grids import (
    EIGHT,
    Grid,
    Puzzle,
    Transform,
    make_puzzles,
    read_puzzles,
    recoloured,
    training_items,
)
from ttc_rl.metrics import Difference, Estimate, mean_interval, paired_difference
from ttc_rl.run_dir import append_jsonl, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.pace import Pace
from ttc_rl.stages.study_rows import rows_of_study

if TYPE_CHECKING:
    from ttc_rl.train.grid_trainer import GridTrainer

Row = Mapping[str, Any]
ORDERS = 2
"""Orders of the shown pairs, and names of the colours, under each of the eight transforms."""
FIRST, SECOND = 3, 2
"""Answers that go on from each transform, and that are given in the end."""


@dataclass(frozen=True)
class GridOutcome:
    """What a study found: shares of puzzles solved."""

    puzzles: int
    solved: Mapping[str, Mapping[str, Estimate]]
    """`MODEL, METHOD` -> `one answer`, `vote, first` and `vote, two` -> share."""
    differences: Mapping[str, Difference]
    """Between components, by the two answers of the vote."""


def run_grid_study(study: GridStudy, folder: Path) -> GridOutcome:
    """Run what is missing of a study; the folder keeps a row for each puzzle, model and method."""
    from ttc_rl.train.grid_trainer import GridTrainer, small_model
    from ttc_rl.train.packaged import packaged_model

    puzzles = _puzzles(study)
    asked = study.model_dump(mode="json", exclude={"count"})
    rows_file = rows_of_study(folder, asked, "arc.jsonl")
    ids = {puzzle.id for puzzle in puzzles}
    held = {(row["model"], row["method"], row["puzzle"]) for row in _rows(rows_file)}
    done = {cell for cell in held if cell[2] in ids}
    names = ["base"] if study.small is None else ["base", "tuned"]
    pace, owed = Pace("puzzles", units="answers"), len(names) * len(METHODS) * len(puzzles)
    for name in names:
        if all((name, method, p.id) in done for method in METHODS for p in puzzles):
            continue
        if study.small is not None:
            path: Path | str = small_model(study.small, tuned=name == "tuned")
        else:
            assert study.model is not None
            path = packaged_model(study.model) or study.model
        trainer = GridTrainer(path, study)
        for puzzle in puzzles:
            for method in METHODS:
                if (name, method, puzzle.id) in done:
                    continue
                row = {"model": name, "method": method, "puzzle": puzzle.id}
                append_jsonl(rows_file, [row | answered(trainer, puzzle, method)], to_disk=False)
                done.add((name, method, puzzle.id))
                pace(len(done), owed, 0)
    return outcome(list(_rows(rows_file)), ids)


def answered(trainer: GridTrainer, puzzle: Puzzle, method: str) -> dict[str, bool]:
    """Return whether one answer, the vote's first, and one of its two are right."""
    study = trainer.study
    rng = random.Random(f"{study.seed} {puzzle.id}")
    items: list[Puzzle] = []
    if method != "direct":
        items = training_items(puzzle, study.items, augmented=method == "augmented", rng=rng)
    ways = [recoloured(way, puzzle, rng) if n else way for way in EIGHT for n in range(ORDERS)]
    asked = [
        _reordered(way.of(puzzle), rng) if way not in EIGHT else way.of(puzzle) for way in ways
    ]
    with trainer.trained_on(items, f"{study.seed} {puzzle.id}"):
        found = trainer.answers(asked)
    votes = [
        (way, None if grid is None else way.undo(grid))
        for way, grid in zip(ways, found, strict=True)
    ]
    best = two_level_vote(votes)
    return {
        "one answer": found[0] == puzzle.answer,
        "vote, first": best[:1] == [puzzle.answer],
        "vote, two": puzzle.answer in best,
    }


def two_level_vote(votes: Iterable[tuple[Transform, Grid | None]]) -> list[Grid]:
    """Return two answers: of each way of turning its three most frequent, then over all ways those
    that stand in most of them; in a tie the more frequent one, then the earlier."""
    every, by_way = Counter[Grid](), dict[tuple[int, bool], Counter[Grid]]()
    for way, grid in votes:
        if grid is not None:
            every[grid] += 1
            by_way.setdefault((way.turns, way.flip), Counter())[grid] += 1
    kept = Counter(grid for counts in by_way.values() for grid, _ in counts.most_common(FIRST))
    ranked = sorted(kept, key=lambda grid: (-kept[grid], -every[grid]))
    return ranked[:SECOND]


def _reordered(puzzle: Puzzle, rng: random.Random) -> Puzzle:
    train = tuple(rng.sample(puzzle.train, len(puzzle.train)))
    return Puzzle(puzzle.id, train, puzzle.query, puzzle.answer)


def _puzzles(study: GridStudy) -> list[Puzzle]:
    if study.puzzles is None:
        return make_puzzles("test", study.count, study.seed)
    found = [puzzle for puzzle in read_puzzles(Path(study.puzzles)) if puzzle.answer is not None]
    if len(found) < 2:
        raise UserError(f"{study.puzzles}: {len(found)} puzzles with an answer to compare with")
    return found[: study.count]


def _rows(path: Path) -> Iterator[Row]:
    return read_jsonl(path, "model", "method", "puzzle")


def outcome(rows: Sequence[Row], ids: set[str]) -> GridOutcome:
    """Return shares over puzzles, and what each component adds where both have all puzzles."""
    values: dict[str, dict[str, np.ndarray]] = {}
    order = sorted(ids)
    for model, method in dict.fromkeys((row["model"], row["method"]) for row in rows):
        own = {r["puzzle"]: r for r in rows if (r["model"], r["method"]) == (model, method)}
        if ids <= own.keys():
            columns = [key for key in own[order[0]] if key not in ("model", "method", "puzzle")]
            values[f"{model}, {method}"] = {
                key: np.array([float(own[i][key]) for i in order]) for key in columns
            }
    pairs = [
        ("tuned, direct", "base, direct"),
        ("base, augmented", "base, direct"),
        ("tuned, augmented", "tuned, direct"),
        ("tuned, augmented", "tuned, plain"),
        ("tuned, augmented", "base, augmented"),
    ]
    return GridOutcome(
        len(ids),
        {name: {k: mean_interval(v) for k, v in of.items()} for name, of in values.items()},
        {
            f"{a} - {b}": paired_difference(values[a]["vote, two"], values[b]["vote, two"])
            for a, b in pairs
            if a in values and b in values
        },
    )


def grid_tables(found: GridOutcome) -> str:
    """Return the outcome as Markdown."""
    columns = list(next(iter(found.solved.values())))
    lines = [
        f"{found.puzzles} puzzles; % solved with 95 % intervals over puzzles.",
        "",
        f"| | {' | '.join(columns)} |",
        "|:--|" + "--:|" * len(columns),
    ]
    for name, cells in found.solved.items():
        lines.append(f"| {name} | {' | '.join(share(cells[key]) for key in columns)} |")
    lines += ["", "| two answers of the vote | points | p |", "|:--|--:|--:|"]
    for pair, cell in found.differences.items():
        p = "" if cell.p is None else f"{cell.p:.2g}"
        lines.append(f"| {pair} | {points(cell)} | {p} |")
    return "\n".join(lines)
