"""LESS's order from gradient features, against the formula written out with loops."""

import numpy as np

from ttc_rl.selection.influence import Influence, order, scores


def slow_score(features: Influence, n: int) -> float:
    def cosine(x: np.ndarray, y: np.ndarray) -> float:
        size = float(np.linalg.norm(x) * np.linalg.norm(y))
        return float(x @ y) / size if size else 0.0

    best = -np.inf
    for subtask in set(features.subtasks_m):
        members = [m for m, name in enumerate(features.subtasks_m) if name == subtask]
        total = 0.0
        for m in members:
            for c, weight in enumerate(features.weights_C):
                total += weight * cosine(features.corpus_CnF[c][n], features.target_CmF[c][m])
        best = max(best, total / len(members))
    return best


def made(seed: int, n: int = 12, m: int = 5, checkpoints: int = 3) -> Influence:
    rng = np.random.default_rng(seed)
    return Influence(
        rng.permutation(100)[:n],
        [rng.normal(size=(n, 6)) for _ in range(checkpoints)],
        [rng.normal(size=(m, 6)) for _ in range(checkpoints)],
        rng.uniform(0.1, 1, checkpoints).tolist(),
        [str(rng.integers(2)) for _ in range(m)],
    )


def test_scores_and_order_are_those_of_the_formula():
    for seed in range(20):
        features = made(seed)
        features.corpus_CnF[0][3] = 0
        expected = [slow_score(features, n) for n in range(12)]
        assert np.allclose(scores(features), expected)
        best = sorted(range(12), key=lambda n: -expected[n])[:5]
        assert order(features, 5) == [int(features.rows_n[n]) for n in best]


def test_ties_go_to_the_lowest_corpus_row():
    same = np.ones((4, 2))
    features = Influence(np.array([9, 2, 7, 4]), [same], [same[:1]], [1.0], [""])
    assert order(features, 3) == [2, 4, 7]


def test_the_best_subtask_counts_not_the_mean_over_subtasks():
    corpus = np.array([[1.0, 0.0], [1.0, 1.0]])
    target = np.eye(2)
    one = Influence(np.arange(2), [corpus], [target], [1.0], ["a", "a"])
    two = Influence(np.arange(2), [corpus], [target], [1.0], ["a", "b"])
    assert (order(one, 1), order(two, 1)) == ([1], [0])
