"""The arms SIFT is measured against. Each returns corpus indices in training order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ttc_rl.schema import UserError


def nearest(corpus_ND: np.ndarray, target_MD: np.ndarray, size: int) -> list[int]:
    """Every target's nearest task, then every target's second nearest, ...; each task once.

    By cosine, ties to the lowest index. Time O(N M (D + log N)).
    """
    corpus_ND = np.asarray(corpus_ND, dtype=np.float64)
    norms_N = np.linalg.norm(corpus_ND, axis=1)
    cosine_NM = corpus_ND @ np.asarray(target_MD, np.float64).T
    cosine_NM /= np.where(norms_N == 0, 1.0, norms_N)[:, None]
    ranked_NM = np.argsort(-cosine_NM, axis=0, kind="stable")[:size]
    return list(dict.fromkeys(ranked_NM.ravel().tolist()))[:size]


def random_order(num_tasks: int, size: int, rng: np.random.Generator) -> list[int]:
    """Uniform without replacement: what the paper calls RL post-training."""
    return rng.permutation(num_tasks)[:size].tolist()


def oracle(
    corpus_groups: Sequence[str | None],
    target_groups: Sequence[str | None],
    size: int,
    rng: np.random.Generator,
) -> list[int]:
    """Random tasks of the targets' own groups: what perfect knowledge of relevance would give.

    Several groups take turns, so each has an equal share.
    """
    wanted = sorted({group for group in target_groups if group is not None})
    queues = [
        rng.permutation([i for i, group in enumerate(corpus_groups) if group == name]).tolist()
        for name in wanted
    ]
    order = [
        int(queue[turn])
        for turn in range(max(map(len, queues), default=0))
        for queue in queues
        if turn < len(queue)
    ][:size]
    if len(order) < size:
        raise UserError(
            f"selection.method oracle: the corpus holds {len(order)} tasks of the targets' groups "
            f"({', '.join(wanted) or 'none'}), fewer than selection.size {size}"
        )
    return order
