"""Tasks to unit vectors, through a cache on disk that corpora of any size fit in.

The cache is keyed by the text and by all that changes its vector, so a corpus shared by many runs
is embedded once, and a run killed halfway goes on from the last finished chunk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import chain, islice
from pathlib import Path

import numpy as np

from ttc_rl.config import EmbedConfig
from ttc_rl.embed.encoders import POLICY, describe, open_encoder, text_key, text_of
from ttc_rl.embed.shards import Shards, open_shards
from ttc_rl.run_dir import cache_dir
from ttc_rl.schema import Task, UserError, content_hash
from ttc_rl.vectors import Vectors

logger = logging.getLogger(__name__)

__all__ = ["POLICY", "embed", "open_shards", "write_shards"]

# N texts, D dimensions.
CHUNK = 2048
"""Texts of a shard: what a kill can lose."""
MEMORY = 2**32
"""Bytes that an array handed out may take; a larger table stays on disk and is read in pieces."""


def embed(
    items: Sequence[Task | str],
    config: EmbedConfig,
    *,
    policy: Path | str | None = None,
    memory: int = MEMORY,
) -> np.ndarray | Vectors:
    """Return unit vectors of tasks (or bare texts); shape (N, D), row i for item i.

    The result is a float32 array where that fits `memory`, else a view of the shards in
    `embed.dtype`. `policy` is the id or folder behind `embed.model: policy`.
    """
    about = describe(config, policy)
    texts = [text_of(item, config) for item in items]
    keys = [text_key(text) for text in texts]
    cache = Shards(cache_dir() / "embeddings" / content_hash(about), about)
    ahead = [Shards(Path(path), about, damaged="refuse") for path in config.shards]
    embedded = {key for shards in [*ahead, cache] for key, _ in shards.names()}
    missing = {k: text for k, text in zip(keys, texts, strict=True) if k not in embedded}
    if missing:
        logger.info(f"embedding {len(missing):,} of {len(texts):,} texts with {config.model}")
        _say_faster(config, len(missing))
        progress = Progress(list(missing.values()))
        with open_encoder(config, policy) as encode:
            todo = list(missing)
            for start in range(0, len(todo), CHUNK):
                chunk = todo[start : start + CHUNK]
                chunk_texts = [missing[key] for key in chunk]
                cache.append(chunk, encode(chunk_texts))
                progress.add(chunk_texts)
    return _table([*ahead, cache], keys, memory)


MANY = 5000
"""Texts from which a faster way is worth a line."""


def _say_faster(config: EmbedConfig, count: int) -> None:
    slow = config.compute == "float32" and config.backend == "sentence-transformers"
    if count < MANY or not slow:
        return
    from ttc_rl.system.processor import has_bfloat16

    if has_bfloat16():
        logger.info("embed.compute=bfloat16 takes about a third of the time on this processor")


def write_shards(
    tasks: Iterable[Task],
    folder: Path,
    config: EmbedConfig,
    *,
    policy: Path | str | None = None,
    chunk: int = CHUNK,
) -> Shards:
    """Write one row a task into a folder, in the order of `tasks`. Goes on where an earlier call
    stopped.

    `tasks` may be a stream; every shard but the last holds `chunk` rows. Raises UserError where the
    folder holds other tasks.
    """
    shards = Shards(folder, describe(config, policy), damaged="cut")
    listed = tasks if isinstance(tasks, Sequence) else []
    tasks = iter(tasks)
    for row, (key, task_id) in enumerate(shards.names()):
        task = next(tasks, None)
        if task is None or (key, task_id) != (text_key(text_of(task, config)), task.id):
            raise UserError(
                f"{folder}: row {row} is of another task than this corpus has there; "
                "name another folder"
            )
    first = next(tasks, None)
    if first is None:
        return shards
    if shards.count:
        logger.info(f"{folder}: {shards.count:,} rows are there already")
    rest = chain([first], tasks)
    progress = Progress([text_of(task, config) for task in listed[shards.count :]])
    with open_encoder(config, policy) as encode:
        while batch := list(islice(rest, chunk)):
            texts = [text_of(task, config) for task in batch]
            keys, ids = [text_key(text) for text in texts], [task.id for task in batch]
            shards.append(keys, encode(texts), ids)
            progress.add(texts)
    return shards


def _table(folders: Sequence[Shards], keys: Sequence[str], memory: int) -> np.ndarray | Vectors:
    """Return the rows of these keys as one table."""
    row_of: dict[str, int] = {}
    every_key = (key for shards in folders for key, _ in shards.names())
    for row, key in enumerate(every_key):
        row_of.setdefault(key, row)
    rows_N = np.fromiter((row_of[key] for key in keys), dtype=np.int64, count=len(keys))
    table = Vectors([path for shards in folders for path in shards.paths()], rows_N)
    if 4 * len(keys) * table.shape[1] > memory:
        return table
    vectors_ND = np.empty(table.shape, np.float32)
    for start in range(0, len(keys), CHUNK):
        vectors_ND[start : start + CHUNK] = table[start : start + CHUNK]
    return vectors_ND


class Progress:
    """A line a chunk: how far, how fast, how long still. Time goes by characters, not by texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.total, self.characters = len(texts), sum(map(len, texts))
        self.done = self.read = 0
        self.started = time.monotonic()

    def add(self, texts: Sequence[str]) -> None:
        self.done += len(texts)
        self.read += sum(map(len, texts))
        seconds = time.monotonic() - self.started
        rate = self.done / seconds
        speed = f"{rate:,.{0 if rate >= 10 else 1}f} texts/s"
        if not self.total:
            logger.info(f"embedded {self.done:,} ({speed})")
            return
        seconds_left = seconds * (self.characters - self.read) / max(self.read, 1)
        clock = timedelta(seconds=round(seconds_left))
        logger.info(f"embedded {self.done:,} of {self.total:,} ({speed}, {clock} left)")
