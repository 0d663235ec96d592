"""Dose and response: a planted curve is found, and too few sizes make none."""

import math

import numpy as np
import pytest

from ttc_eval.compare.dose import curve, dose, fitted

SIZES = [1, 10, 30, 100, 300]


def planted(top: float, scale: float) -> list[float]:
    return [top * (1 - math.exp(-n / scale)) for n in SIZES]


@pytest.mark.parametrize(("top", "scale"), [(0.3, 20.0), (-0.1, 50.0), (0.5, 3.0)])
def test_a_planted_curve_is_found(top: float, scale: float):
    found = fitted(SIZES, planted(top, scale))
    assert found[0] == pytest.approx(top, rel=0.01)
    assert found[1] == pytest.approx(scale, rel=0.03)


def test_intervals_are_over_seeds():
    rng = np.random.default_rng(0)
    rows = {seed: np.array(planted(0.3, 20)) + rng.normal(0, 0.01, 5) for seed in range(5)}
    gains = {n: {seed: float(row[i]) for seed, row in rows.items()} for i, n in enumerate(SIZES)}
    found = dose(gains)
    assert found
    assert found.asymptote.lo is not None
    assert found.asymptote.hi is not None
    assert found.asymptote.lo < 0.3 < found.asymptote.hi
    assert found.asymptote.hi - found.asymptote.lo < 0.05
    assert found.nine_tenths == pytest.approx(20 * math.log(10), rel=0.15)
    assert found.gains[10].seeds == 5
    line = curve(found)
    assert line[0] == (0, 0)
    assert line[-1][0] == 300
    assert line[-1][1] == pytest.approx(found.asymptote.value, rel=1e-3)


def test_too_few_sizes_or_no_seed_that_has_them_all():
    assert dose({1: {0: 0.1}, 10: {0: 0.2}}) is None
    assert dose({1: {0: 0.1}, 10: {1: 0.2}, 30: {0: 0.3}}) is None
