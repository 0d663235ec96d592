"""A recipe with `sweep:` is a grid of runs: one process and one run folder for each combination."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ttc_rl.checks import check_run
from ttc_rl.config import Recipe, dump_recipe, with_keys
from ttc_rl.run_dir import RunDir, write_text
from ttc_rl.schema import UserError
from ttc_rl.tether import environment


def cells(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Name and recipe of every combination of the sweep's values, in the order written."""
    for values in itertools.product(*recipe.sweep.values()):
        chosen = dict(zip(recipe.sweep, values, strict=True))
        name = ",".join(f"{key.split('.')[-1]}={_slug(value)}" for key, value in chosen.items())
        yield name, with_keys(recipe, chosen | {"sweep": {}})


def run_cells(recipe: Recipe, root: Path, jobs: int, say: Callable[[str], None]) -> list[RunDir]:
    """Run what is not finished, `jobs` at a time; the run folders of all, in order.

    A cell that was interrupted goes on; its output is in NAME.log beside its folder.
    """
    todo = [(name, cell) for name, cell in cells(recipe) if not RunDir(root / name).report.exists()]
    for name, cell in todo:
        check_run(cell, RunDir(root / name))
    total = len(list(cells(recipe)))
    say(f"sweep: {total} runs, {total - len(todo)} finished before, {jobs} at a time")
    with ThreadPoolExecutor(jobs) as pool:
        codes = list(pool.map(lambda item: _run_cell(root, item[0], item[1], say), todo))
    failed = [name for (name, _), code in zip(todo, codes, strict=True) if code]
    if failed:
        raise UserError(
            f"{len(failed)} of {total} runs failed, the first with its output in "
            f"{root / failed[0]}.log; --resume goes on with what is missing"
        )
    return [RunDir(root / name) for name, _ in cells(recipe)]


def _run_cell(root: Path, name: str, cell: Recipe, say: Callable[[str], None]) -> int:
    asked = root / f"{name}.yaml"
    write_text(asked, dump_recipe(cell))
    command = [sys.executable, "-m", "ttc_rl", "run", str(asked), "--run-dir", str(root / name)]
    with (root / f"{name}.log").open("a") as log:
        done = subprocess.run(
            [*command, "--resume"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
            check=False,
        )
    say(f"{name}: {'done' if done.returncode == 0 else f'failed, see {name}.log'}")
    return done.returncode


def _slug(value: Any) -> str:
    """The value in a folder's name: a file by its stem, a part of a benchmark with a dash."""
    name = Path(str(value)).name
    stem = name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".parquet")
    return stem if stem != name else str(value).replace("/", "-")
