# ruff: noqa: T201
"""What storing embeddings as float16 changes, and what our sharded cache costs beside the library.

    TTC_RL_DATA=... python tests/benchmarks/embed.py [TASKS] [PICKS]
    TTC_RL_DATA=... OMP_NUM_THREADS=1 python tests/benchmarks/embed.py faster [TASKS]

Real tasks of four corpora, MiniLM, SIFT for AIME 2025 at lambda 0.1. Speed: plain
SentenceTransformer.encode and `embed` into an empty cache, in turns, medians of CPU seconds.
"""

from __future__ import annotations

import os
import resource
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


def faster(texts: list[str], rounds: int = 3) -> None:
    """CPU and wall seconds of a corpus: float32 as sentence-transformers has it on one core, then
    `embed` with smaller batches, in bfloat16, and on all cores, in turns; cosines to the first."""
    cores = len(os.sched_getaffinity(0))
    ways = {
        "plain float32, batch 64, one core": None,
        "float32, batch 16": EmbedConfig(dtype="float32"),
        "bfloat16": EmbedConfig(dtype="float32", compute="bfloat16"),
        f"bfloat16, {cores} processes": EmbedConfig(
            dtype="float32", compute="bfloat16", processes=cores
        ),
    }
    weights = str(weights_of(EmbedConfig(), None))
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    vectors: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name, config in ways.items():
            with tempfile.TemporaryDirectory() as cache:
                os.environ["TTC_RL_CACHE"] = cache
                started = cpu_seconds(), time.perf_counter()
                if config is None:
                    vectors[name] = SentenceTransformer(weights).encode(
                        texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False
                    )
                else:
                    vectors[name] = np.asarray(embed(texts, config))
                ended = cpu_seconds(), time.perf_counter()
                seconds[name].append((ended[0] - started[0], ended[1] - started[1]))
    first = next(iter(ways))
    for name in ways:
        cosine_N = (vectors[first] * vectors[name]).sum(axis=1)
        cpu, wall = (statistics.median(column) for column in zip(*seconds[name], strict=True))
        before = [statistics.median(column) for column in zip(*seconds[first], strict=True)]
        print(
            f"{len(texts):,} texts, {name}: {cpu:.1f} s of CPU ({before[0] / cpu:.2f} x), "
            f"{wall:.1f} s ({before[1] / wall:.2f} x); cosine at least {cosine_N.min():.6f}"
        )


def cpu_seconds() -> float:
    """Return what this process and those it waited for have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def real_texts(count: int) -> list[str]:
    data = Path(os.environ["TTC_RL_DATA"])
    each = count // len(CORPORA)
    files = [str(data / f"corpus/{name}.jsonl.gz") for name in CORPORA]
    return [task.prompt for file in files for task in load_tasks(file, strict=False)[:each]]


def main(tasks: int = 4000, size: int = 1000) -> None:
    data = Path(os.environ["TTC_RL_DATA"])
    texts = real_texts(tasks)
    targets = load_tasks(str(data / "benchmarks/aime2025.jsonl"), strict=False)
    exact = EmbedConfig(dtype="float32")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TTC_RL_CACHE"] = cache
        corpus_ND = np.asarray(embed(texts, exact))
        target_MD = np.asarray(embed([t.prompt for t in targets], exact))
    rounding(corpus_ND, target_MD, size)
    speed(texts[:: max(len(texts) // 800, 1)])


if __name__ == "__main__":
    if sys.argv[1:2] == ["faster"]:
        faster(real_texts(*(int(argument) for argument in sys.argv[2:] or ["2000"])))
    else:
        main(*(int(argument) for argument in sys.argv[1:]))
