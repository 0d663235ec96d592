"""Where tasks come from: files, data sets of the hub, the procedural source, and named corpora."""

from __future__ import annotations

import difflib
import functools
import itertools
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

from ttc_rl.config import ConditionConfig, Shape, SourceConfig
from ttc_rl.corpus.files import find_files, is_path, read_files
from ttc_rl.corpus.filters import tested, wanted
from ttc_rl.corpus.rows import BadRow, Row, RowReader
from ttc_rl.corpus.shapes import shaped
from ttc_rl.corpus.shapes.guess import guess
from ttc_rl.schema import Task, UserError, content_hash

logger = logging.getLogger(__name__)

__all__ = [
    "CatalogEntry",
    "Loaded",
    "catalog",
    "load_corpus",
    "load_source",
    "load_tasks",
    "resolve_source",
    "stream_corpus",
]


@dataclass(frozen=True)
class Loaded:
    """What a source, or a corpus of several, gave."""

    tasks: list[Task]
    problems: list[str]
    """One line for each row that was left out: `file:line: what is wrong`."""
    duplicates: int
    """Tasks equal to one that came before: left out, unless `repeats` were asked for."""
    parts: tuple[int, ...] = ()
    """Of a corpus: how many of `tasks` each entry brought; they stand in its order."""


@dataclass(frozen=True)
class CatalogEntry:
    """A corpus known by name; see catalog.yaml."""

    kind: str
    licence: str
    description: str
    file: str | None = None
    hub: str | None = None
    config: str | None = None
    split: str = "train"
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    gold_after: str | None = None
    shape: Shape | None = None
    where: Mapping[str, Any] = field(default_factory=dict[str, Any])
    min_tests: int | None = None


# --------------------------------------------------------------------------- loading


def load_tasks(source: str, *, data: str | None = None, strict: bool = True) -> list[Task]:
    """Return the tasks of a file, a glob, a named corpus or a hub id, equal ones once.

    A row that cannot be read raises UserError; `strict=False` leaves it out.
    """
    loaded = load_source(resolve_source(source, data))
    if strict and loaded.problems:
        count = len(loaded.problems)
        raise UserError(
            f"{loaded.problems[0]}"
            + (f" (and {count - 1} more bad rows)" if count > 1 else "")
            + "; strict=False leaves such rows out"
        )
    return loaded.tasks


def load_source(
    config: SourceConfig, *, repeats: bool = False, kinds: Collection[str] = ()
) -> Loaded:
    """Return all good rows of one source, in their order. Bad rows are listed and left out.

    With `repeats`, equal tasks are all kept, the later ones under ids of their own: a benchmark's
    published size counts them. `kinds` names a recipe's own kinds. Raises UserError where not one
    task could be read.
    """
    name = config.path or config.hub or ("skills" if config.skills else "everyday")
    problems: list[str] = []
    gather = _numbered if repeats else _distinct
    tasks, repeated = gather(_good_tasks(config, problems, kinds), config.limit)
    if not tasks:
        bad = f"{len(problems)} bad row{'s' * (len(problems) != 1)}"
        first = f", first: {problems[0]}" if problems else "; there is nothing in it"
        raise UserError(f"{name}: no task could be read ({bad}{first})")
    return Loaded(tasks, problems, repeated)


def load_corpus(
    entries: Sequence[str | SourceConfig], data: str | None = None, kinds: Collection[str] = ()
) -> Loaded:
    """Return several sources as one: of equal tasks the first is kept. Raises UserError where no
    task is read.

    An entry is a name of the catalogue, a task file or glob, a hub id, or a `SourceConfig`.
    """
    parts = [load_source(resolve_source(entry, data), kinds=kinds) for entry in entries]
    tasks, repeated = _distinct(task for part in parts for task in part.tasks)
    if not tasks:
        raise UserError("corpus: is empty; name at least one source")
    problems = [line for part in parts for line in part.problems]
    counts = _fresh([{task.id for task in part.tasks} for part in parts])
    return Loaded(tasks, problems, repeated + sum(part.duplicates for part in parts), counts)


def _fresh(parts: Sequence[set[str]]) -> tuple[int, ...]:
    """Return how many of each part's ids are in no part before it."""
    return tuple(len(part.difference(*parts[:i])) for i, part in enumerate(parts))


def stream_corpus(
    entries: Sequence[str | SourceConfig], data: str | None = None, kinds: Collection[str] = ()
) -> Iterator[Task]:
    """Yield the tasks of `load_corpus` in its order, read as they are asked for. Bad rows are left
    out.

    Keeps no more of a task than its id.
    """
    seen: set[str] = set()
    for config in [resolve_source(entry, data) for entry in entries]:
        here: set[str] = set()
        for task in _good_tasks(config, [], kinds):
            if len(here) == config.limit:
                break
            if task.id not in here:
                here.add(task.id)
                if task.id not in seen:
                    yield task
        seen |= here


def _distinct(tasks: Iterable[Task], limit: int | None = None) -> tuple[list[Task], int]:
    """Return the first of each group of equal tasks, at most `limit`, and how many were left
    out."""
    seen: set[str] = set()
    repeated = 0

    def fresh() -> Iterator[Task]:
        nonlocal repeated
        for task in tasks:
            if task.id in seen:
                repeated += 1
            else:
                seen.add(task.id)
                yield task

    return list(islice(fresh(), limit)), repeated


def _numbered(tasks: Iterable[Task], limit: int | None) -> tuple[list[Task], int]:
    """Return all tasks, at most `limit`: of equal ones the n-th, from 1 on, is named (id, n)."""
    seen = Counter[str]()
    numbered: list[Task] = []
    for task in islice(tasks, limit):
        before = seen[task.id]
        seen[task.id] += 1
        numbered.append(replace(task, id=content_hash([task.id, before])) if before else task)
    return numbered, len(numbered) - len(seen)


def _good_tasks(
    config: SourceConfig, problems: list[str], kinds: Collection[str]
) -> Iterator[Task]:
    if config.skills is not None:
        from ttc_rl.corpus.skills import make_skills

        yield from make_skills(config.skills)
        return
    if config.everyday is not None:
        from ttc_rl.corpus.everyday import make_everyday

        yield from make_everyday(config.everyday)
        return
    name = config.hub or _readable(Path(config.path or "").name.partition(".")[0])
    reader = RowReader(config.columns, config.kind, name, config.gold_after, config.meta, kinds)
    rows = _rows(config)
    shape = config.shape
    if not (shape or config.kind or config.columns or config.gold_after):
        shape, rows = _guessed(name, rows)
    for row in rows:
        try:
            if row.problem:
                raise BadRow(row.problem)
            if wanted(row.value, config.where):
                task = reader.task(shaped(shape, row.value))
                if tested(task, config.min_tests):
                    yield task
        except BadRow as problem:
            problems.append(f"{row.where}: {problem}")


def _readable(name: str) -> str:
    """Return a file's name as text, whatever the locale reads it as."""
    return os.fsencode(name).decode("utf-8", "replace")


def _guessed(name: str, rows: Iterator[Row]) -> tuple[Shape | None, Iterator[Row]]:
    """Return the shape that the first readable row has, and all rows."""
    before: list[Row] = []
    for row in rows:
        before.append(row)
        if not row.problem:
            break
    known = guess(before[-1].value) if before else None
    if known is not None:
        _say_once(f"{name}: read as {known.says}")
    return known and known.shape, itertools.chain(before, rows)


@functools.cache
def _say_once(line: str) -> None:
    logger.info(line)


def _rows(config: SourceConfig) -> Iterator[Row]:
    if config.path is not None:
        return read_files(config.path)
    from ttc_rl.corpus.hub import read_hub

    return read_hub(config)


# --------------------------------------------------------------------------- names


@functools.cache
def catalog() -> Mapping[str, CatalogEntry]:
    """Return the named corpora, in the order of catalog.yaml."""
    from ruamel.yaml import YAML

    text = resources.files("ttc_rl.corpus").joinpath("catalog.yaml").read_text("utf-8")
    loaded = YAML(typ="safe", pure=True).load(text)
    return {name: CatalogEntry(**entry) for name, entry in loaded.items()}


def resolve_source(entry: str | SourceConfig, data: str | None = None) -> SourceConfig:
    """Return the source of a corpus entry; `data` is a folder of task files in the hub's stead."""
    if isinstance(entry, SourceConfig):
        return entry
    if is_path(entry):
        return SourceConfig(path=entry)
    if entry in catalog():
        source = catalog()[entry]
        return _local(entry, source, data) if data else _remote(entry, source)
    if "/" in entry:
        return SourceConfig(hub=entry)
    close = difflib.get_close_matches(entry, catalog(), n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(catalog())}"
    raise UserError(f"corpus: no source named {entry!r}; {hint}")


def check_source(entry: str | SourceConfig, data: str | None = None) -> None:
    """Raise UserError where no source has that name, or its files are missing; reads no row."""
    path = resolve_source(entry, data).path
    if path is not None:
        find_files(path)


def _local(name: str, entry: CatalogEntry, data: str) -> SourceConfig:
    folder = Path(data).expanduser() / "corpus"
    if entry.file is None or not (folder / entry.file).exists():
        raise UserError(f"{folder / (entry.file or name)}: no such file; `data:` is to hold {name}")
    return SourceConfig(path=str(folder / entry.file), meta=dict(entry.meta))


def _remote(name: str, entry: CatalogEntry) -> SourceConfig:
    if entry.hub is None:
        raise UserError(
            f"corpus: {name} is not on the hub; set `data:` to a folder that holds "
            f"corpus/{entry.file}"
        )
    return SourceConfig(
        hub=entry.hub,
        config=entry.config,
        split=entry.split,
        kind=None if entry.shape else entry.kind,
        columns=dict(entry.columns),
        meta=dict(entry.meta),
        gold_after=entry.gold_after,
        shape=entry.shape,
        where={c: ConditionConfig.model_validate(v) for c, v in entry.where.items()},
        min_tests=entry.min_tests,
    )
