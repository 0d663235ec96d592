"""A corpus of copies is told from one without."""

import numpy as np
import pytest
from problems import problem

from ttc_rl.selection import duplication


def test_copies_around_a_target_are_counted(monkeypatch):
    monkeypatch.setattr(duplication, "NEIGHBOURS", 12)
    corpus, targets = problem(0, n=12, m=2, d=16)
    assert duplication.duplication(corpus, targets).share == 0
    twice = np.concatenate([corpus[:6], corpus[:6] * 2])
    found = duplication.duplication(twice, targets)
    assert (found.neighbours, found.share, found.distinct) == (12, 1.0, 6.0)


@pytest.mark.parametrize("seed", range(3))
def test_it_looks_at_the_nearest_tasks_only(seed: int, monkeypatch):
    monkeypatch.setattr(duplication, "NEIGHBOURS", 5)
    corpus, targets = problem(seed, n=40, m=1, d=16)
    order = np.argsort(-(corpus @ targets.T)[:, 0])
    corpus[order[20]] = corpus[order[30]]
    assert duplication.duplication(corpus, targets).share == 0
    corpus[order[2]] = corpus[order[1]]
    found = duplication.duplication(corpus, targets)
    assert (found.share, found.distinct) == (2 / 5, 4)
