"""Exact greedy SIFT: select the tasks that say most about the targets (arXiv 2410.08020).

A linear-Gaussian model of the targets: prior covariance I over weights, observation noise lambda.
After observing rows X the posterior is S = (I + X^T X / lambda)^-1, and the uncertainty left about
the targets is sum_t t^T S t. Observing x as well lowers that sum by

    gain(x) = sum_t (t^T S x)^2 / (lambda + x^T S x)

and S by S x x^T S / (lambda + x^T S x). The greedy takes the largest gain at each step.
"""

from __future__ import annotations

import numpy as np

# N corpus tasks, M targets, D embedding size, n picks.


def greedy(corpus_ND: np.ndarray, target_MD: np.ndarray, size: int, noise: float) -> list[int]:
    """Indices of the greedy's picks in order, each task at most once, ties to the lowest index.

    Float64 throughout. Memory: 8 bytes x N x (D + min(M, D)) beside the input. Time: one product of
    the corpus with a vector a pick, so O(N (D + min(M, D))), whatever the number of targets.
    """
    x_ND = np.ascontiguousarray(corpus_ND, dtype=np.float64)
    t_MD = _compressed(np.asarray(target_MD, dtype=np.float64))
    sigma_DD = np.eye(x_ND.shape[1])
    cross_NM = x_ND @ t_MD.T  # x^T S t
    variance_N = np.einsum("nd,nd->n", x_ND, x_ND)  # x^T S x
    available_N = np.ones(len(x_ND), dtype=bool)
    order: list[int] = []
    for _ in range(size):
        gain_N = np.einsum("nm,nm->n", cross_NM, cross_NM) / (noise + variance_N)
        pick = int(np.where(available_N, gain_N, -np.inf).argmax())
        available_N[pick] = False
        order.append(pick)
        w_D = sigma_DD @ x_ND[pick]
        scale = noise + float(x_ND[pick] @ w_D)
        u_N = x_ND @ w_D
        cross_NM -= np.outer(u_N / scale, cross_NM[pick])
        variance_N -= u_N**2 / scale
        sigma_DD -= np.outer(w_D, w_D) / scale
    return order


def posterior_trace(rows_nD: np.ndarray, target_MD: np.ndarray, noise: float) -> np.ndarray:
    """Summed target variance after 0, 1, ..., n of the rows; shape (n + 1,)."""
    g_MD = np.asarray(target_MD, dtype=np.float64).copy()  # T S
    sigma_DD = np.eye(rows_nD.shape[1])
    trace = [float(np.einsum("md,md->", g_MD, g_MD))]
    for row_D in np.asarray(rows_nD, dtype=np.float64):
        w_D = sigma_DD @ row_D
        scale = noise + float(row_D @ w_D)
        cross_M = g_MD @ row_D
        trace.append(trace[-1] - float(cross_M @ cross_M) / scale)
        g_MD -= np.outer(cross_M, w_D) / scale
        sigma_DD -= np.outer(w_D, w_D) / scale
    return np.array(trace)


def floor(corpus_ND: np.ndarray, target_MD: np.ndarray, noise: float) -> float:
    """What observing the whole corpus would leave: sum_t t^T (I + X^T X / lambda)^-1 t."""
    x_ND, t_MD = np.asarray(corpus_ND, np.float64), np.asarray(target_MD, np.float64)
    precision_DD = np.eye(x_ND.shape[1]) + x_ND.T @ x_ND / noise
    return float(np.einsum("md,dm->", t_MD, np.linalg.solve(precision_DD, t_MD.T)))


def _compressed(target_MD: np.ndarray) -> np.ndarray:
    """At most D rows with the same Gram matrix T^T T, hence the same gains."""
    if target_MD.shape[0] <= target_MD.shape[1]:
        return target_MD
    return np.asarray(np.linalg.qr(target_MD, mode="r"))
