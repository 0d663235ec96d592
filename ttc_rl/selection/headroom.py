"""What vectors tell of a model before it is trained: does the kernel carry difficulty at all?

SIFT's bounds hold where what a model does is linear in the embedding. Ridge regression from the
vectors to measured solve rates asks that directly: with R^2 near 0, SIFT's certificates are about
geometry alone. Nearest neighbours are the baseline, and the noise of n samples a task bounds both:

    ceiling = 1 - mean p (1 - p) / n / Var(p)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ttc_rl.schema import UserError

# N tasks, D embedding size.
LEAST = 30
"""Tasks below which nothing is said."""
FOLDS, NEIGHBOURS = 10, 5
RIDGES = 10.0 ** np.arange(-4, 4)


@dataclass(frozen=True)
class Headroom:
    tasks: int
    mean: float
    """Solve rate of the model before training."""
    ridge: float
    """R^2 of tasks that were held out, ridge regression on the vectors."""
    neighbours: float
    """The same of the mean rate of the five nearest tasks."""
    ceiling: float
    """The most that either could reach, since rates are measured from few samples."""


def headroom(vectors_ND: np.ndarray, right_N: np.ndarray, samples: int, seed: int = 0) -> Headroom:
    """Return how well solve rates are told from vectors, over folds of held-out tasks.

    `right_N` counts right samples of `samples` for each task. Raises UserError for fewer than 30
    tasks, or where all rates are alike.
    """
    rates_N = np.asarray(right_N, np.float64) / samples
    if len(rates_N) < LEAST:
        raise UserError(f"headroom: {len(rates_N)} tasks say too little; at least {LEAST}")
    variance = float(rates_N.var())
    if variance == 0:
        raise UserError("headroom: every task is solved equally often; there is nothing to tell")
    noise = float((rates_N * (1 - rates_N)).mean()) / max(samples - 1, 1)
    vectors_ND = np.asarray(vectors_ND, np.float64)
    guesses = np.zeros((2, len(rates_N)))
    for test in np.array_split(np.random.default_rng(seed).permutation(len(rates_N)), FOLDS):
        train = np.setdiff1d(np.arange(len(rates_N)), test)
        guesses[0, test] = _ridge(vectors_ND[train], rates_N[train], vectors_ND[test])
        guesses[1, test] = _nearest(vectors_ND[train], rates_N[train], vectors_ND[test])
    ridge, nearest = (1 - ((rates_N - row) ** 2).mean() / variance for row in guesses)
    return Headroom(
        len(rates_N), float(rates_N.mean()), float(ridge), float(nearest),
        max(0.0, 1 - noise / variance),
    )  # fmt: skip


def _ridge(train_ND: np.ndarray, rates_N: np.ndarray, test_nD: np.ndarray) -> np.ndarray:
    """Return predictions, the strength chosen by leaving one training task out at a time."""
    centre_D, mean = train_ND.mean(axis=0), rates_N.mean()
    kernel_NN = (train_ND - centre_D) @ (train_ND - centre_D).T
    values, vectors = np.linalg.eigh(kernel_NN)
    values = np.clip(values, 0, None)
    turned_N = vectors.T @ (rates_N - mean)

    def left_out(strength: float) -> float:
        shrunk = values / (values + strength)
        hat_N = (vectors**2 * shrunk).sum(axis=1)
        fitted_N = vectors @ (shrunk * turned_N)
        return float((((rates_N - mean - fitted_N) / (1 - hat_N).clip(1e-6)) ** 2).mean())

    strength = min(RIDGES, key=left_out)
    weights_N = vectors @ (turned_N / (values + strength))
    return mean + ((test_nD - centre_D) @ (train_ND - centre_D).T) @ weights_N


def _nearest(train_ND: np.ndarray, rates_N: np.ndarray, test_nD: np.ndarray) -> np.ndarray:
    cosine_nN = test_nD @ train_ND.T
    near = np.argsort(-cosine_nN, axis=1, kind="stable")[:, :NEIGHBOURS]
    return rates_N[near].mean(axis=1)
