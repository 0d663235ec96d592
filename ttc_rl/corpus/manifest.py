"""What a corpus was made of: each source's place, conditions, licence, tasks and content hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ttc_rl.config import SourceConfig
from ttc_rl.corpus.sources import Loaded, catalog, resolve_source
from ttc_rl.schema import content_hash


def manifest(
    entries: Sequence[str | SourceConfig], data: str | None, loaded: Loaded
) -> list[dict[str, Any]]:
    """Return one row for each entry of `corpus:`, in its order. `loaded` is what they gave
    together.

    A task that an earlier entry also holds counts for that one alone.
    """
    ids = [task.id for task in loaded.tasks]
    ends = [sum(loaded.parts[: i + 1]) for i in range(len(loaded.parts))]
    return [
        _row(entry, resolve_source(entry, data), ids[end - count : end])
        for entry, count, end in zip(entries, loaded.parts, ends, strict=True)
    ]


def _row(entry: str | SourceConfig, config: SourceConfig, ids: list[str]) -> dict[str, Any]:
    named = catalog().get(entry) if isinstance(entry, str) else None
    usual = SourceConfig(path="x").model_dump()
    source = config.model_dump(exclude_none=True)
    return {
        "name": entry if isinstance(entry, str) else None,
        "licence": named.licence if named else None,
        **{key: value for key, value in source.items() if value != usual[key]},
        "tasks": len(ids),
        "hash": content_hash(ids),
    }
