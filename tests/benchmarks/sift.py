# ruff: noqa: T201
"""Drafting and certifying picks beside one pass of the corpus a pick: the same picks, in less time.

    python tests/benchmarks/sift.py [N] [D] [M] [n] [ROUNDS]

Clustered unit vectors, float32, lambda 0.1; the two forms taken in turns, medians of CPU seconds.
The plain form is the textbook's, in float32: v -= u^2/s, C -= u c^T/s with u = X w, once a pick.
Its rounding adds up, so after some hundred picks it may leave the path; ours decides in float64.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from ttc_rl.selection.sift import greedy


def plain(x_ND: np.ndarray, t_MD: np.ndarray, size: int, noise: float) -> list[int]:
    sigma_DD = np.eye(x_ND.shape[1])
    cross_NM, v_N = x_ND @ t_MD.astype(np.float32).T, np.einsum("nd,nd->n", x_ND, x_ND)
    open_N, order = np.ones(len(x_ND), dtype=bool), list[int]()
    for _ in range(size):
        gain_N = np.einsum("nm,nm->n", cross_NM, cross_NM) / (noise + v_N)
        pick = int(np.where(open_N, gain_N, -np.inf).argmax())
        open_N[pick] = False
        order.append(pick)
        w_D = sigma_DD @ x_ND[pick].astype(np.float64)
        s = noise + float(x_ND[pick] @ w_D)
        u_N = x_ND @ w_D.astype(np.float32)
        cross_NM -= np.outer(u_N / np.float32(s), cross_NM[pick])
        v_N -= u_N**2 / np.float32(s)
        sigma_DD -= np.outer(w_D, w_D / s)
    return order


def vectors(count: int, dimensions: int, centres_DK: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = centres_DK[rng.integers(len(centres_DK), size=count)]
    rows = rows + 0.7 * rng.normal(size=(count, dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def main(n: int = 265_000, d: int = 384, m: int = 30, size: int = 200, rounds: int = 3) -> None:
    centres = np.random.default_rng(0).normal(size=(200, d))
    corpus, targets = vectors(n, d, centres, 1), vectors(m, d, centres[:20], 2)
    seconds: dict[str, list[float]] = {"plain": [], "drafted": []}
    picks: dict[str, list[int]] = {}
    for _ in range(rounds):
        for name, form in (("plain", plain), ("drafted", greedy)):
            started = time.process_time()
            picks[name] = form(corpus, targets, size, 0.1)
            seconds[name].append(time.process_time() - started)
    one, other = (statistics.median(seconds[name]) for name in ("plain", "drafted"))
    agree = next((i for i in range(size) if picks["plain"][i] != picks["drafted"][i]), size)
    print(f"{n:,} x {d}, {m} targets, {size} picks: plain {one:.1f} s, drafted {other:.1f} s")
    print(f"{one / other:.1f} x; the first {agree} of {size} picks equal")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
