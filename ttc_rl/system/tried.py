"""The number of runs begun for a test: the best of several looks better than it is.

tried.jsonl lies beside the run folders and is only ever appended to, so that a run that was
overwritten, deleted, or given up stays counted. Runs of other folders are not known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ttc_rl.schema import content_hash

NAME = "tried.jsonl"
NOT_THE_RESULT = "seed", "target", "sweep", "track", "data"
"""Keys of a recipe in which two runs may differ and are still one recipe for one target."""


def note(root: Path, recipe: Mapping[str, Any], *, overwritten: bool) -> None:
    """Write down that a run of a recipe, as a mapping, begins in the folder `root`.

    Nothing is written where the folder's parent is read-only.
    """
    row = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": root.name,
        "overwritten": overwritten,
        "seed": recipe["seed"],
        **_keys(recipe),
    }
    try:
        with (root.absolute().parent / NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError:
        return


def tried(root: Path, recipe: Mapping[str, Any]) -> str:
    """Return one sentence about the runs for this target beside `root`; empty where none is on
    record."""
    target = _keys(recipe)["target"]
    rows = [row for row in _rows(root.absolute().parent / NAME) if row.get("target") == target]
    if not rows:
        return ""
    recipes = len({row.get("recipe") for row in rows})
    over = sum(bool(row.get("overwritten")) for row in rows)
    count = "1 run" if len(rows) == 1 else f"{len(rows):,} runs"
    sentence = f"Tried for this target in this folder: {count} of {recipes:,} "
    sentence += "recipe" if recipes == 1 else "recipes"
    sentence += f", {over:,} of which overwrote an earlier one" if over else ""
    return sentence + (
        ". The best of several recipes is too good by chance." if recipes > 1 else "."
    )


def _keys(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return hashes of the target, and of all but the seed that can change a result."""
    whole = {key: value for key, value in recipe.items() if key not in NOT_THE_RESULT}
    return {"target": content_hash(recipe["target"]), "recipe": content_hash(whole)}


def _rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows. Damaged lines are left out: they are not worth a run."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    rows: list[Mapping[str, Any]] = []
    for line in lines:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
