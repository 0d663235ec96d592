"""Options and printing that several commands share."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ttc_rl.system.printable import Terminal
from ttc_rl.system.ranks import is_main

# Without a terminal (a log file, a pipe) tables get the width they need.
console = Terminal(width=None if sys.stdout and sys.stdout.isatty() else 160)
opened: list[Path] = []
"""Run folders that this process works in."""


def _without_sandbox(unsafe: bool) -> None:
    if unsafe:
        os.environ["TTC_RL_SANDBOX"] = "unsafe-local"


RecipeFile = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe, e.g. recipes/quickstart.yaml")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Keys to set")
]
RunFolder = Annotated[
    Path | None, typer.Option("--run-dir", help="Where to leave the run; runs/RECIPE")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that exists")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete a run that exists")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the resolved recipe and what it costs; do nothing")
]
UnsafeLocal = Annotated[
    bool,
    typer.Option(
        "--unsafe-local",
        help="Run programs without a sandbox; every verdict says so",
        callback=_without_sandbox,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON")]
Data = Annotated[
    str | None,
    typer.Option(envvar="TTC_RL_DATA", help="Folder of task files that stand in for the hub"),
]


def show(line: str) -> None:
    """Print one plain line of a result on stdout; of several ranks one prints."""
    if is_main():
        console.print(line, markup=False, soft_wrap=True)


def print_json(record: Any) -> None:
    """Print a record of the harness as it stands in its file."""
    from ttc_eval.records import as_json

    show(json.dumps(as_json(record), indent=2, ensure_ascii=False))


def default_folder(recipe: Path) -> Path:
    return Path("runs") / recipe.stem
