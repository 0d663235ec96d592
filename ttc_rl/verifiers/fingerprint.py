"""Which grader gave a verdict: a hash that changes whenever the verifiers' own code does."""

from __future__ import annotations

import functools
import hashlib
import inspect
from importlib import metadata
from pathlib import Path

from ttc_rl.config.plugins import PLUGINS
from ttc_rl.schema import content_hash

_ROOM = Path(__file__).parent


def fingerprint(kind: str) -> str:
    """`math-1f3a9c02`: of this package's sources and mpmath, or of a plug-in's own file."""
    if kind in PLUGINS:
        where = inspect.getsourcefile(PLUGINS[kind])
        return f"{kind}-{content_hash(_sources([Path(where)] if where else []), length=8)}"
    return f"{kind}-{_built_in()}"


@functools.cache
def _built_in() -> str:
    files = sorted(_ROOM.rglob("*.py"))
    return content_hash((*_sources(files), metadata.version("mpmath")), length=8)


def _sources(files: list[Path]) -> tuple[str, ...]:
    return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
