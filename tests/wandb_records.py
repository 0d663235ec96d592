"""Reads what W&B recorded offline."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def records(path: Path) -> Iterator[Any]:
    """Of an offline file: LevelDB's log format, in blocks of 32 KiB, after seven bytes."""
    from wandb.proto import wandb_internal_pb2

    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (room := 32768 - at % 32768) < 7:
            at += room
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def finished(path: Path, seconds: float = 30.0) -> list[Any]:
    """The records of a run that was finished. W&B's own process writes the file, and may still do
    so when `finish` returns."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = list(records(path))
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{path} has no end")


def logged(folder: Path) -> set[str]:
    """Names of all numbers in the offline runs of a folder."""
    found = set[str]()
    for path in (folder / "wandb").glob("offline-run-*/*.wandb"):
        for record in finished(path):
            found |= {item.key or item.nested_key[0] for item in record.history.item}
    return found
