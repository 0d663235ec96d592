"""A recipe with `sweep:` is a grid of runs: one process and one run folder for each combination."""

from __future__ import annotations

import itertools
import logging
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ttc_eval.compare.comparison import Comparison
from ttc_eval.compare.runs import compare
from ttc_eval.report.compare_opening import comparison_markdown
from ttc_eval.report.compare_page import write_comparison
from ttc_eval.report.selections_page import selections_markdown
from ttc_rl.config import Recipe, dump_recipe, with_keys
from ttc_rl.run_dir import RunDir, write_text
from ttc_rl.schema import UserError
from ttc_rl.stages.checks import check_files, check_run, check_sources
from ttc_rl.system.tether import environment

logger = logging.getLogger(__name__)


def cells(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Yield name and recipe of every combination of the sweep's values, in the order written.

    Raises UserError where two would have one name, and so one folder.
    """
    names = set[str]()
    for values in itertools.product(*recipe.sweep.values()):
        chosen = dict(zip(recipe.sweep, values, strict=True))
        name = ",".join(f"{key.split('.')[-1]}={_slug(value)}" for key, value in chosen.items())
        if name in names:
            raise UserError(
                f"{recipe.places.named('sweep')}: two of its runs would have the folder {name}; "
                "give files of one name another name"
            )
        names.add(name)
        yield name, with_keys(recipe, chosen | {"sweep": {}})


def check_cells(recipe: Recipe, *, sources: bool = False) -> None:
    """Raise UserError where a file that a run of the sweep names is not there.

    `sources` asks for those of tasks as well, which a finished run does without.
    """
    for _, cell in cells(recipe):
        check_files(cell)
        if sources:
            check_sources(cell)


def compare_cells(recipe: Recipe, root: Path, jobs: int) -> tuple[Comparison, list[Path]]:
    """Run what is not finished, and return the comparison of all with the pages that hold it."""
    comparison = compare(run_cells(recipe, root, jobs))
    pages = [root / "compare.md", root / "compare.html"]
    write_text(pages[0], comparison_markdown(comparison))
    write_comparison(comparison, pages[1])
    return comparison, pages


def write_selections(runs: Sequence[RunDir], root: Path) -> Path:
    """Write the curricula of a sweep's runs side by side, and return the page."""
    page = root / "selections.md"
    write_text(page, selections_markdown(runs))
    return page


def run_cells(recipe: Recipe, root: Path, jobs: int) -> list[RunDir]:
    """Run what is not finished, `jobs` at a time; the run folders of all, in order.

    A cell that was interrupted goes on; its output is in NAME.log beside its folder.
    """
    all_cells = list(cells(recipe))
    todo = [(name, cell) for name, cell in all_cells if not RunDir(root / name).report.exists()]
    for name, cell in todo:
        check_run(cell, RunDir(root / name))
    total = len(all_cells)
    logger.info(f"sweep: {total} runs, {total - len(todo)} finished before, {jobs} at a time")
    failures = _Failures()
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda item: _run_cell(root, item[0], item[1], failures), todo))
    if failures.lines:
        first, line = next(iter(failures.lines.items()))
        stopped = (
            f"{failures.not_begun} were not begun: two ended alike; " if failures.not_begun else ""
        )
        raise UserError(
            f"{len(failures.lines)} of {total} runs failed, {stopped}the first said: {line}; its "
            f"output is in {root / first}.log; --resume goes on with what is missing"
        )
    return [RunDir(root / name) for name, _ in all_cells]


@dataclass
class _Failures:
    """The cells that failed, each with its log's last line.

    One failure may be about its cell alone. Two that end alike, names of cells and numbers aside,
    are about all: cells that have not begun are left.
    """

    lines: dict[str, str] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    alike: bool = False
    not_begun: int = 0

    def add(self, name: str, line: str) -> None:
        kind = re.sub(r"\d+", "0", line.replace(name, ""))
        self.alike = self.alike or kind in self.kinds
        self.kinds.add(kind)
        self.lines[name] = line


def _run_cell(root: Path, name: str, cell: Recipe, failures: _Failures) -> None:
    if failures.alike:
        failures.not_begun += 1
        return
    recipe_file = root / f"{name}.yaml"
    write_text(recipe_file, dump_recipe(cell))
    command = [
        sys.executable,
        "-m",
        "ttc_rl",
        "run",
        str(recipe_file),
        "--run-dir",
        str(root / name),
    ]
    with (root / f"{name}.log").open("a+b") as log:
        begins = log.tell()
        done = subprocess.run(
            [*command, "--resume"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(cell.places.folders),
            check=False,
        )
        if done.returncode == 0:
            logger.info(f"{name}: done")
            return
        log.seek(begins)
        lines = log.read().decode(errors="replace").split("\n")
    line = next((text.strip() for text in reversed(lines) if text.strip()), "nothing")
    failures.add(name, line)
    logger.info(f"{name}: failed with code {done.returncode}: {line}; see {name}.log")


def _slug(value: Any) -> str:
    """Return the value as part of a folder's name: a file by its stem, a part of a benchmark with a
    dash."""
    name = Path(str(value)).name
    stem = name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".parquet")
    return stem if stem != name else str(value).replace("/", "-")
