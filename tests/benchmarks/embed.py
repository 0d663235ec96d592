# ruff: noqa: T201
"""What storing embeddings as float16 changes, and what our sharded cache costs beside the library.

    TTC_RL_DATA=... python tests/benchmarks/embed.py [TASKS] [PICKS]

Real tasks of four corpora, MiniLM, SIFT for AIME 2025 at lambda 0.1. Speed: plain
SentenceTransformer.encode and `embed` into an empty cache, in turns, medians of CPU seconds.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from ttc_rl.config import EmbedConfig
from ttc_rl.corpus.sources import load_tasks
from ttc_rl.embed import embed
from ttc_rl.embed.encoders import weights_of
from ttc_rl.selection import select
from ttc_rl.selection.posterior import variances

CORPORA = ("math_12k", "gsm8k_train", "dapo_math_17k", "mmlu")


def rounding(exact_ND: np.ndarray, target_MD: np.ndarray, size: int) -> None:
    """Cosines and picks of vectors rounded to float16, against those of float32."""
    half_ND, half_MD = (x.astype(np.float16).astype(np.float32) for x in (exact_ND, target_MD))
    error = np.abs(exact_ND @ target_MD.T - half_ND @ half_MD.T).max()
    print(f"largest change of a cosine: {error:.1e}")
    order = [pick.index for pick in select(exact_ND, target_MD, size=size)]
    for name, targets in (("corpus", target_MD), ("corpus and targets", half_MD)):
        other = [pick.index for pick in select(half_ND, targets, size=size)]
        first = next((i for i in range(size) if order[i] != other[i]), size)
        for n in (size // 10, size // 2, size):
            common = len(set(order[:n]) & set(other[:n]))
            before, ours, theirs = (
                variances(exact_ND[rows], target_MD, 0.1)[-1].sum()
                for rows in ([], order[:n], other[:n])
            )
            print(
                f"float16 {name}: {common} of the first {n} picks common (equal up to {first}); "
                f"uncertainty {before:.1f} -> {theirs:.4f} instead of {ours:.4f}"
            )


def speed(texts: list[str], rounds: int = 3) -> None:
    """Texts a second of `embed` into an empty cache, beside the library alone."""
    model = SentenceTransformer(str(weights_of(EmbedConfig(), None)))
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(rounds):
        started = time.process_time()
        model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
        seconds["plain"].append(time.process_time() - started)
        with tempfile.TemporaryDirectory() as cache:
            os.environ["TTC_RL_CACHE"] = cache
            started = time.process_time()
            embed(texts, EmbedConfig(batch=64))
            seconds["ours"].append(time.process_time() - started)
    plain, ours = (statistics.median(seconds[name]) for name in ("plain", "ours"))
    print(
        f"{len(texts):,} texts: plain {len(texts) / plain:.0f} texts/s, ours "
        f"{len(texts) / ours:.0f} with loading and cache; {ours / plain:.3f} x the time"
    )


def main(tasks: int = 4000, size: int = 1000) -> None:
    data = Path(os.environ["TTC_RL_DATA"])
    each = tasks // len(CORPORA)
    files = [str(data / f"corpus/{name}.jsonl.gz") for name in CORPORA]
    texts = [task.prompt for file in files for task in load_tasks(file, strict=False)[:each]]
    targets = load_tasks(str(data / "benchmarks/aime2025.jsonl"), strict=False)
    exact = EmbedConfig(dtype="float32")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TTC_RL_CACHE"] = cache
        corpus_ND = np.asarray(embed(texts, exact))
        target_MD = np.asarray(embed([t.prompt for t in targets], exact))
    rounding(corpus_ND, target_MD, size)
    speed(texts[:: max(len(texts) // 800, 1)])


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
