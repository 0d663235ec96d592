"""The folder of a study that keeps a row for each test: what was asked, and the rows so far."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ttc_rl.run_dir import drop_cut_line, read_json, write_json
from ttc_rl.schema import UserError


def rows_of_study(folder: Path, asked: Mapping[str, Any], name: str) -> Path:
    """Return the file of a study's rows, without a line that a kill has cut.

    Raises UserError where the folder holds a study that asked something else.
    """
    about, rows = folder / "study.json", folder / name
    if about.exists() and read_json(about) != asked:
        raise UserError(f"{about}: holds another study; --run-dir names another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(about, dict(asked))
    drop_cut_line(rows)
    return rows
