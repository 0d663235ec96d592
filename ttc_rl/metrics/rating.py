"""A model's Elo on problems that carry a rating, by maximum likelihood.

P(a sample solves a problem of rating r) = 1 / (1 + 10^((r - theta) / 400)). It is as good as the
ratings, which for most problem sets come from people under contest rules; it is no contest rating.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ttc_rl.metrics.student import t_quantile

POINTS = 400 / math.log(10)
"""Rating points a unit of log-odds."""


@dataclass(frozen=True, slots=True)
class Elo:
    """`value` is None where all or none were solved: the likelihood has no finite maximum, and
    one of `lo` and `hi` is a bound, the other None.
    """

    value: float | None
    lo: float | None
    hi: float | None
    note: str


def elo(ratings: Sequence[float], solved: Sequence[int], samples: int) -> Elo:
    """Return theta from solved[i] of n samples on problem i, with a 95 % interval of the
    likelihood.

    The likelihood counts samples of one problem as independent, which they are not where problems
    differ by more than their rating. So its log may fall by t^2/2 * phi from its maximum, with
    phi = max(1, Pearson's chi^2 / (N - 1)) over the N problems (quasi-likelihood, McCullagh 1983):
    the interval speaks of new problems. Without a finite maximum, the bound is the theta at which
    one sample a problem would give such a result in 2.5 % of cases.
    """
    if len(ratings) != len(solved) or not ratings or samples < 1:
        raise ValueError("one rating and one count a problem, at least one of each")
    total, most = sum(solved), samples * len(ratings)
    if total == 0:
        bound = _root(lambda x: sum(_log_miss(x, r) for r in ratings) - math.log(0.025), ratings)
        return Elo(None, None, bound, "none solved: no finite Elo, an upper bound only")
    if total == most:
        bound = _root(lambda x: math.log(0.025) - sum(_log_hit(x, r) for r in ratings), ratings)
        return Elo(None, bound, None, "all solved: no finite Elo, a lower bound only")
    theta = _root(lambda x: total - samples * sum(_chance(x, r) for r in ratings), ratings)
    if len(ratings) == 1:
        return Elo(theta, None, None, "")

    def loglik(x: float) -> float:
        pairs = zip(ratings, solved, strict=True)
        return sum(c * _log_hit(x, r) + (samples - c) * _log_miss(x, r) for r, c in pairs)

    chances = [_chance(theta, r) for r in ratings]
    chi2 = sum(
        (c - samples * p) ** 2 / (samples * p * (1 - p))
        for c, p in zip(solved, chances, strict=True)
    )
    df = len(ratings) - 1
    floor = loglik(theta) - t_quantile(0.975, df) ** 2 / 2 * max(1.0, chi2 / df)
    lo = _bisect(lambda x: floor - loglik(x), theta, theta - 20_000)
    hi = _bisect(lambda x: floor - loglik(x), theta, theta + 20_000)
    return Elo(theta, lo, hi, "")


def _chance(theta: float, rating: float) -> float:
    return math.exp(_log_hit(theta, rating))


def _log_hit(theta: float, rating: float) -> float:
    x = (theta - rating) / POINTS
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def _log_miss(theta: float, rating: float) -> float:
    return _log_hit(rating, theta)


def _root(falling: Callable[[float], float], ratings: Sequence[float]) -> float:
    """Return where a function that falls with theta is 0, within 20,000 points of the ratings."""
    return _bisect(lambda x: -falling(x), min(ratings) - 20_000, max(ratings) + 20_000)


def _bisect(rising: Callable[[float], float], below: float, above: float) -> float:
    """Return the zero between `below`, where the function is negative, and `above`, where it is
    positive."""
    for _ in range(100):
        middle = (below + above) / 2
        below, above = (middle, above) if rising(middle) < 0 else (below, middle)
    return (below + above) / 2
