"""Exact greedy SIFT: select the tasks that say most about the targets (arXiv 2410.08020).

A linear-Gaussian model of the targets: prior covariance I over weights, observation noise lambda.
After observing rows X the posterior is S = (I + X^T X / lambda)^-1, and the uncertainty left about
the targets is sum_t t^T S t. Observing x as well lowers that sum by

    gain(x) = q / (lambda + v),   q = sum_t (t^T S x)^2,   v = x^T S x

and S by S x x^T S / (lambda + v). The greedy takes the largest gain at each step.

Done plainly, that reads the whole corpus once a pick. Here a block of picks is *drafted* on a pool
of the candidates with the largest gains (itself the same way, on a smaller pool), and one pass of
matrix products *certifies* it: for every candidate and every drafted step, would it have been
picked instead? The draft is kept up to the first step where one would. The result is the greedy's,
pick for pick, whatever the draft was; a poor draft costs time, never correctness.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# N candidates, M targets, D embedding size, k picks of a block, n picks in all, r rows of a tile.
POOLS = (8192, 256)
"""Candidates that a block is drafted on, and those that the draft's own blocks are drafted on."""
BLOCKS = (64, 8)
"""The largest block at each of these levels."""
TILE = 4096
"""Rows of the corpus in work at a time."""
ROUNDING = 2e-6
"""What float32 passes may put a q wrong by, as a share of the largest when q was last computed."""
TIE = 1e-12
"""Gains nearer than this, relatively, count as equal: the lowest index wins."""
NEAR = 1e-3
"""Gains nearer than this, relatively, are compared in float64."""
ZERO = 1e-24
"""Gains below this share of the targets' initial variance are rounding: they count as none."""
REFRESH = 30.0
"""q is computed anew when the largest gain has fallen by this factor, before rounding shows."""


def greedy(
    corpus_ND: np.ndarray,
    target_MD: np.ndarray,
    size: int,
    noise: float,
    *,
    pools: Sequence[int] = POOLS,
    blocks: Sequence[int] = BLOCKS,
) -> list[int]:
    """Indices of the greedy's picks in order, each task at most once, ties to the lowest index.

    The corpus is read in tiles, so it may be a memory map of any float type. Passes run in float32
    (float64 for a noise below 1e-3, where rounding would show), decisions in float64. Memory beside
    the corpus: 16 bytes x N, and 16 x D x D. Cost does not depend on the number of targets.
    """
    posterior = _Posterior(compressed(np.asarray(target_MD, dtype=np.float64)))
    level = _Level(corpus_ND, posterior, noise, tuple(zip(pools, blocks, strict=True)))
    return [pick.index for pick in level.advance(size)]


def posterior_trace(rows_nD: np.ndarray, target_MD: np.ndarray, noise: float) -> np.ndarray:
    """Summed target variance after 0, 1, ..., n of the rows; shape (n + 1,)."""
    posterior = _Posterior(np.asarray(target_MD, dtype=np.float64))
    trace = [float((posterior.g_MD**2).sum())]
    for row_D in np.asarray(rows_nD, dtype=np.float64):
        trace.append(trace[-1] - posterior.observe(0, row_D, noise).gain)
    return np.array(trace)


def compressed(target_MD: np.ndarray) -> np.ndarray:
    """At most D rows with the same Gram matrix T^T T, hence the same gains."""
    if target_MD.shape[0] <= target_MD.shape[1]:
        return target_MD
    return np.asarray(np.linalg.qr(target_MD, mode="r"))


def tiles(count: int) -> Iterator[slice]:
    return (slice(start, min(start + TILE, count)) for start in range(0, count, TILE))


# --------------------------------------------------------------------------- one pick


@dataclass(frozen=True)
class _Pick:
    """An observation x: w = S x, s = lambda + x^T w, c = G x, z = G^T c, all before it."""

    index: int
    w_D: np.ndarray
    z_D: np.ndarray
    s: float
    c_M: np.ndarray
    cc: float

    @property
    def gain(self) -> float:
        return self.cc / self.s


class _Block:
    """Several picks as matrices, for passes over many rows."""

    def __init__(self, picks: Sequence[_Pick], dtype: type) -> None:
        self.w_Dk = np.stack([pick.w_D for pick in picks], axis=1).astype(dtype)
        self.z_Dk = np.stack([pick.z_D for pick in picks], axis=1).astype(dtype)
        self.s_k = np.array([pick.s for pick in picks], dtype)
        self.cc_k = np.array([pick.cc for pick in picks], dtype)

    def drops(self, x_rD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By how much each pick lowers q and v of each row; two arrays (r, k)."""
        u_rk, p_rk = x_rD @ self.w_Dk, x_rD @ self.z_Dk
        step_rk = u_rk / self.s_k
        return step_rk * (2 * p_rk - step_rk * self.cc_k), step_rk * u_rk


class _Posterior:
    """S, and G = T S, in float64."""

    def __init__(self, target_MD: np.ndarray) -> None:
        self.sigma_DD = np.eye(target_MD.shape[1])
        self.g_MD = target_MD.copy()
        self.zero = ZERO * float((target_MD**2).sum())

    def observe(self, index: int, x_D: np.ndarray, noise: float) -> _Pick:
        w_D, c_M = self.sigma_DD @ x_D, self.g_MD @ x_D
        cc, s = float(c_M @ c_M), noise + float(x_D @ w_D)
        pick = _Pick(index, w_D, c_M @ self.g_MD, s, c_M, cc)
        self.repeat(pick)
        return pick

    def repeat(self, pick: _Pick) -> None:
        self.sigma_DD -= np.outer(pick.w_D, pick.w_D / pick.s)
        self.g_MD -= np.outer(pick.c_M, pick.w_D / pick.s)

    def saved(self) -> tuple[np.ndarray, np.ndarray]:
        return self.sigma_DD.copy(), self.g_MD.copy()

    def restore(self, saved: tuple[np.ndarray, np.ndarray]) -> None:
        self.sigma_DD, self.g_MD = saved

    def at(self, saved: tuple[np.ndarray, np.ndarray]) -> _Posterior:
        """As it was then, beside as it is now. Shares the saved arrays: only to be read."""
        then = object.__new__(_Posterior)
        then.sigma_DD, then.g_MD, then.zero = *saved, self.zero
        return then

    def v(self, x_rD: np.ndarray) -> np.ndarray:
        return np.einsum("rd,rd->r", x_rD @ self.sigma_DD, x_rD)

    def q(self, x_rD: np.ndarray) -> np.ndarray:
        cross_rM = x_rD @ self.g_MD.T
        return np.einsum("rm,rm->r", cross_rM, cross_rM)


# --------------------------------------------------------------------------- a set of candidates


class _Level:
    """Candidates with their v and q; `advance` makes the greedy's next picks among them."""

    def __init__(
        self,
        x_ND: np.ndarray,
        posterior: _Posterior,
        noise: float,
        inner: tuple[tuple[int, int], ...],
        state: tuple[np.ndarray, np.ndarray, float, float] | None = None,
    ) -> None:
        self.x_ND, self.posterior, self.noise, self.inner = x_ND, posterior, noise, inner
        self.plain = not inner or 2 * inner[0][0] >= len(x_ND)
        self.dtype = np.float64 if self.plain or noise < 1e-3 else np.float32
        self.open_N = np.ones(len(x_ND), dtype=bool)
        self.block = 8
        if state is None:
            self.v_N, self.q_N = np.empty(len(x_ND)), np.empty(len(x_ND))
            for tile in tiles(len(x_ND)):
                rows = np.asarray(x_ND[tile], self.dtype)
                self.v_N[tile] = np.einsum("rd,rd->r", rows, rows, dtype=np.float64)
            self._refresh()
        else:
            self.v_N, self.q_N, self.fresh_gain, self.fresh_q = state

    def gains(self) -> np.ndarray:
        return np.where(self.open_N, self.q_N / (self.noise + self.v_N), -np.inf)

    def advance(self, count: int) -> list[_Pick]:
        """The next `count` picks; the posterior has observed them afterwards."""
        picks: list[_Pick] = []
        while len(picks) < count:
            left = count - len(picks)
            picks += self._one_by_one(left) if self.plain else self._drafted(left)
        return picks

    def _one_by_one(self, count: int) -> list[_Pick]:
        """The plain greedy: one product with the candidates a pick."""
        x_ND = np.asarray(self.x_ND, np.float64)
        picks: list[_Pick] = []
        for _ in range(count):
            self._refresh_if_small()
            index = self._best(x_ND)
            self.open_N[index] = False
            picks.append(self.posterior.observe(index, x_ND[index], self.noise))
            dq_N1, dv_N1 = _Block(picks[-1:], np.float64).drops(x_ND)
            self.q_N -= dq_N1[:, 0]
            self.v_N -= dv_N1[:, 0]
        return picks

    def _best(self, x_ND: np.ndarray) -> int:
        """The candidate with the largest gain; those near it are compared exactly."""
        gain_N = self.gains()
        best = gain_N.max()
        if best < self.posterior.zero:
            return int(self.open_N.argmax())
        level_N = best * (self.noise + self.v_N)
        near_N = self.q_N >= level_N * (1 - NEAR) - ROUNDING * (self.fresh_q + best)
        near = np.flatnonzero(near_N & self.open_N)
        if len(near) == 1:
            return int(near[0])
        rows, same = _distinct(x_ND[near])
        exact_r = self.posterior.q(rows) / (self.noise + self.posterior.v(rows))
        free = np.ones(len(near), dtype=bool)
        return int(near[_first_best(exact_r[same], free, self.posterior.zero)])

    def _drafted(self, count: int) -> list[_Pick]:
        """A block of picks made on a pool, as far as the other candidates bear it out."""
        (pool, largest), inner = self.inner[0], self.inner[1:]
        self._refresh_if_small()
        gain_N = self.gains()
        members = np.sort(np.argpartition(-gain_N, pool)[:pool])
        members = members[self.open_N[members]]
        saved = self.posterior.saved()
        within = _Level(
            np.asarray(self.x_ND[members], np.float64),
            self.posterior,
            self.noise,
            inner,
            (self.v_N[members], self.q_N[members], self.fresh_gain, self.fresh_q),
        )
        size = min(self.block, largest, count, len(members))
        draft = [
            _Pick(int(members[p.index]), p.w_D, p.z_D, p.s, p.c_M, p.cc)
            for p in within.advance(size)
        ]
        kept = self._certified(draft, members, saved)
        if len(kept) < len(draft):
            self.block = max(4, len(kept) + len(kept) // 4 + 1)
        else:
            self.block = min(largest, 2 * self.block)
        return kept

    def _certified(
        self, draft: list[_Pick], members: np.ndarray, saved: tuple[np.ndarray, np.ndarray]
    ) -> list[_Pick]:
        """The drafted picks that are the greedy's, or else its next pick; v and q after them."""
        tau_k = np.array([pick.gain for pick in draft])
        before_kk = np.triu(np.ones((len(draft), len(draft)), self.dtype), 1)
        rounding_k = ROUNDING * (self.fresh_q + tau_k)
        rival_N = self.open_N.copy()
        rival_N[members] = False
        dq_N, dv_N = np.empty_like(self.q_N), np.empty_like(self.v_N)
        found: list[np.ndarray] = []
        block = _Block(draft, self.dtype)
        for tile in tiles(len(self.x_ND)):
            dq_rk, dv_rk = block.drops(np.asarray(self.x_ND[tile], self.dtype))
            dq_N[tile], dv_N[tile] = dq_rk.sum(axis=1), dv_rk.sum(axis=1)
            # q > tau (noise + v) before a step: the candidate beats the pick drafted there.
            level_rk = tau_k * (self.noise + self.v_N[tile, None] - dv_rk @ before_kk)
            q_rk = self.q_N[tile, None] - dq_rk @ before_kk
            close_rk = q_rk >= level_rk * (1 - NEAR) - rounding_k
            beats_r = close_rk.any(axis=1) & rival_N[tile]
            found.append(np.flatnonzero(beats_r) + tile.start)
        kept = self._decided(draft, np.concatenate(found), saved)
        if kept is not draft:
            block = _Block(kept, self.dtype)
            for tile in tiles(len(self.x_ND)):
                dq_rk, dv_rk = block.drops(np.asarray(self.x_ND[tile], self.dtype))
                dq_N[tile], dv_N[tile] = dq_rk.sum(axis=1), dv_rk.sum(axis=1)
        self.q_N -= dq_N
        self.v_N -= dv_N
        self.open_N[[pick.index for pick in kept]] = False
        return kept

    def _decided(
        self, draft: list[_Pick], close: np.ndarray, saved: tuple[np.ndarray, np.ndarray]
    ) -> list[_Pick]:
        """The draft up to the first step that a close candidate wins, in float64; where that is
        the very first, the winner. The posterior has observed what is returned."""
        if not len(close):
            return draft
        start = self.posterior.at(saved)
        candidates = np.unique(np.concatenate([close, [pick.index for pick in draft]]))
        rows, same = _distinct(np.asarray(self.x_ND[candidates], np.float64))
        q_r, v_r = start.q(rows), start.v(rows)
        dq_rk, dv_rk = _Block(draft, np.float64).drops(rows)
        free = np.ones(len(candidates), dtype=bool)
        for step, pick in enumerate(draft):
            winner = _first_best((q_r / (self.noise + v_r))[same], free, start.zero)
            if candidates[winner] != pick.index:
                return self._cut(draft[:step], int(candidates[winner]), saved)
            free[winner] = False
            q_r, v_r = q_r - dq_rk[:, step], v_r - dv_rk[:, step]
        return draft

    def _cut(
        self, kept: list[_Pick], winner: int, saved: tuple[np.ndarray, np.ndarray]
    ) -> list[_Pick]:
        self.posterior.restore(saved)
        for pick in kept:
            self.posterior.repeat(pick)
        if kept:
            return kept
        row = np.asarray(self.x_ND[winner], np.float64)
        return [self.posterior.observe(winner, row, self.noise)]

    def _refresh_if_small(self) -> None:
        if self.posterior.zero < self.fresh_gain and self.gains().max() * REFRESH < self.fresh_gain:
            self._refresh()

    def _refresh(self) -> None:
        for tile in tiles(len(self.x_ND)):
            cross_rM = np.asarray(self.x_ND[tile], self.dtype) @ self.posterior.g_MD.T.astype(
                self.dtype
            )
            self.q_N[tile] = np.einsum("rm,rm->r", cross_rM, cross_rM, dtype=np.float64)
        self.fresh_gain = float(self.gains().max(initial=0.0))
        self.fresh_q = float(self.q_N.max(initial=0.0))


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows, and for each row which of them it is: equal rows get equal gains."""
    distinct, same = np.unique(rows, axis=0, return_inverse=True)
    return distinct, same.ravel()


def _first_best(gains: np.ndarray, free: np.ndarray, zero: float) -> int:
    """The lowest position whose gain is the largest among the free, up to rounding."""
    gains = np.where(free, np.where(gains < zero, 0.0, gains), -np.inf)
    return int((gains >= gains.max() * (1 - TIE)).argmax())
