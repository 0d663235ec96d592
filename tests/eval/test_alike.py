"""How alike models answer: cosines within a model and across, on the tasks that all have."""

from collections.abc import Sequence

import numpy as np
import pytest

from ttc_eval.compare.alike import alike

AXES = {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [-1.0, 0.0]}


def encode(texts: Sequence[str]) -> np.ndarray:
    assert len(set(texts)) == len(texts)  # each text once
    return np.array([AXES[text] for text in texts])


def test_pairs_within_a_model_are_of_different_samples_and_across_of_all():
    models = {
        "base": {"1": ["a", "b"], "2": ["a", "a"], "3": ["a", "b"]},
        "arm": {"1": ["a", "a"], "2": ["c", "c"]},
    }
    found = alike(models, encode)
    assert list(found) == [("base", "base"), ("base", "arm"), ("arm", "arm")]
    assert found["base", "base"].value == pytest.approx((0 + 1) / 2)  # task 3 is not the arm's
    assert found["base", "arm"].value == pytest.approx((0.5 - 1) / 2)
    assert found["arm", "arm"].value == pytest.approx(1)


def test_one_sample_a_task_says_nothing():
    assert alike({"base": {"1": ["a"]}, "arm": {"1": ["a", "b"]}}, encode) == {}
