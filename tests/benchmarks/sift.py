# ruff: noqa: T201
"""How fast exact SIFT is: beside its plain form, beside activeft, by size, and from disk.

    python tests/benchmarks/sift.py plain [N D M n ROUNDS]     one pass of the corpus a pick
    python tests/benchmarks/sift.py activeft [N D M n ROUNDS]  0.1.1; pip install -e '.[bench]'
    python tests/benchmarks/sift.py table                      by N, M, D, n: bytes, flops, floor
    python tests/benchmarks/sift.py disk FOLDER [N D n]        float16 shards, killed and resumed

Clustered unit vectors, lambda 0.1. Rivals take turns; medians of CPU seconds (wall for `disk`).
The plain form is the textbook's, in float32: v -= u^2/s, C -= u c^T/s with u = X w, once a pick.
Its rounding adds up, so after some hundred picks it may leave the path; ours decides in float64.
"""

from __future__ import annotations

import json
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ttc_rl.selection import sift
from ttc_rl.selection.sift import greedy, observations
from ttc_rl.vectors import Vectors

NOISE = 0.1


def plain(x_ND: np.ndarray, t_MD: np.ndarray, size: int) -> list[int]:
    sigma_DD = np.eye(x_ND.shape[1])
    cross_NM, v_N = x_ND @ t_MD.astype(np.float32).T, np.einsum("nd,nd->n", x_ND, x_ND)
    open_N, order = np.ones(len(x_ND), dtype=bool), list[int]()
    for _ in range(size):
        gain_N = np.einsum("nm,nm->n", cross_NM, cross_NM) / (NOISE + v_N)
        pick = int(np.where(open_N, gain_N, -np.inf).argmax())
        open_N[pick] = False
        order.append(pick)
        w_D = sigma_DD @ x_ND[pick].astype(np.float64)
        s = NOISE + float(x_ND[pick] @ w_D)
        u_N = x_ND @ w_D.astype(np.float32)
        cross_NM -= np.outer(u_N / np.float32(s), cross_NM[pick])
        v_N -= u_N**2 / np.float32(s)
        sigma_DD -= np.outer(w_D, w_D / s)
    return order


def activeft(x_ND: np.ndarray, t_MD: np.ndarray, size: int) -> list[int]:
    """Asked to hold all of the corpus at once, so that it computes the same; with repetition."""
    import torch
    from activeft import ActiveDataLoader
    from activeft.acquisition_functions.vtl import VTL

    arm = VTL(
        target=torch.from_numpy(t_MD),
        mini_batch_size=len(x_ND) + 1,
        num_workers=0,
        noise_std=NOISE**0.5,
    )
    loader = ActiveDataLoader(torch.from_numpy(x_ND), size, arm)
    return loader.next()[0].tolist()


def clusters(dimensions: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(200, dimensions))


def vectors(count: int, centres_KD: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, centres_KD.shape[1]), dtype=np.float32)
    rows *= 0.7
    rows += centres_KD[rng.integers(len(centres_KD), size=count)].astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def problem(n: int, d: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    centres = clusters(d)
    return vectors(n, centres, 1), vectors(m, centres[:20], 2)


def beside(
    rival: Callable[[np.ndarray, np.ndarray, int], list[int]],
    n: int,
    d: int,
    m: int,
    size: int,
    rounds: int,
    **options: bool,
) -> None:
    corpus, targets = problem(n, d, m)
    forms = {
        rival.__name__: lambda: rival(corpus, targets, size),
        "ours": lambda: greedy(corpus, targets, size, NOISE, **options),
    }
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    picks: dict[str, list[int]] = {}
    for _ in range(rounds):
        for name, form in forms.items():
            started = time.process_time()
            picks[name] = form()
            seconds[name].append(time.process_time() - started)
    other, ours = (statistics.median(values) for values in seconds.values())
    pairs = list(zip(*picks.values(), strict=True))
    agree = next((i for i, (a, b) in enumerate(pairs) if a != b), size)
    print(
        f"{n:,} x {d}, {m} targets, {size} picks, {rounds} rounds: {rival.__name__} {other:.2f} s, "
        f"ours {ours:.2f} s of CPU: {other / ours:,.1f} x; the first {agree} of {size} picks equal"
    )


# --------------------------------------------------------------------------- by size

SIZES = [
    (10_000, 384, 30, 200),
    (100_000, 384, 30, 1000),
    (265_000, 384, 30, 100),
    (265_000, 384, 30, 1000),
    (265_000, 384, 1, 1000),
    (265_000, 384, 384, 1000),
    (265_000, 384, 12_000, 1000),
    (265_000, 1024, 30, 1000),
    (1_000_000, 384, 30, 1000),
]


def table() -> None:
    """What a pick reads and computes in passes of the corpus, and how that fits the machine."""
    bandwidth, rate = _floor()
    print(f"floor: copies {bandwidth / 1e9:.1f} GB/s, float32 products {rate / 1e9:.0f} GFLOP/s\n")
    print("| N | D | M | n | seconds | passes | MB a pick | MFLOP a pick | of the floor |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for n, d, m, size in SIZES:
        corpus, targets = problem(n, d, m)
        counted = _Counted(n)
        started = time.perf_counter()
        greedy(corpus, targets, size, NOISE)
        took = time.perf_counter() - started
        counted.stop()
        floor = max(counted.bytes / bandwidth, counted.flops / rate)
        print(
            f"| {n:,} | {d} | {m:,} | {size:,} | {took:.2f} | {counted.passes} "
            f"| {counted.bytes / size / 1e6:.1f} | {counted.flops / size / 1e6:.0f} "
            f"| {took / floor:.1f} x |"
        )


class _Counted:
    """Counts the passes over all N rows, and what they read and multiply."""

    def __init__(self, count: int) -> None:
        self.passes, self.bytes, self.flops, self.original = 0, 0, 0, sift._Level._pass
        counted = self

        def passed(level, seen, *arguments, **options):
            if len(level.rows) == count:
                counted.add(level, len(seen))
            return counted.original(level, seen, *arguments, **options)

        sift._Level._pass = passed

    def add(self, level: sift._Level, k: int) -> None:
        (n, d), cross = level.rows.x_ND.shape, level.state.cross_NM
        wide = 2 * d if cross is None else d + 2 * cross.shape[1] + k
        self.passes += 1
        self.bytes += n * d * level.rows.x_ND.dtype.itemsize
        self.bytes += 0 if cross is None else 2 * cross.nbytes
        self.flops += 2 * n * k * wide

    def stop(self) -> None:
        sift._Level._pass = self.original


def _floor() -> tuple[float, float]:
    """Bytes a second of a copy (read and written), and operations a second of a product."""
    big, left = np.ones(1 << 26, np.float32), np.ones((2048, 2048), np.float32)
    copies, products = [], []
    for _ in range(5):
        started = time.perf_counter()
        big.copy()
        copies.append(time.perf_counter() - started)
        started = time.perf_counter()
        left @ left
        products.append(time.perf_counter() - started)
    return 2 * big.nbytes / statistics.median(copies), 2 * 2048**3 / statistics.median(products)


# --------------------------------------------------------------------------- from disk

SHARD = 250_000


def disk(folder: str, n: int = 10_000_000, d: int = 384, size: int = 1000) -> None:
    """Select from float16 shards in a process of its own, kill it half-way, and let it go on."""
    root = Path(folder)
    paths = _shards(root, n, d)
    table = Vectors(paths)
    started = time.perf_counter()
    for tile in sift.tiles(n):
        table[tile].astype(np.float32)
    one_pass = time.perf_counter() - started
    print(
        f"{n:,} x {d} float16: {n * d * 2 / 1e9:.2f} GB, read once in {one_pass:.1f} s", flush=True
    )
    picks = root / "picks.jsonl"
    picks.unlink(missing_ok=True)
    first = _selecting(root, size, kill_at=size // 2)
    second = _selecting(root, size)
    print(
        f"killed after {first[0]} picks ({first[1]:.0f} s), "
        f"went on to {second[0]} ({second[1]:.0f} s)"
    )
    print(f"at most {second[2] / 2**30:.2f} GiB resident")
    whole = [json.loads(line) for line in picks.read_text().splitlines()]
    picks.unlink()
    third = _selecting(root, size)
    again = [json.loads(line) for line in picks.read_text().splitlines()]
    passes = third[3]["passes"]
    print(
        f"undisturbed: {third[1]:.0f} s, {passes} passes, {third[1] / passes / one_pass:.2f} x "
        f"the time of reading them; the same picks: {whole == again}"
    )


def _shards(root: Path, n: int, d: int) -> list[Path]:
    root.mkdir(parents=True, exist_ok=True)
    centres = clusters(d)
    np.save(root / "targets.npy", vectors(30, centres[:20], 2))
    paths = [root / f"rows-{i:04d}.npy" for i in range(-(-n // SHARD))]
    for number, path in enumerate(paths):
        rows = min(SHARD, n - number * SHARD)
        if not path.exists() or np.load(path, mmap_mode="r").shape != (rows, d):
            np.save(path, vectors(rows, centres, 100 + number).astype(np.float16))
    return paths


def _selecting(root: Path, size: int, kill_at: int | None = None) -> tuple[int, float, int, dict]:
    """Picks in the file afterwards, seconds, peak resident bytes, and what the process reported."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "select-from", str(root), str(size)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    picks = root / "picks.jsonl"
    while kill_at and child.poll() is None:
        if picks.exists() and picks.read_text().count("\n") >= kill_at:
            child.send_signal(signal.SIGKILL)
            break
        time.sleep(0.2)
    said = child.communicate()[0]
    report = json.loads(said) if said else {}
    count = picks.read_text().count("\n")
    return count, time.perf_counter() - started, report.get("resident", 0), report


def select_from(root: str, size: int) -> None:
    folder = Path(root)
    paths = sorted(folder.glob("rows-*.npy"))
    picks = folder / "picks.jsonl"
    before = [json.loads(line) for line in picks.read_text().splitlines()] if picks.exists() else []
    corpus = Vectors(paths)
    counted = _Counted(len(corpus))
    with picks.open("a") as file:
        found = observations(
            corpus, np.load(folder / "targets.npy"), NOISE, size=size, before=before
        )
        for seen in found:
            file.write(f"{seen.index}\n")
            file.flush()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"resident": resident, "passes": counted.passes}))


def main(form: str = "plain", *arguments: str) -> None:
    numbers = [int(a) for a in arguments if a.isdigit()]
    if form == "plain":
        n, d, m, size, rounds = [*numbers, *(265_000, 384, 30, 1000, 3)[len(numbers) :]]
        beside(plain, n, d, m, size, rounds)
    elif form == "activeft":
        n, d, m, size, rounds = [*numbers, *(10_000, 384, 30, 200, 1)[len(numbers) :]]
        beside(activeft, n, d, m, size, rounds, repeat=True)
    elif form == "table":
        table()
    elif form == "disk":
        disk(arguments[0], *numbers)
    elif form == "select-from":
        select_from(arguments[0], *numbers)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
