"""Vectors on disk: .npy shards, the names of their rows, and a manifest that proves them whole.

    manifest.json            model, revision, prompt ..., dimensions, dtype, count, shards
    000000000-1f0c….npy      rows 0 to 2,047; the number is the first row's
    000000000-1f0c….txt      a line a row: hash of its text and, where tasks were named, the id

A shard counts once the manifest names it, with its rows and the SHA-256 of both its files. So a
kill loses at most the shard being made, and one that is cut or altered is found when next opened.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ttc_rl.run_dir import read_json, room_at, write_json
from ttc_rl.schema import UserError
from ttc_rl.vectors import Vectors

logger = logging.getLogger(__name__)

# n rows of a shard, D dimensions.
MANIFEST = "manifest.json"
Shard = dict[str, Any]


class Shards:
    """A folder of shards that grows.

    `about` is what determines a vector (model, prompt, ...); UserError where the folder's differs.
    `damaged` shards are, by default, left out and said (`drop`), with all that follow them, so that
    a beginning of the table remains (`cut`), or a UserError, as is a missing manifest (`refuse`).
    """

    def __init__(
        self,
        folder: Path,
        about: Mapping[str, Any],
        *,
        damaged: Literal["drop", "cut", "refuse"] = "drop",
    ) -> None:
        self.folder, self.about = folder, dict(about)
        self.list = _known(folder, self.about)
        if damaged == "refuse":
            check(folder)
            return
        bad = {shard["file"]: why for shard in self.list if (why := damage(folder, shard))}
        for name, why in bad.items():
            logger.info(f"{folder / name}: {why}; its texts are embedded again")

        def whole(shard: Shard) -> bool:
            return shard["file"] not in bad

        if bad:
            with _lock(folder):
                shards = _known(folder, self.about)
                self.list = list((takewhile if damaged == "cut" else filter)(whole, shards))
                write_manifest(folder, self.about, self.list)

    @property
    def count(self) -> int:
        return sum(shard["rows"] for shard in self.list)

    def paths(self) -> list[Path]:
        return [self.folder / shard["file"] for shard in self.list]

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield text key and task id (empty where none was given) of every row, in order."""
        for shard in self.list:
            for line in _beside(self.folder / shard["file"]).read_text().splitlines():
                key, _, task_id = line.partition(" ")
                yield key, task_id

    def append(
        self, keys: Sequence[str], vectors_nD: np.ndarray, ids: Sequence[str] | None = None
    ) -> None:
        """Append one more shard, which is on disk when this returns."""
        vectors_nD = np.ascontiguousarray(vectors_nD, dtype=self.about["dtype"])
        digest = hashlib.sha256(vectors_nD.tobytes()).hexdigest()
        lines = keys if ids is None else [f"{k} {i}" for k, i in zip(keys, ids, strict=True)]
        names = "".join(f"{line}\n" for line in lines).encode()
        self.folder.mkdir(parents=True, exist_ok=True)
        with _lock(self.folder):
            # The digest is in the name, so that two runs that share a cache keep apart.
            path = self.folder / f"{self.count:09d}-{digest[:16]}.npy"
            _write_whole(path, lambda file: np.save(file, vectors_nD))
            _write_whole(_beside(path), lambda file: file.write(names))
            shard = {"file": path.name, "rows": len(keys), "dimensions": vectors_nD.shape[1]}
            shard |= {"sha256": file_hash(path), "names_sha256": hashlib.sha256(names).hexdigest()}
            self.list.append(shard)
            others = _known(self.folder, self.about)
            others = [other for other in others if other != shard]
            write_manifest(self.folder, self.about, [*others, shard])


def open_shards(folder: Path | str) -> Vectors:
    """Return the vectors of a finished folder as one table; every shard is checked against the
    manifest.

    Raises UserError where there is no manifest, and for a damaged shard.
    """
    folder = Path(folder)
    shards = check(folder)
    return Vectors([folder / shard["file"] for shard in shards])


def check(folder: Path) -> list[Shard]:
    """Return the shards of a finished folder. Raises UserError unless all of them are whole."""
    if not (folder / MANIFEST).exists():
        raise UserError(
            f"{folder}: holds no {MANIFEST}, so it is no finished folder of vectors; "
            "the `ttc-rl embed` that began it goes on where it stopped"
        )
    shards: list[Shard] = read_json(folder / MANIFEST)["shards"]
    for shard in shards:
        if why := damage(folder, shard):
            raise UserError(
                f"{folder / shard['file']}: {why}; the `ttc-rl embed` that made it mends it"
            )
    return shards


def damage(folder: Path, shard: Shard) -> str:
    """Return what is wrong with a shard that the manifest names; empty when nothing is."""
    path = folder / shard["file"]
    for file, digest in ((path, shard["sha256"]), (_beside(path), shard["names_sha256"])):
        if not file.exists():
            return f"{file.name} is missing"
        if file_hash(file) != digest:
            return f"{file.name} is not what {MANIFEST} says (cut or altered)"
    return ""


def write_manifest(folder: Path, about: Mapping[str, Any], shards: Sequence[Shard]) -> None:
    sizes = {
        "dimensions": shards[0]["dimensions"] if shards else None,
        "count": sum(shard["rows"] for shard in shards),
    }
    write_json(folder / MANIFEST, {**about, **sizes, "shards": list(shards)})


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known(folder: Path, about: Mapping[str, Any]) -> list[Shard]:
    path = folder / MANIFEST
    if not path.exists():
        return []
    manifest = read_json(path)
    for key, value in about.items():
        if manifest.get(key) != value:
            raise UserError(
                f"{folder}: holds vectors of another {key} ({manifest.get(key)!r}, now {value!r}); "
                "name another folder, or embed as it did"
            )
    return manifest["shards"]


def _beside(path: Path) -> Path:
    return path.with_suffix(".txt")


def _write_whole(path: Path, write: Callable[[Any], Any]) -> None:
    part = path.with_name(path.name + ".part")
    with room_at(path), part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold a lock: one writer at a time, also among processes. The system lifts it when one is
    killed."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
