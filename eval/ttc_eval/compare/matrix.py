"""Does a curriculum for T raise T, or everything? Rows: trained on; columns: evaluated on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ttc_eval.compare.comparison import Matrix


def specialisation(
    gains: Mapping[tuple[str, str], Sequence[float]], rows: Sequence[str], columns: Sequence[str]
) -> Matrix:
    """Return the mean gain over seeds for each (trained on, evaluated on), None where nothing was
    measured.

    `diagonal_minus_rest` and its `p_value` need every target evaluated in the runs of every other.
    """
    means = {cell: float(np.mean(values)) for cell, values in gains.items()}
    square = np.array([[means.get((row, column), math.nan) for column in rows] for row in rows])
    statistic = p_value = None
    if not np.isnan(square).any() and len(rows) > 1:
        statistic, p_value = diagonal_test(square)
    return Matrix(
        rows=list(rows),
        columns=list(columns),
        gain=[[means.get((row, column)) for column in columns] for row in rows],
        diagonal_minus_rest=statistic,
        p_value=p_value,
    )


def diagonal_test(
    gain_TT: np.ndarray, *, seed: int = 0, draws: int = 10_000
) -> tuple[float, float]:
    """Return the mean of the diagonal minus the mean of the rest, and P(as much under shuffled row
    labels).

    All T! labellings are tried where they are at most 5040 (T <= 7), so with T rows p is never
    below 1/T!. Otherwise `draws` random ones are, and the observed one counts too.
    """
    size = len(gain_TT)
    diagonal = float(np.trace(gain_TT))
    rest = float(gain_TT.sum()) - diagonal
    statistic = diagonal / size - rest / (size * (size - 1))
    if math.factorial(size) <= 5040:
        shuffles = np.array(list(itertools.permutations(range(size))))
    else:
        rng = np.random.default_rng(seed)
        shuffles = np.array([np.arange(size), *(rng.permutation(size) for _ in range(draws))])
    # The total does not change with the labels, so the statistic grows with the diagonal alone.
    as_much = gain_TT[shuffles, np.arange(size)].sum(axis=1) >= diagonal - 1e-12
    return statistic, float(as_much.mean())
