"""Which corpus tasks to train on: SIFT, and the arms it is measured against.

Selectors see embeddings of target prompts, never a gold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ttc_rl.schema import Pick, UserError
from ttc_rl.selection import rivals
from ttc_rl.selection.certificate import certify
from ttc_rl.selection.difficulty import in_band, noise_of
from ttc_rl.selection.hull import hull
from ttc_rl.selection.minimax import minimax
from ttc_rl.selection.posterior import Observation, variances
from ttc_rl.selection.problem import Problem
from ttc_rl.selection.shares import shares
from ttc_rl.selection.sift import greedy, observations
from ttc_rl.selection.stopping import Stop, until
from ttc_rl.vectors import Vectors, rows_of, unit

__all__ = ["METHODS", "Problem", "Selector", "Stop", "greedy", "select", "select_each", "weighted"]

# N corpus tasks, M targets, D embedding size, n picks.
Objective = Literal["sum", "mean", "max"]
Selector = Callable[[Problem], Sequence[int]]
"""The rows of the corpus to train on, in training order; no row twice, `problem.size` at most."""

RIVALS: Mapping[str, Selector] = {
    "nearest": rivals.nearest,
    "top": rivals.top,
    "random": rivals.random,
    "random-within-kind": rivals.random_within_kind,
    "oracle": rivals.oracle,
    "facility": rivals.facility,
    "kmeans++": rivals.kmeans_plus_plus,
    "uncertainty": rivals.uncertainty,
    "qp": shares,
    "hull": hull,
    "less": rivals.less,
}
METHODS = ("sift", "difficulty", "band", *RIVALS)


def select(
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
    *,
    size: int,
    method: str | Selector = "sift",
    noise: float = 0.1,
    seed: int = 0,
    objective: Objective = "sum",
    weights: Sequence[float] | np.ndarray | None = None,
    repeat: bool = False,
    stop: Stop | None = None,
    device: str | None = None,
    before: Sequence[int] = (),
    progress: Callable[[list[int]], None] = lambda _: None,
    ids: Sequence[str] | None = None,
    **known: Any,
) -> list[Pick]:
    """Return the picks: `size` corpus tasks in training order, fewer where `stop` says so.

    `sift`: the exact greedy on the posterior variance of all targets (arXiv 2410.08020), ties to
    the lowest index. `difficulty`: the same with noise from `success`, the solve rates. `band`: the
    same among tasks of middling solve rate. Every other method is a function of `RIVALS`, which
    says what it does, or a selector of the caller's own.

    `objective`: the sum of the targets' variances, their mean (the same picks), or the largest.
    `weights`: one number a target, for the sum and the mean. `repeat`: a task may be picked again.
    `before`: picks made earlier, after which SIFT goes on. `progress` is called with all picks so
    far, now and then. `known`: the other fields of `Problem`.
    Rows need not be unit vectors; `noise` is the paper's lambda.
    """
    corpus_ND = corpus_ND if isinstance(corpus_ND, Vectors) else _floats(corpus_ND)
    problem = Problem(corpus_ND, _floats(target_MD), size, noise, seed, **known)
    aims_MD = weighted(problem.target_MD, weights, objective)
    if not isinstance(method, str) or method in RIVALS:
        name = method if isinstance(method, str) else method.__name__
        sifts = {"stop": stop is not None, "repeat": repeat, "objective max": objective == "max"}
        for option in (option for option, is_set in sifts.items() if is_set):
            raise UserError(
                f"selection.{option}: {name} cannot do that, SIFT alone; leave it out, or, where "
                "a recipe has several arms, set it in SIFT's"
            )
        rows = RIVALS[method](problem) if isinstance(method, str) else _checked(method, problem)
        return _picks(rows, problem, aims_MD, noise, "sum", ids)
    if method not in METHODS:
        raise UserError(f"no selection method {method!r}; there are {', '.join(METHODS)}")
    rows = in_band(problem.success_N, size) if method == "band" else np.arange(len(corpus_ND))
    noise_N = np.full(len(rows), noise)
    if method == "difficulty":
        noise_N = noise_of(problem.success_N, noise)
    among = corpus_ND if method != "band" else rows_of(corpus_ND, rows)
    order = np.searchsorted(rows, np.asarray(before, int)).tolist()
    observed = _greedy(
        among,
        aims_MD,
        noise_N,
        objective,
        size=size,
        repeat=repeat,
        before=tuple(order),
        device=device,
    )
    if stop is not None:
        seen = np.asarray(among[np.array(order, int)], np.float64)
        variance_left = variances(seen, aims_MD, noise_N[order]).sum(axis=1).tolist()

        def bound(picks: list[int]) -> float:
            return certify(
                among, aims_MD, picks, noise_N, size=size, repeat=repeat, enough=0.01
            ).lower_bound

        observed = until(stop, observed, order, variance_left, bound)
    chosen = list(before)
    for observation in observed:
        order.append(observation.index)
        chosen.append(int(rows[observation.index]))
        progress(chosen)
    return _picks(chosen, problem, aims_MD, noise_N[order], objective, ids)


def select_each(
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
    *,
    size: int,
    noise: float | np.ndarray = 0.1,
    device: str | None = None,
) -> Iterator[list[int]]:
    """Yield SIFT's picks for each target alone, in order: one list of rows a target.

    These are the curricula of per-task training. They are exact over the whole corpus, and
    take a pass or two over it for each target.
    """
    for row_D in _floats(target_MD):
        yield greedy(
            corpus_ND, row_D[None], size, noise, device=device, blocks=(max(size, 1), 32, 8)
        )


def _checked(selector: Selector, problem: Problem) -> list[int]:
    """Return what a selector of the user's own picks, where it is a curriculum."""
    rows = [int(row) for row in selector(problem)]
    fits = len(set(rows)) == len(rows) and 0 < len(rows) <= problem.size
    if not fits or not all(0 <= row < len(problem.corpus_ND) for row in rows):
        raise UserError(
            f"selection.method: {selector.__name__} gave {len(rows)} rows, such as {rows[:3]}: "
            f"give at most {problem.size} different ones, from 0 to {len(problem.corpus_ND) - 1}"
        )
    return rows


def _greedy(
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
    noise_N: np.ndarray,
    objective: Objective,
    *,
    device: str | None,
    **options: Any,
) -> Iterator[Observation]:
    if objective == "max":
        if device is not None:
            raise UserError("selection.device: objective max runs on the host only; leave it out")
        return minimax(corpus_ND, target_MD, noise_N, **options)
    return observations(corpus_ND, target_MD, noise_N, device=device, **options)


def _floats(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    return rows if np.issubdtype(rows.dtype, np.floating) else rows.astype(np.float64)


def weighted(
    target_MD: np.ndarray, weights: Sequence[float] | np.ndarray | None, objective: Objective
) -> np.ndarray:
    """Return the targets scaled so that their summed variance is the objective: sqrt(w_t) t."""
    target_MD = np.asarray(target_MD, np.float64)
    count = len(target_MD)
    weight_M = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    if weights is not None and objective == "max":
        raise UserError("weights count in the sum and the mean; the largest has none")
    if weight_M.shape != (count,) or (weight_M < 0).any() or not weight_M.sum():
        raise UserError(
            f"weights must be {count} numbers, one a target, none below 0 and not all 0"
        )
    if objective == "mean":
        weight_M = weight_M / weight_M.sum()
    return np.sqrt(weight_M)[:, None] * target_MD


def _picks(
    order: Sequence[int],
    problem: Problem,
    aims_MD: np.ndarray,
    noise_n: float | np.ndarray,
    objective: Objective,
    ids: Sequence[str] | None,
) -> list[Pick]:
    chosen = np.asarray(problem.corpus_ND[np.array(order, int)], np.float64)
    left_nM = variances(chosen, aims_MD, noise_n)
    total_n = left_nM.sum(axis=1)
    aim_n = left_nM.max(axis=1) if objective == "max" else total_n
    cosine_nM = unit(chosen) @ unit(np.asarray(problem.target_MD, np.float64)).T
    return [
        Pick(
            index=int(index),
            task_id=ids[index] if ids is not None else str(index),
            rank=rank,
            gain=float(aim_n[rank] - aim_n[rank + 1]),
            uncertainty=float(total_n[rank + 1]),
            nearest_target=int(cosine_nM[rank].argmax()),
            similarity=float(cosine_nM[rank].max()),
        )
        for rank, index in enumerate(order)
    ]
