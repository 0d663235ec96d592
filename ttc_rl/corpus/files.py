"""Rows of task files and of saved data sets, each with the place where it stood."""

from __future__ import annotations

import csv
import difflib
import glob
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from ttc_rl.corpus.rows import Row
from ttc_rl.run_dir import room_at
from ttc_rl.schema import Task, UserError
from ttc_rl.system.install import install

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".parquet")
SAVED = ("state.json", "dataset_dict.json")
"""Files of a folder that the datasets library saved."""


def is_path(text: str) -> bool:
    """Return whether a text means files: it has one of our endings, is a glob, or starts like a
    path."""
    if text.endswith(SUFFIXES) or "*" in text:
        return True
    folder = Path(text).expanduser()
    if any((folder / name).exists() for name in SAVED):
        return True
    return text.startswith(("/", "./", "../", "~")) and not folder.is_dir()


def read_files(pattern: str) -> Iterator[Row]:
    """Yield the rows of one file or saved data set, or of all files of a glob, by name."""
    for path in find_files(pattern):
        yield from _reader(path)(path)


def _reader(path: Path) -> Callable[[Path], Iterator[Row]]:
    if path.is_dir():
        return _read_saved
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    return {"parquet": _read_parquet, "json": _read_json, "csv": _read_csv, "tsv": _read_csv}.get(
        kind, _read_jsonl
    )


def find_files(pattern: str) -> list[Path]:
    """Return the files of a pattern. Raises UserError where there is none, or one that holds no
    tasks."""
    pattern = str(Path(pattern).expanduser())
    paths = [Path(pattern)]
    if not paths[0].exists() and glob.has_magic(pattern):
        paths = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
        if not paths:
            raise UserError(f"{pattern}: no file matches")
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file{_nearby(path)}")
        if path.is_dir():
            _check_saved(path)
            continue
        if not path.name.endswith(SUFFIXES):
            raise UserError(f"{path}: not a file of tasks; I read {', '.join(SUFFIXES)}")
    return paths


def _check_saved(folder: Path) -> None:
    """Raise UserError for a folder that is not one saved data set."""
    if (folder / "dataset_dict.json").exists():
        splits = sorted(path.name for path in folder.iterdir() if path.is_dir())
        raise UserError(f"{folder}: holds several splits; name one: {folder}/{splits[0]}")
    if not (folder / "state.json").exists():
        raise UserError(f"{folder}: is a folder; name its files, e.g. {folder}/*.jsonl")


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (and no folder {path.parent})"
    names = [p.name for p in path.parent.iterdir() if p.name.endswith(SUFFIXES)]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / close[0]}?" if close else ""


def _read_jsonl(path: Path) -> Iterator[Row]:
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _parse(f"{path}:{number}", line)


def _read_json(path: Path) -> Iterator[Row]:
    """Read a list of objects, or an object whose only list they are."""
    with _opened(path) as file:
        whole = _parse(str(path), file.read())
    if whole.problem:
        hint = (
            "; a file of one object a line is called .jsonl"
            if "Extra data" in whole.problem
            else ""
        )
        raise UserError(f"{path}: {whole.problem}{hint}")
    rows = whole.value
    if isinstance(rows, dict):
        lists = [value for value in cast(dict[str, Any], rows).values() if isinstance(value, list)]
        rows = lists[0] if len(lists) == 1 else rows
    if not isinstance(rows, list):
        raise UserError(f"{path}: should hold a list of objects, one a task")
    for number, value in enumerate(cast(list[Any], rows), start=1):
        yield Row(f"{path}[{number}]", value)


def _read_csv(path: Path) -> Iterator[Row]:
    """Read a table whose first line names the columns; an empty field is missing."""
    with _opened(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        delimiter = "\t" if ".tsv" in path.name else ","
        reader = csv.DictReader(text, delimiter=delimiter, restkey="", strict=True)
        try:
            columns = list(reader.fieldnames or ())
            if twice := next((name for name in columns if columns.count(name) > 1), None):
                raise UserError(f"{path}:1: two columns are called {twice!r}; rename one")
            for value in reader:
                where = f"{path}:{reader.line_num}"
                if "" in value:
                    yield Row(where, problem=f"has more fields than the {len(value) - 1} columns")
                else:
                    yield Row(where, {k: v for k, v in value.items() if v not in (None, "")})
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: not readable as csv: {error}") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not UTF-8 (byte {error.start + 1})") from None


def _read_saved(folder: Path) -> Iterator[Row]:
    """Read what `Dataset.save_to_disk` wrote."""
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"{folder}: a saved data set needs the datasets package: {install('hub')}"
        ) from None
    try:
        saved: Any = datasets.load_from_disk(str(folder))
    except (FileNotFoundError, ValueError, OSError) as error:
        raise UserError(f"{folder}: not a readable data set: {_line(error)}") from None
    for number, value in enumerate(saved, start=1):
        yield Row(f"{folder}:{number}", value)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    opener: Any = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged gzip file: {error}") from None
    except PermissionError:
        raise UserError(f"{path}: may not be read (permission denied)") from None


def _parse(where: str, line: bytes) -> Row:
    try:
        return Row(where, json.loads(line.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        return Row(where, problem=f"not UTF-8 (byte {error.start + 1})")
    except json.JSONDecodeError as error:
        return Row(where, problem=f"not valid JSON: {error.msg} (column {error.colno})")
    except RecursionError:
        return Row(where, problem="not valid JSON: nested too deeply")
    except ValueError as error:  # an integer of more than 4300 digits
        return Row(where, problem=f"not valid JSON: {error}")


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(f"{path}: reading parquet needs pyarrow: {install('hub')}") from None
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for value in cast(list[dict[str, Any]], batch.to_pylist()):
                    number += 1
                    yield Row(f"{path}:{number}", value)
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: not a readable parquet file: {_line(error)}") from None


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


# --------------------------------------------------------------------------- writing


def write_tasks(tasks: Iterable[Task], path: Path) -> None:
    """Write tasks as rows of our own format, whole or not at all, to a .jsonl or .jsonl.gz
    file."""
    beside = path.with_name(f"{path.name}.part")
    opener: Any = gzip.open if path.name.endswith(".gz") else open
    with room_at(path):
        with opener(beside, "wt", encoding="utf-8") as file:
            for row in _task_rows(tasks):
                file.write(json.dumps(row, ensure_ascii=False, default=dict) + "\n")
        beside.replace(path)


def _task_rows(tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        row = {
            "id": task.meta.get("id", task.id),
            "kind": task.kind,
            "prompt": task.prompt,
            "gold": task.gold,
            "tests": list(task.tests),
            "source": task.source,
            "meta": {key: value for key, value in task.meta.items() if key != "id"},
        }
        yield {key: value for key, value in row.items() if value not in (None, "", [], {})}
