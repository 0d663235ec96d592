"""The arms that SIFT is measured against. Each gives corpus rows in training order.

Ties go to the lowest row; what is random is seeded. Costs are for N tasks, M targets, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ttc_rl.schema import UserError
from ttc_rl.selection import influence
from ttc_rl.selection.arrays import Numpy
from ttc_rl.selection.libraries import sklearn_cluster
from ttc_rl.selection.posterior import Posterior
from ttc_rl.selection.problem import Problem
from ttc_rl.selection.sift import tiles
from ttc_rl.vectors import unit


def random(problem: Problem) -> list[int]:
    """Pick at random without replacement: "RL post-training" in arXiv 2510.04786. O(N)."""
    return problem.rng.permutation(len(problem.corpus_ND))[: problem.size].tolist()


def random_within_kind(problem: Problem) -> list[int]:
    """Pick at random among tasks of the targets' kinds: what knowing only "maths" is worth.
    O(N)."""
    corpus = problem.known("corpus_kinds", "random-within-kind")
    targets = problem.known("target_kinds", "random-within-kind")
    return _in_turn(problem, corpus, targets, "random-within-kind")


def oracle(problem: Problem) -> list[int]:
    """Pick at random among tasks of the targets' own groups: perfect knowledge of relevance. O(N).

    Several groups take turns, so each has an equal share.
    """
    corpus = problem.known("corpus_groups", "oracle")
    return _in_turn(problem, corpus, problem.known("target_groups", "oracle"), "oracle")


def _in_turn(
    problem: Problem,
    corpus: Sequence[str | None],
    targets: Sequence[str | None],
    method: str,
) -> list[int]:
    groups = sorted({group for group in targets if group is not None})
    rng = problem.rng
    queues = [
        rng.permutation([i for i, group in enumerate(corpus) if group == name]).tolist()
        for name in groups
    ]
    order = [
        int(queue[turn])
        for turn in range(max(map(len, queues), default=0))
        for queue in queues
        if turn < len(queue)
    ][: problem.size]
    if len(order) < problem.size:
        raise UserError(
            f"selection.method {method}: the corpus holds {len(order)} tasks of the targets' "
            f"groups ({', '.join(groups) or 'none'}), fewer than selection.size {problem.size}"
        )
    return order


def nearest(problem: Problem) -> list[int]:
    """Pick every target's nearest task by cosine, then every target's second, ...; each task once.

    The arm to beat: SIFT wins where the corpus holds near-duplicates. O(N M D).
    """
    cosine_NM, size = cosines(problem), problem.size
    ranked_NM = np.argsort(-cosine_NM, axis=0, kind="stable")[:size]
    return list(dict.fromkeys(ranked_NM.ravel().tolist()))[:size]


def top(problem: Problem) -> list[int]:
    """Pick the tasks with the largest mean cosine to all targets. O(N M D).

    A search for the targets' mean finds these; targets off the middle get nothing.
    """
    mean_N = cosines(problem).mean(axis=1)
    return np.argsort(-mean_N, kind="stable")[: problem.size].tolist()


def facility(problem: Problem) -> list[int]:
    """Pick by facility location: greedily maximise sum_t max_(x chosen) cos(t, x), each target
    served by its best task. Once every target has its nearest, a new round begins with the
    remaining tasks.

    The gain is submodular, so the greedy has at least 1 - 1/e of the best (Nemhauser et al. 1978).
    O(n N M).
    """
    gain_NM = cosines(problem)
    left_N = np.ones(len(gain_NM), dtype=bool)
    order: list[int] = []
    served_M = np.full(gain_NM.shape[1], -1.0)
    while len(order) < problem.size:
        gains_N = np.where(left_N, np.maximum(gain_NM - served_M, 0).sum(axis=1), -np.inf)
        pick = int(gains_N.argmax())
        if gains_N[pick] <= 0 and (served_M > -1).all():
            served_M[:] = -1.0
            continue
        order.append(pick)
        left_N[pick] = False
        served_M = np.maximum(served_M, gain_NM[pick])
    return order


def kmeans_plus_plus(problem: Problem) -> list[int]:
    """Pick by k-means++ seeding (Arthur & Vassilvitskii 2007): spread over the corpus, blind to
    targets.

    A task is drawn with probability proportional to its squared distance from those drawn before.
    Where fewer than `size` tasks differ, the rest are the lowest rows. By scikit-learn. O(n N D).
    """
    corpus_ND = np.asarray(problem.corpus_ND[:], np.float64)
    draw = sklearn_cluster().kmeans_plusplus
    _, order = draw(corpus_ND, problem.size, random_state=problem.seed)
    return list(dict.fromkeys([*map(int, order), *range(len(corpus_ND))]))[: problem.size]


def uncertainty(problem: Problem) -> list[int]:
    """Pick at each step the task with the largest posterior variance x^T S x. This is the greedy
    for log det (I + X X^T / lambda): diverse, blind to targets. O(n N D)."""
    corpus_ND = np.asarray(problem.corpus_ND[:], np.float64)
    posterior = Posterior(Numpy(), np.zeros((1, corpus_ND.shape[1])))
    v_N = np.einsum("nd,nd->n", corpus_ND, corpus_ND)
    order: list[int] = []
    for _ in range(problem.size):
        best = float(v_N.max())
        pick = int((v_N >= best * (1 - 1e-12)).argmax())
        order.append(pick)
        seen = posterior.observe(pick, corpus_ND[pick], problem.noise)
        v_N -= (corpus_ND @ seen.w_D) ** 2 / seen.s
        v_N[order] = -np.inf
    return order


def less(problem: Problem) -> list[int]:
    """Pick the tasks whose gradients point where the targets' do (LESS); see `influence`. O(n F)
    here, after a backward pass of the model for each task of the pool."""
    return influence.order(problem.known("features", "less"), problem.size)


def cosines(problem: Problem) -> np.ndarray:
    """Return cosine of every task with every target, in float64; shape (N, M). 0 for a row of
    zeros."""
    t_MD = unit(np.asarray(problem.target_MD, np.float64))
    cosine_NM = np.empty((len(problem.corpus_ND), len(t_MD)))
    for tile in tiles(len(cosine_NM)):
        cosine_NM[tile] = unit(np.asarray(problem.corpus_ND[tile], np.float64)) @ t_MD.T
    return cosine_NM
