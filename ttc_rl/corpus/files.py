"""Rows of .jsonl, .jsonl.gz and .parquet files, each with its place."""

from __future__ import annotations

import difflib
import glob
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from ttc_rl.corpus.rows import Row
from ttc_rl.schema import UserError

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


def is_path(text: str) -> bool:
    """Return whether a text means files: it has one of our endings, is a glob, or starts like a
    path."""
    if text.endswith(SUFFIXES) or "*" in text:
        return True
    return text.startswith(("/", "./", "../", "~")) and not Path(text).expanduser().is_dir()


def read_files(pattern: str) -> Iterator[Row]:
    """Yield the rows of one file, or of all files that a glob matches, by name."""
    for path in find_files(pattern):
        yield from _read_parquet(path) if path.name.endswith(".parquet") else _read_jsonl(path)


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
            raise UserError(f"{path}: is a folder; name its files, e.g. {path}/*.jsonl")
        if not path.name.endswith(SUFFIXES):
            raise UserError(f"{path}: not a file of tasks; I read {', '.join(SUFFIXES)}")
    return paths


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (and no folder {path.parent})"
    names = [p.name for p in path.parent.iterdir() if p.name.endswith(SUFFIXES)]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / close[0]}?" if close else ""


def _read_jsonl(path: Path) -> Iterator[Row]:
    opener: Any = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parse(f"{path}:{number}", line)
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
        raise UserError(f"{path}: reading parquet needs pyarrow: pip install ttc-rl[hub]") from None
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
