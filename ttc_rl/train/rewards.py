"""From a verdict to the number the optimiser sees; and the control arms, which see something else.

A gain over `base` may come from learning how answers are written down, without learning to solve
anything (Kung & Peng, arXiv 2305.11383). An arm trained on such a reward, at equal compute, tells:

    correct     1 where the answer is right: what every other arm trains on; the share that a user's
                own verifier gives
    partial     for programs the share of tests passed before the first that failed, else as correct
    format      1 where an answer could be read, right or not
    shuffled    1 where the answer is that of another task of the same kind
    pkg.mod:f   what the user's function says (own_reward.py)

`malformed` is what a completion gets that ended by itself and left no answer to be read. One that
was cut at the token limit gets 0: it was not done, which is no fault of form.

`pass_at_k_advantages` is for a policy that is asked k times: what counts is the best of k.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ttc_rl.schema import Task, UserError, Verdict


def reward(
    verdict: Verdict,
    name: str = "correct",
    *,
    truncated: bool = False,
    malformed: float = 0.0,
) -> float | None:
    """Return a number from `malformed` to 1. Return None where undecided or where the verifier
    failed: TRL leaves a None out of the group."""
    if verdict.status == "infra_error":
        return None
    if name == "format":
        return float(verdict.answer is not None)
    if verdict.correct is None:
        return None
    if verdict.status == "no_answer" and not truncated:
        return malformed
    if name == "partial" and verdict.share is not None:
        return verdict.share
    return float(verdict.correct)


def shuffled_golds(tasks: Mapping[str, Task], seed: int) -> dict[str, Task]:
    """Return each task, under its own id, with the gold or tests of another task of its kind.

    Raises UserError where a kind has one task only: it would keep its gold.
    """
    rng, shuffled = random.Random(seed), dict(tasks)
    for kind in sorted({task.kind for task in tasks.values()}):
        ids = sorted(i for i, task in tasks.items() if task.kind == kind)
        if len(ids) < 2:
            raise UserError(f"train.reward shuffled: one task of kind {kind} has none to swap with")
        rng.shuffle(ids)
        for mine, other in zip(ids, [*ids[1:], ids[0]], strict=True):
            shuffled[mine] = replace(tasks[mine], gold=tasks[other].gold, tests=tasks[other].tests)
    return shuffled


# P groups of G rollouts.


def pass_at_k_advantages(rewards_PG: np.ndarray, k: int, *, scale: bool) -> np.ndarray:
    """Return what each rollout adds to the best of k drawn from its group; shape (P, G).

    Over all k-subsets S of a group: A_i = E[max S | i in S] - E[max S], with `scale` over the
    standard deviation of max S. For rewards of 0 and 1 these are the analytical advantages of
    pass@k training (arXiv 2508.10751); this form also holds for partial rewards.
    They sum to 0 over a group. Undecided rollouts (NaN) get 0 and are in no subset; so is every
    rollout of a group with fewer than k decided ones.
    """
    found_PG = np.zeros_like(rewards_PG)
    for rewards_G, found_G in zip(rewards_PG, found_PG, strict=True):
        decided = np.flatnonzero(~np.isnan(rewards_G))
        if len(decided) >= k:
            found_G[decided] = _best_of_k(rewards_G[decided], k, scale)
    return found_PG


def _best_of_k(rewards_N: np.ndarray, k: int, scale: bool) -> np.ndarray:
    """Return the advantages within one group of N decided rollouts."""
    count, order_N = len(rewards_N), np.argsort(rewards_N, kind="stable")
    sorted_N = rewards_N[order_N]
    # The j-th smallest is the best of C(j, k-1) subsets, and of C(j-1, k-2) that hold a lower one.
    best_N = np.array([math.comb(j, k - 1) for j in range(count)]) / math.comb(count, k)
    with_i, above = math.comb(count - 1, k - 1), range(1, count)
    over_N = np.array([0, *(math.comb(j - 1, k - 2) for j in above)]) / with_i
    own_N = np.array([math.comb(i, k - 1) for i in range(count)]) / with_i
    later_N = np.cumsum((over_N * sorted_N)[::-1])[::-1] - over_N * sorted_N
    mean = best_N @ sorted_N
    advantages_N = own_N * sorted_N + later_N - mean
    if scale:
        spread = math.sqrt(max(best_N @ (sorted_N - mean) ** 2, 0.0))
        advantages_N = advantages_N / (spread + EPSILON)
    found_N = np.empty_like(advantages_N)
    found_N[order_N] = advantages_N
    return found_N


EPSILON = 1e-4
"""Added to a standard deviation, as TRL does."""
