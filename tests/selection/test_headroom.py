"""R^2 of solve rates from vectors: planted signals are found, noise is not, and chance is said."""

import numpy as np
import pytest

from ttc_rl.schema import UserError
from ttc_rl.selection.headroom import headroom

RNG = np.random.default_rng(0)


def rates(signal: np.ndarray, samples: int) -> np.ndarray:
    p = 1 / (1 + np.exp(-2 * signal))
    return RNG.binomial(samples, p)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_linear_signal_is_found_up_to_the_noise_of_its_samples():
    vectors = unit(RNG.normal(size=(300, 12)))
    signal = 4 * vectors[:, 0]
    many, few = (headroom(vectors, rates(signal, n), n) for n in (64, 4))
    assert many.ridge > 0.75
    assert many.ceiling > 0.95
    assert few.ceiling < 0.8
    assert few.ridge < few.ceiling + 0.05
    assert many.ridge > many.neighbours > 0.2


def test_families_without_a_direction_are_found_by_neighbours():
    family = RNG.integers(0, 8, 240)
    vectors = unit(4 * RNG.normal(size=(8, 16))[family] + RNG.normal(size=(240, 16)))
    found = headroom(vectors, rates(RNG.normal(size=8)[family] * 2, 32), 32)
    assert found.neighbours > 0.6
    assert found.ridge > 0.6


def test_of_noise_nothing_is_told():
    found = headroom(unit(RNG.normal(size=(200, 12))), RNG.binomial(8, 0.5, 200), 8)
    assert found.ridge < 0.05
    assert found.neighbours < 0.05
    assert found.ceiling < 0.3


def test_chance_is_a_matter_of_the_seed_alone():
    vectors, right = unit(RNG.normal(size=(60, 4))), RNG.binomial(8, 0.5, 60)
    assert headroom(vectors, right, 8, 3) == headroom(vectors, right, 8, 3)


def test_what_says_nothing_is_refused():
    vectors = unit(RNG.normal(size=(40, 4)))
    with pytest.raises(UserError, match="29 tasks say too little"):
        headroom(vectors[:29], np.ones(29), 2)
    with pytest.raises(UserError, match="every task is solved equally often"):
        headroom(vectors, np.full(40, 2), 4)
