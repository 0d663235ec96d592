"""Small selection problems, and the posterior variance in the form of the paper."""

import numpy as np


def problem(seed: int, n: int = 25, m: int = 4, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n + m, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:n], rows[n:]


def posterior_variance(rows: np.ndarray, targets: np.ndarray, noise: float) -> float:
    """sum_t k(t,t) - k_X(t)^T (K_X + noise I)^-1 k_X(t), by the kernel form."""
    if not len(rows):
        return float((targets**2).sum())
    kernel = rows @ rows.T + noise * np.eye(len(rows))
    cross = rows @ targets.T
    return float((targets**2).sum() - (cross * np.linalg.solve(kernel, cross)).sum())
