"""A corpus before it is used: shown as the model will read it, graded, written out."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ttc_rl.config import SourceConfig
from ttc_rl.config.loading import parsed_overrides
from ttc_rl.config.section import merge
from ttc_rl.corpus.files import write_tasks
from ttc_rl.corpus.sources import Loaded, catalog, load_source, resolve_source
from ttc_rl.run_dir import write_text
from ttc_rl.sampling.prompts import conversation, without_roles
from ttc_rl.schema import Task, UserError
from ttc_rl.stages.publishing import upload
from ttc_rl.verifiers.golds import Checked, check_golds

SHOWN = 3
"""Tasks that a look shows."""
GRADED = 200
"""Golds that a look grades, evenly over the corpus."""
HUB = "hub:"
FILE = "tasks.jsonl"


@dataclass(frozen=True)
class Look:
    """What a source holds."""

    loaded: Loaded
    shown: list[tuple[Task, str]]
    """Its first tasks, each as the model reads it."""
    checked: list[Checked]
    graded: int
    """How many golds were looked at."""


def source_of(name: str, keys: Sequence[str] = (), data: str | None = None) -> SourceConfig:
    """Return a named source, a file or a hub id with further keys: `kind=math`,
    `columns.prompt=question`. Raises UserError for a key that a source does not have.
    """
    source = resolve_source(name, data)
    given: dict[str, Any] = source.model_dump(exclude_defaults=True)
    for change in parsed_overrides(keys):
        given = merge(given, change)
    try:
        return SourceConfig.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = ", ".join(SourceConfig.model_fields)
            raise UserError(f"{key}: a source has no such key; it has {known}") from None
        raise UserError(f"{key or name}: {problem['msg'].removeprefix('Value error, ')}") from None


def look(source: SourceConfig, *, every: bool = False) -> Look:
    """Read a source, and grade golds against themselves, silence and another gold.

    Of a large source `GRADED` golds are looked at, unless `every` one is asked for.
    """
    loaded = load_source(source)
    step = 1 if every else -(-len(loaded.tasks) // GRADED)
    some = loaded.tasks[::step]
    shown = [(t, without_roles(conversation(t, {}))) for t in loaded.tasks[:SHOWN]]
    return Look(loaded, shown, check_golds(some), len(some))


def save(tasks: Sequence[Task], out: str, source: str) -> str:
    """Write tasks as rows of our own format, and return where they are now.

    `out` is a .jsonl or .jsonl.gz file, or `hub:NAME`, a data set of the Hub, which gets a card.
    Raises UserError for another name, and for a file that is there.
    """
    if out.startswith(HUB):
        with tempfile.TemporaryDirectory() as folder:
            write_tasks(tasks, Path(folder, FILE))
            write_text(Path(folder, "README.md"), card(tasks, source))
            return upload(
                Path(folder),
                out.removeprefix(HUB),
                kind="dataset",
                message=f"{len(tasks):,} tasks of {source}, written by ttc-rl",
            )
    path = Path(out)
    if not out.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(f"--out {out}: name a .jsonl or .jsonl.gz file, or hub:NAME")
    if path.exists():
        raise UserError(f"--out {out}: is there already; delete it, or name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tasks(tasks, path)
    return str(path)


def card(tasks: Sequence[Task], source: str) -> str:
    """Return the README of a data set: front matter, what it holds, how it is used."""
    from huggingface_hub import DatasetCardData

    entry = catalog().get(source)
    front = DatasetCardData(license=entry.licence if entry else None, tags=["ttc-rl"])
    counts = Counter((task.kind, task.source) for task in tasks)
    lines = [f"| {kind} | {origin} | {count:,} |" for (kind, origin), count in counts.items()]
    return "\n".join(
        [
            f"---\n{front.to_yaml()}\n---\n",
            f"# {len(tasks):,} verifiable tasks of {source}\n",
            "| kind | source | tasks |",
            "|---|---|---:|",
            *lines,
            "\nA row has `kind`, `prompt`, `gold` or `tests`, `source` and `meta`, as",
            "ttc-rl reads them: name the data set under `corpus:` of a recipe.\n",
        ]
    )
