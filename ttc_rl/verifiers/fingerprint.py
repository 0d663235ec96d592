"""Which grader gave a verdict: a hash that changes whenever the verifiers' own code does."""

from __future__ import annotations

import functools
import hashlib
import inspect
from importlib import metadata
from pathlib import Path

from ttc_rl.schema import content_hash
from ttc_rl.verifiers.kind import Kind

_ROOM = Path(__file__).parent


def built_in_version(kind: str) -> str:
    """Return `math-1f3a9c02`, of this package's sources and mpmath."""
    return f"{kind}-{_room()}"


def plug_in_version(kind: Kind) -> str:
    """Return the same of a plug-in's own file."""
    where = kind.file or inspect.getsourcefile(inspect.unwrap(kind.verify))
    return file_version(kind.name, Path(where) if where else None)


def file_version(kind: str, file: Path | None) -> str:
    """Return what `plug_in_version` says of a plug-in whose module has this file."""
    return f"{kind}-{content_hash(_sources([file] if file else []), length=8)}"


@functools.cache
def _room() -> str:
    files = sorted(_ROOM.rglob("*.py"))
    return content_hash((*_sources(files), metadata.version("mpmath")), length=8)


def _sources(files: list[Path]) -> tuple[str, ...]:
    return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
