"""Which corpus tasks to train on: SIFT, and the arms it is measured against.

Selectors see embeddings of target prompts, never a gold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ttc_rl.schema import Pick, UserError
from ttc_rl.selection.posterior import variances
from ttc_rl.selection.rivals import nearest, oracle, random_order
from ttc_rl.selection.sift import greedy

__all__ = ["greedy", "select"]

# N corpus tasks, M targets, D embedding size.


def select(
    corpus_ND: np.ndarray,
    target_MD: np.ndarray,
    *,
    size: int,
    method: str = "sift",
    noise: float = 0.1,
    seed: int = 0,
    ids: Sequence[str] | None = None,
    corpus_groups: Sequence[str | None] | None = None,
    target_groups: Sequence[str | None] | None = None,
) -> list[Pick]:
    """`size` different corpus tasks in training order.

    `sift`: exact greedy on the summed posterior variance of all targets (arXiv 2410.08020), ties to
    the lowest index. `nearest`: each target's nearest in turn. `random`: uniform, seeded. `oracle`:
    random among tasks whose group (given by the groups) is one of the targets'.
    Rows need not be unit vectors; `noise` is the paper's lambda.
    """
    corpus_ND, target_MD = np.asarray(corpus_ND), np.asarray(target_MD)
    _check(corpus_ND, target_MD, size)
    rng = np.random.default_rng(seed)
    if method == "sift":
        order = greedy(corpus_ND, target_MD, size, noise)
    elif method == "nearest":
        order = nearest(corpus_ND, target_MD, size)
    elif method == "random":
        order = random_order(len(corpus_ND), size, rng)
    elif method == "oracle":
        if corpus_groups is None or target_groups is None:
            raise UserError("selection.method oracle needs the groups of corpus and targets")
        order = oracle(corpus_groups, target_groups, size, rng)
    else:
        raise UserError(f"no selection method {method!r}; there are sift, nearest, random, oracle")
    return _picks(order, corpus_ND, target_MD, noise, ids)


def _check(corpus_ND: np.ndarray, target_MD: np.ndarray, size: int) -> None:
    if corpus_ND.ndim != 2 or target_MD.ndim != 2 or corpus_ND.shape[1] != target_MD.shape[1]:
        raise UserError(
            f"embeddings must be (tasks, dimensions) with equal dimensions, got {corpus_ND.shape} "
            f"and {target_MD.shape}"
        )
    if not len(target_MD):
        raise UserError("no target to select for")
    if len(target_MD) > len(corpus_ND):
        raise UserError(
            f"the target ({len(target_MD)} tasks) is larger than the corpus ({len(corpus_ND)}): "
            "are they swapped? A corpus should hold many tasks for each target"
        )
    if size > len(corpus_ND):
        raise UserError(
            f"selection.size {size}, but the corpus holds {len(corpus_ND)} tasks: "
            "lower the size or add a source"
        )


def _picks(
    order: Sequence[int],
    corpus_ND: np.ndarray,
    target_MD: np.ndarray,
    noise: float,
    ids: Sequence[str] | None,
) -> list[Pick]:
    chosen = corpus_ND[list(order)].astype(np.float64)
    trace = variances(chosen, target_MD, noise).sum(axis=1)
    unit = _unit(chosen) @ _unit(target_MD.astype(np.float64)).T
    return [
        Pick(
            index=int(index),
            task_id=ids[index] if ids is not None else str(index),
            rank=rank,
            gain=float(trace[rank] - trace[rank + 1]),
            uncertainty=float(trace[rank + 1]),
            nearest_target=int(unit[rank].argmax()),
            similarity=float(unit[rank].max()),
        )
        for rank, index in enumerate(order)
    ]


def _unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1.0, norms)
