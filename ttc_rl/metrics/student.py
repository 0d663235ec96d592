"""Student's t with the standard library: its quantile, its tail, and the interval over seeds."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

from ttc_rl.metrics.estimate import Difference, Estimate


def t_difference(values: Sequence[float]) -> Difference:
    """Return `t_interval` of differences, with the p of its mean being 0; no p where all are
    equal."""
    interval = t_interval(values)
    if interval.lo is None or interval.hi is None or interval.lo == interval.hi:
        return Difference(interval.value, interval.lo, interval.hi, None)
    df = len(values) - 1
    error = (interval.hi - interval.lo) / 2 / t_quantile(0.975, df)
    return Difference(
        interval.value, interval.lo, interval.hi, t_two_sided_p(interval.value / error, df)
    )


def t_interval(values: Sequence[float]) -> Estimate:
    """Return the mean over m independent replications (seeds), +- t(0.975, m-1) * s / sqrt(m)."""
    mean = fmean(values)
    if len(values) < 2:
        return Estimate(mean, None, None)
    half = t_quantile(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def t_share(values: Sequence[float]) -> Estimate:
    """Return `t_interval` of shares in [0, 1], cut to [0, 1]: few seeds have wide intervals."""
    interval = t_interval(values)
    if interval.lo is None or interval.hi is None:
        return interval
    return Estimate(interval.value, max(0.0, interval.lo), min(1.0, interval.hi))


@functools.cache
def t_quantile(p: float, df: int) -> float:
    """Return the t with P(T <= t) = p for Student's T with `df` degrees of freedom, 0.5 <= p < 1.

    Up to 200 degrees the distribution function, a finite sum, is inverted by bisection. Above it
    three terms of the expansion around the normal quantile are exact to 1e-6.
    """
    if not 0.5 <= p < 1 or df < 1:
        raise ValueError(f"t quantile of p={p}, df={df}")
    if df > 200:
        z = NormalDist().inv_cdf(p)
        return z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_inside(middle, df) < 2 * p - 1 else (low, middle)
    return math.sqrt(df) * math.tan(low)


def _t_inside(theta: float, df: int) -> float:
    """Return P(|T| <= t) with tan(theta) = t / sqrt(df).  Abramowitz & Stegun 26.7.3 and 26.7.4."""
    odd = df % 2
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for j in range(1 + odd, df, 2):
        total += term
        term *= math.cos(theta) ** 2 * j / (j + 1)
    if odd:
        return (theta + math.sin(theta) * total) * 2 / math.pi
    return math.sin(theta) * total


def t_two_sided_p(t: float, df: int) -> float:
    """Return P(|T| >= t) for Student's T with `df` degrees of freedom."""
    return max(0.0, 1.0 - _t_inside(math.atan(abs(t) / math.sqrt(df)), df))
