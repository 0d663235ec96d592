"""What k of a task's n samples would do, k drawn without replacement; exact where it can be.

n samples, c of them correct, k drawn. With replacement, as a bootstrap draws, every one of these
numbers is biased: one success in 8 samples gives pass@8 = 0.66 and not 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

ENUMERATED = 20_000
"""So many subsets are counted one by one; of more, as many are drawn at random."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An expectation over subsets, and its standard error where subsets were drawn at random."""

    value: float
    error: float = 0.0


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Return P(at least one of k draws is correct) = 1 - C(n-c, k) / C(n, k).  arXiv:2107.03374,
    eq. 1."""
    _check_draw(num_samples, k, "pass")
    if not 0 <= num_correct <= num_samples:
        raise ValueError(f"{num_correct} correct of {num_samples} samples")
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def maj_at_k(
    class_sizes: Sequence[int], correct: Sequence[bool], num_no_answer: int, k: int
) -> float:
    """Return P(the majority vote over k of n samples, drawn without replacement, is correct);
    exact.

    Samples vote for their class of equivalent answers, `correct[i]` says whether class i is right.
    The `num_no_answer` others are drawn but do not vote. A tie is split: with a correct classes
    among L at the top the vote counts a/L; with no voter at all it counts 0. With s_i samples in
    class i and x_i of them drawn,

        maj@k = sum over x of  a(x)/L(x) * prod_i C(s_i, x_i) * C(z, k - sum x) / C(n, k),

    summed by dynamic programming over the classes, once for each top count t: W[d, L] holds the
    weight of d drawn with L classes at t and none above, A[d, L] the same times a. A class of
    fewer than t cannot reach the top, so its samples are drawn as if they were silent.
    """
    if len(class_sizes) != len(correct) or min(class_sizes, default=1) < 1 or num_no_answer < 0:
        raise ValueError("one flag a class, and at least one sample in each")
    num_samples = sum(class_sizes) + num_no_answer
    _check_draw(num_samples, k, "maj")
    number = float if num_samples <= 1000 else Fraction  # C(1000, 500) still fits a double
    total = sum(
        _weight_at_top(class_sizes, correct, num_no_answer, k, top, number)
        for top in range(1, min(k, max(class_sizes, default=0)) + 1)
    )
    return float(total / math.comb(num_samples, k))


def _weight_at_top(
    sizes: Sequence[int],
    correct: Sequence[bool],
    num_no_answer: int,
    k: int,
    top: int,
    number: type[float] | type[Fraction],
) -> Any:
    """Return the sum of a/L times weight over the draws in which the largest class has `top`
    votes."""
    able = [(size, right) for size, right in zip(sizes, correct, strict=True) if size >= top]
    others = num_no_answer + sum(sizes) - sum(size for size, _ in able)
    most, kind = min(k // top, len(able)), np.float64 if number is float else object
    both: Any = np.zeros((2, k + 1, most + 1), dtype=kind)  # W and A
    both[:, 0, 0] = number(1), number(0)
    for place, (size, is_correct) in enumerate(able):
        longer = both.copy()
        for votes in range(1, min(top, k + 1)):
            if place:
                longer[:, votes:] += math.comb(size, votes) * both[:, : k + 1 - votes]
            else:  # nothing drawn yet
                longer[0, votes, 0] = number(math.comb(size, votes))
        tied = both[:, : k + 1 - top, :-1]
        longer[:, top:, 1:] += math.comb(size, top) * tied
        if is_correct:
            longer[1, top:, 1:] += math.comb(size, top) * tied[0]
        both = longer
    silent = np.array([number(math.comb(others, k - d)) for d in range(k + 1)], dtype=kind)
    return (silent @ both[1, :, 1:] / np.arange(1, most + 1)).sum() if most else number(0)


def best_of_k(scores: Sequence[float], correct: Sequence[bool], k: int) -> float:
    """Return P(the sample that a verifier scores highest among k of n is correct); exact.

    With r the rank by score from below, sum over r of correct(r) * C(r-1, k-1) / C(n, k). Samples
    of equal score are in random order: m of them above b others, a correct, add
    a/m * (C(b+m, k) - C(b, k)) / C(n, k).
    """
    _check_draw(len(scores), k, "best-of-")
    by_score: dict[float, list[bool]] = {}
    for score, right in zip(scores, correct, strict=True):
        by_score.setdefault(score, []).append(right)
    below, ways = 0, 0.0
    for score in sorted(by_score):
        tied = by_score[score]
        tops = math.comb(below + len(tied), k) - math.comb(below, k)
        ways += sum(tied) / len(tied) * (tops / math.comb(len(scores), k))
        below += len(tied)
    return ways


def weighted_maj_at_k(
    classes: Sequence[int | None],
    weights: Sequence[float],
    correct: Sequence[bool],
    k: int,
    *,
    seed: int = 0,
) -> Drawn:
    """Return P(the vote over k of n samples is correct), sample i giving `weights[i]` to its class.

    `correct[c]` says whether class c is right; class None does not vote. Ties are split as in
    `maj_at_k`, a weight of 0 is no vote. Exact up to 20,000 subsets, k = n among them; of more
    subsets 20,000 are drawn, and `error` is the standard error of what that gives.
    """
    n = len(classes)
    _check_draw(n, k, "weighted maj")
    if len(weights) != n or min(weights) < 0:
        raise ValueError("one weight a sample, none negative")
    weight_nC = np.zeros((n, len(correct)))
    for sample, (voted, weight) in enumerate(zip(classes, weights, strict=True)):
        if voted is not None:
            weight_nC[sample, voted] = weight
    right_C = np.asarray(correct, dtype=bool)
    if math.comb(n, k) <= ENUMERATED:
        subsets = np.array(list(itertools.combinations(range(n), k)))
        return Drawn(float(_votes(weight_nC[subsets].sum(axis=1), right_C).mean()))
    rng = np.random.default_rng(seed)
    shuffled = rng.random((ENUMERATED, n)).argpartition(k - 1, axis=1)[:, :k]
    drawn_SC = np.zeros((ENUMERATED, len(correct)))
    for place in range(k):
        drawn_SC += weight_nC[shuffled[:, place]]
    votes = _votes(drawn_SC, right_C)
    return Drawn(float(votes.mean()), float(votes.std(ddof=1)) / math.sqrt(ENUMERATED))


def _votes(weight_SC: np.ndarray[Any, Any], right_C: np.ndarray[Any, Any]) -> Any:
    """Return the share of the heaviest classes that are right. Sums of floats tie within
    rounding."""
    if not right_C.size:
        return np.zeros(len(weight_SC))
    heaviest = weight_SC.max(axis=1, keepdims=True)
    top = (weight_SC >= heaviest * (1 - 1e-9)) & (heaviest > 0)
    return (top & right_C).sum(axis=1) / np.maximum(top.sum(axis=1), 1)


def g_pass_at_k(num_samples: int, num_correct: int, k: int, tau: float) -> float:
    """Return P(at least tau*k of k draws are correct), G-Pass@k_tau of arXiv:2412.13147, exact.

    sum over j >= ceil(tau k) of C(c, j) C(n-c, k-j) / C(n, k), 0 < tau <= 1; tau = 1 asks that all
    k are correct, tau = 1/k is pass@k.
    """
    _check_draw(num_samples, k, "G-pass")
    if not 0 < tau <= 1:
        raise ValueError(f"G-pass@k needs 0 < tau <= 1, got {tau}")
    return sum(_hypergeometric(num_samples, num_correct, k)[math.ceil(tau * k - 1e-9) :])


def mg_pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Return G-Pass@k_tau averaged over tau in (1/2, 1], the stability of a solver
    (arXiv:2412.13147).

    2 * integral of G-Pass@k_tau = 2/k * E[max(X - k/2, 0)], X the correct among k draws; for even k
    the paper's sum over tau = i/k, which for odd k leaves out half a step.
    """
    _check_draw(num_samples, k, "mG-pass")
    chances = _hypergeometric(num_samples, num_correct, k)
    return sum(2 / k * max(j - k / 2, 0.0) * chance for j, chance in enumerate(chances))


def _hypergeometric(n: int, c: int, k: int) -> list[float]:
    """Return P(j of k draws are correct), j = 0..k."""
    if not 0 <= c <= n:
        raise ValueError(f"{c} correct of {n} samples")
    total = math.comb(n, k)
    return [math.comb(c, j) * math.comb(n - c, k - j) / total for j in range(k + 1)]


def _check_draw(num_samples: int, k: int, metric: str) -> None:
    if not 0 < k <= num_samples:
        raise ValueError(f"{metric}@{k} needs at least {k} samples, got {num_samples}")
