"""The best answer to each problem, way by way: does training on the problem find a better one?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ttc_rl.config.discovery import DiscoveryStudy, Way
from ttc_rl.config.plugins import load_object, takes
from ttc_rl.corpus.schedules import NONE, make_problems, score
from ttc_rl.metrics import Difference, Estimate, t_difference, t_interval
from ttc_rl.run_dir import ArmDir, append_jsonl, read_jsonl
from ttc_rl.schema import UserError, content_hash
from ttc_rl.stages.pace import Pace
from ttc_rl.stages.study_rows import rows_of_study

Row = Mapping[str, Any]
QUARTERS = 4
"""Moments at which the best so far is shown."""


@dataclass(frozen=True)
class DiscoveryOutcome:
    """What a study found, over problems."""

    problems: int
    completions: int
    """Of each problem, in each way."""
    best: Mapping[str, Sequence[Estimate]]
    """Way -> the best value after each quarter of the steps."""
    valid: Mapping[str, float]
    """Way -> share of completions with an answer."""
    differences: Mapping[str, Difference]
    """Between the last way and each other one, in the best value at the end."""


def run_discovery(study: DiscoveryStudy, folder: Path) -> DiscoveryOutcome:
    """Run what is missing of a study; the folder keeps a row for each problem and way."""
    from ttc_rl.train.methods.discovery import Problem, discover

    problems = _problems(study)
    asked = study.model_dump(mode="json", exclude={"ways", "save_steps"})
    rows_file = rows_of_study(folder, asked, "discovery.jsonl")
    done = {(row["problem"], row["way"]) for row in _rows(rows_file)}
    base = _base(study)
    pace, owed = Pace("discovery", units="searches"), len(problems) * len(study.ways)
    for row in problems:
        problem = Problem(row, _score(study), study.floor)
        for way in study.ways:
            if (row["id"], way) in done:
                continue
            cell = ArmDir(folder / "cells" / f"{content_hash([row['id']])}-{way}")
            start = NONE if study.schedules else ""
            archive = discover(study, problem, way, base, cell, start)
            found = {
                "problem": row["id"],
                "way": way,
                "best": archive.best and archive.best[1],
                "answer": archive.best and archive.best[0],
                "valid": archive.valid / archive.given,
                "curve": archive.curve,
            }
            append_jsonl(rows_file, [found])
            shutil.rmtree(cell.root)
            done.add((row["id"], way))
            pace(len(done), owed, 0)
    return outcome(study, [row["id"] for row in problems], list(_rows(rows_file)))


def _base(study: DiscoveryStudy) -> Path | str:
    if study.schedules is not None:
        from ttc_rl.train.schedule_model import schedule_model

        return schedule_model(study.schedules)
    from ttc_rl.train.packaged import packaged_model

    assert study.model is not None
    return packaged_model(study.model) or study.model


def _score(study: DiscoveryStudy) -> Any:
    """Return the function that scores. Raises UserError where it does not take two arguments."""
    if study.score is None:
        return score
    function = load_object("score", study.score, [study.folder])
    if not callable(function) or not takes(function, 2):
        raise UserError(f"score: {study.score} is no function of (problem, completion)")
    return function


def _problems(study: DiscoveryStudy) -> list[dict[str, Any]]:
    if study.schedules is not None:
        return make_problems(study.schedules, study.seed)
    path = Path(cast(str, study.problems))
    if not path.is_absolute() and not path.exists():
        path = study.folder / path
    if not path.exists():
        raise UserError(f"problems: {path}: not there")
    rows = list(read_jsonl(path, "id", "prompt"))
    names = [row["id"] for row in rows]
    if not rows:
        raise UserError(f"{path}: holds no problem")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{path}: two problems are called {twice!r}; ids are unique")
    if blind := next((row["id"] for row in rows if "{answer}" not in str(row["prompt"])), None):
        raise UserError(f"{path}: problem {blind!r}: its prompt has no place {{answer}}")
    return rows


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    return read_jsonl(path, "problem", "way", "best", "curve")


def outcome(study: DiscoveryStudy, names: Sequence[str], rows: Sequence[Row]) -> DiscoveryOutcome:
    """Return means over the problems, an answer never given counting as the floor."""
    at = [study.steps * (n + 1) // QUARTERS - 1 for n in range(QUARTERS)]
    cells = {(row["problem"], row["way"]): row for row in rows}
    ways: list[Way] = [way for way in study.ways if all((n, way) in cells for n in names)]

    def values(way: Way, step: int) -> list[float]:
        best = [cells[name, way]["curve"][max(0, step)] for name in names]
        return [study.floor if value is None else value for value in best]

    return DiscoveryOutcome(
        len(names),
        study.steps * study.groups * study.rollouts,
        {way: [t_interval(values(way, step)) for step in at] for way in ways},
        {way: sum(cells[name, way]["valid"] for name in names) / len(names) for way in ways},
        {
            f"{ways[-1]} - {other}": t_difference(
                [
                    a - b
                    for a, b in zip(values(ways[-1], at[-1]), values(other, at[-1]), strict=True)
                ]
            )
            for other in ways[:-1]
        },
    )


def discovery_tables(found: DiscoveryOutcome) -> str:
    """Return the outcome as Markdown."""
    heads = [f"{100 * (n + 1) // QUARTERS} %" for n in range(QUARTERS)]
    lines = [
        f"{found.problems} problems, {found.completions:,} completions each; the best value so far "
        "after a part of them, mean with 95 % intervals over problems.",
        "",
        f"| | {' | '.join(heads)} | with an answer |",
        "|:--|" + "--:|" * (QUARTERS + 1),
    ]
    for way, estimates in found.best.items():
        cells = " | ".join(_number(estimate, "") for estimate in estimates)
        lines.append(f"| {way} | {cells} | {found.valid[way]:.0%} |")
    lines += ["", "| the best at the end | difference | p |", "|:--|--:|--:|"]
    for pair, cell in found.differences.items():
        p = "" if cell.p is None else f"{cell.p:.2g}"
        lines.append(f"| {pair} | {_number(cell, '+')} | {p} |")
    return "\n".join(lines)


def _number(estimate: Estimate, sign: str) -> str:
    """Return a value of the problem's own scale, with its interval."""
    value, *bounds = (
        None if number is None else format(number, f"{sign}.4g")
        for number in (estimate.value, estimate.lo, estimate.hi)
    )
    return f"{value} [n/a]" if None in bounds else f"{value} [{bounds[0]}, {bounds[1]}]"
