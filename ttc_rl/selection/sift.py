"""Exact greedy SIFT: select the tasks that say most about the targets (arXiv 2410.08020).

With the posterior of `posterior.py`, observing x lowers the summed variance of the targets by

    gain(x) = q / (lambda_x + v),   q = sum_t (t^T S x)^2,   v = x^T S x

and the greedy takes the largest gain at each step. Done plainly, that reads the whole corpus once a
pick. Here a block of picks is *drafted* on a pool of the candidates with the largest gains (itself
the same way, on a smaller pool), and one pass of matrix products *certifies* it: for every
candidate and every drafted step, would it have been picked instead? The draft is kept up to the
first step where one would. The result is the greedy's, pick for pick, whatever the draft was; a
poor draft costs time, never correctness.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from ttc_rl.schema import UserError
from ttc_rl.selection.arrays import Array, Numpy, Torch, arrays_on
from ttc_rl.selection.posterior import Observation, Posterior, compressed
from ttc_rl.vectors import Vectors

# N candidates, M targets, D embedding size, k picks of a block, n picks in all, r rows of a tile.
POOLS = (16384, 2048, 256)
"""Candidates that a block is drafted on, and those that the draft's own blocks are drafted on; a
pool that is not much smaller than what it would be taken from is left out."""
BLOCKS = (64, 32, 8)
"""The largest block at each of these levels."""
TILE = 2048
"""Rows of the corpus in work at a time."""
MEMORY = 4 << 30
"""Bytes that may be taken for the products of candidates and targets; see `observations`."""
ROUNDING = 2e-6
"""What float32 passes may put a q wrong by, as a share of the largest when q was last computed."""
TIE = 1e-12
"""Gains nearer than this, relatively, count as equal: the lowest index wins. Small gains are
differences of large numbers, so there the share is larger; see `_Setting.tie`."""
NEAR = 1e-3
"""Gains nearer than this, relatively, are compared in float64."""
REFRESH = 300.0
"""q is computed anew when the largest gain has fallen by this factor. ROUNDING is then this much
more of a gain: still less than NEAR."""


def greedy(
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
    size: int,
    noise: float | np.ndarray,
    **options: Any,
) -> list[int]:
    """Return the first `size` picks in order, ties to the lowest index; see `observations`."""
    picks = observations(corpus_ND, target_MD, noise, size=size, **options)
    return [seen.index for seen in itertools.islice(picks, size)]


def observations(
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
    noise: float | np.ndarray,
    *,
    size: int,
    repeat: bool = False,
    before: Sequence[int] = (),
    device: str | None = None,
    memory: int = MEMORY,
    pools: Sequence[int] = POOLS,
    blocks: Sequence[int] = BLOCKS,
) -> Iterator[Observation]:
    """Yield the greedy's picks, one after the other, for as long as the reader asks: at most
    `size`.

    Each task at most once, or with `repeat` as often as it wins. `noise` is one lambda, or one for
    each task (N,). `before` holds picks made earlier: the greedy goes on after them.

    The corpus is read in tiles, so it may be `Vectors` on disk, of any float type. Passes run in
    float32 (float64 for a noise below 1e-3, where rounding would show), decisions in float64: the
    picks do not depend on the number of threads, the shards, or the pools. `device` names a torch
    device to run on. Memory beside the corpus: 48 bytes x N, 16 x D x D, and 4 x N x M for few
    targets, where that is below `memory`. Cost does not depend on the number of targets
    beyond D. Raises UserError for a noise of 0 or less, for embeddings that are not finite, and
    where more tasks are asked for than there are.
    """
    if not np.min(noise) > 0:
        raise UserError(f"selection noise must be above 0, got {np.min(noise)}")
    if size > len(corpus_ND) and not repeat:
        raise UserError(f"{size} different tasks requested of a corpus of {len(corpus_ND)}")
    if not np.isfinite(target_MD).all():
        raise UserError("the targets' embeddings hold a value that is not finite")
    xp = arrays_on(device)
    t_MD = xp.array(compressed(np.asarray(target_MD, np.float64)))
    noise_N = xp.array(np.broadcast_to(np.asarray(noise, np.float64), len(corpus_ND)).copy())
    exact = bool(np.min(noise) < 1e-3)
    posterior = Posterior(xp, t_MD)
    rounding = 16 * float(np.finfo(float).eps) * math.sqrt(float((t_MD**2).sum()) / np.min(noise))
    rows = _Rows(xp, corpus_ND if device is None else _on_device(xp, corpus_ND))
    for index in before:
        posterior.observe(index, rows.exact(np.array([index]))[0], float(noise_N[index]))
    each_tile = _TileWorkers(xp)
    with each_tile.one_thread_each():
        level = _Level(
            rows,
            posterior,
            tuple(zip(pools, blocks, strict=True)),
            _Setting(xp, repeat, exact, memory, each_tile, rounding),
            _first_state(rows, posterior, noise_N, exact or bool(before), each_tile),
        )
    if not repeat:
        level.open_N[list(before)] = False
    done = len(before)
    while done < size:
        with each_tile.one_thread_each():
            picks = level.advance(size - done)
        for seen in picks:
            done += 1
            yield seen


def tiles(count: int) -> Iterator[slice]:
    return (slice(start, min(start + TILE, count)) for start in range(0, count, TILE))


class _TileWorkers:
    """Tiles on every core that the BLAS library may use, with one of its threads each."""

    def __init__(self, xp: Numpy | Torch) -> None:
        self.blas = ThreadpoolController().select(user_api="blas")
        most = max((pool.num_threads for pool in self.blas.lib_controllers), default=1)
        self.workers = most if xp.threads else 1

    def one_thread_each(self) -> Any:
        return self.blas.limit(limits=1) if self.workers > 1 else contextlib.nullcontext()

    def __call__(self, work: Callable[[slice], Any], count: int) -> list[Any]:
        """Return the results of `work` for each tile of `count` rows, in their order."""
        if self.workers == 1 or count <= 4 * TILE:
            return [work(tile) for tile in tiles(count)]
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(work, tiles(count)))


class _Rows:
    """Candidates: an array, `Vectors`, or a tensor on the device."""

    def __init__(self, xp: Numpy | Torch, x_ND: Any) -> None:
        self.xp, self.x_ND = xp, x_ND
        self.float = xp.float64 if str(x_ND.dtype).endswith("float64") else xp.float32

    def __len__(self) -> int:
        return self.x_ND.shape[0]

    def tile(self, tile: slice, dtype: Any) -> Array:
        return self.xp.array(self.x_ND[tile], dtype)

    def exact(self, which: np.ndarray) -> Array:
        return self.xp.array(self.x_ND[which], self.xp.float64)

    def pool(self, which: np.ndarray) -> _Rows:
        """Return these candidates alone, in a type that holds each value exactly."""
        return _Rows(self.xp, self.xp.array(self.x_ND[which], self.float))


def _on_device(xp: Numpy | Torch, corpus_ND: np.ndarray | Vectors) -> Any:
    """Return the corpus on the device where half its free memory holds it; else as it is, in
    tiles."""
    assert isinstance(xp, Torch)
    needed = len(corpus_ND) * corpus_ND.shape[1] * corpus_ND.dtype.itemsize
    if xp.device.type == "cuda" and 2 * needed > xp.torch.cuda.mem_get_info(xp.device)[0]:
        return corpus_ND
    return xp.array(corpus_ND[:])


# --------------------------------------------------------------------------- a block of picks


class _Block:
    """Several observations as matrices, for passes over many rows.

    With y = u / sqrt(s), u = x^T w, a pick lowers v of a row by y^2 and q by y (2 p - gain y),
    p = x^T z / sqrt(s). From the products C = X G^T before the block, that p is the row's C c less
    what the earlier picks took off it, which is cheaper than x^T z for M << D.
    """

    def __init__(
        self, xp: Numpy | Torch, seen: Sequence[Observation], dtype: Any, *, cross: bool
    ) -> None:
        root_k1 = xp.array(np.array([[math.sqrt(pick.s)] for pick in seen]))
        self.gain_k = np.array([pick.gain for pick in seen])
        gain_k1 = xp.array(self.gain_k[:, None])
        w_kD = xp.stack([pick.w_D for pick in seen]) / root_k1
        c_kM = xp.stack([pick.c_M for pick in seen]) / root_k1
        self.w_kD, self.c_kM = xp.array(w_kD, dtype), xp.array(c_kM, dtype)
        if cross:
            earlier_kk = xp.array(np.tril(np.full((len(seen), len(seen)), 2.0), -1))
            itself_kk = xp.array(np.eye(len(seen))) * gain_k1
            self.before_kk = xp.array((c_kM @ c_kM.T) * earlier_kk + itself_kk, dtype)
        else:
            z_kD = xp.stack([pick.z_D for pick in seen]) / root_k1
            self.z_kD = xp.array(2 * z_kD - gain_k1 * w_kD, dtype)

    def drops(
        self, x_rD: Array, cross_rM: Array | None, *, back: bool = False
    ) -> tuple[Array, Array]:
        """Return by how much each pick lowers q of each row, and y; two arrays (k, r).

        With `back`, C is what it is after the block instead of before it.
        """
        y_kr = self.w_kD @ x_rD.T
        if cross_rM is None:
            p_kr = self.z_kD @ x_rD.T
        else:
            p_kr = self.c_kM @ cross_rM.T
            p_kr *= 2
            p_kr += self.before_kk.T @ y_kr if back else -self.before_kk @ y_kr
        p_kr *= y_kr
        return p_kr, y_kr


@dataclass(frozen=True)
class _Near:
    """Some rows (c,) and bounds of their gains before each pick of a block, (k, c)."""

    rows: np.ndarray
    least_kc: np.ndarray
    most_kc: np.ndarray

    @classmethod
    def none(cls, count: int) -> _Near:
        return cls(np.empty(0, int), np.empty((count, 0)), np.empty((count, 0)))

    @classmethod
    def joined(cls, parts: Sequence[_Near]) -> _Near:
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.least_kc for part in parts], axis=1),
            np.concatenate([part.most_kc for part in parts], axis=1),
        )

    def possible_winners(self, gain_k: np.ndarray) -> _Near:
        """Return the rows that may win a step against picks of these gains and each other.

        Steps after the first that one of the rows surely wins do not count: the block ends there.
        """
        best_k = self.least_kc.max(axis=1, initial=0.0)
        lost = np.flatnonzero(best_k > gain_k)
        steps = slice(0, lost[0] + 1 if len(lost) else len(gain_k))
        bar_k1 = np.maximum(best_k, gain_k)[steps, None]
        may_c = (self.most_kc[steps] >= bar_k1).any(axis=0)
        return _Near(self.rows[may_c], self.least_kc[:, may_c], self.most_kc[:, may_c])


# --------------------------------------------------------------------------- a set of candidates


@dataclass(frozen=True)
class _Setting:
    xp: Numpy | Torch
    repeat: bool
    exact: bool
    """Passes in float64."""
    memory: int
    each_tile: _TileWorkers
    rounding: float
    """What float64 leaves uncertain of the square root of a gain."""

    def tie(self, gain: float) -> float:
        """Return the share by which gains near this one may differ and still be equal."""
        return min(TIE + self.rounding / math.sqrt(max(gain, 1e-300)), 1e-9)


@dataclass
class _State:
    """lambda, v and q of each candidate, perhaps C = X G^T, and what q was when last computed."""

    noise_N: Array
    v_N: Array
    q_N: Array
    cross_NM: Array | None
    gain: float = np.inf
    largest_q: float = np.inf

    def of(self, members: Array) -> _State:
        cross = None if self.cross_NM is None else self.cross_NM[members]
        return replace(
            self,
            noise_N=self.noise_N[members],
            v_N=self.v_N[members],
            q_N=self.q_N[members],
            cross_NM=cross,
        )


def _first_state(
    rows: _Rows,
    posterior: Posterior,
    noise_N: Array,
    exact: bool,
    each_tile: _TileWorkers,
) -> _State:
    xp = rows.xp
    v_N, q_N = (xp.full(len(rows), 0.0, xp.float64) for _ in range(2))

    def measure(tile: slice) -> None:
        if exact:
            v_N[tile] = posterior.qv(rows.tile(tile, xp.float64))[1]
        else:
            x_rD = rows.tile(tile, xp.float32)
            v_N[tile] = xp.array(xp.einsum("rd,rd->r", x_rD, x_rD), xp.float64)

    each_tile(measure, len(rows))
    if not np.isfinite(xp.host(v_N)).all():
        row = int(np.flatnonzero(~np.isfinite(xp.host(v_N)))[0])
        raise UserError(f"the embedding of corpus row {row} holds a value that is not finite")
    return _State(noise_N, v_N, q_N, None)


class _Level:
    """Candidates and their state; `advance` makes the greedy's next picks among them."""

    def __init__(
        self,
        rows: _Rows,
        posterior: Posterior,
        inner: tuple[tuple[int, int], ...],
        setting: _Setting,
        state: _State,
    ) -> None:
        self.rows, self.posterior, self.setting = rows, posterior, setting
        self.inner = tuple(level for level in inner if 2 * level[0] < len(rows))
        self.xp, self.state = setting.xp, state
        self.plain = not self.inner
        wide = self.plain or setting.exact
        self.dtype = self.xp.float64 if wide else self.xp.float32
        self.open_N = self.xp.full(len(rows), True, self.xp.bool)
        self.block = 8
        if self.plain:
            state.cross_NM = None
        if np.isinf(state.gain):
            self._make_room()
            self._refresh()

    def _make_room(self) -> None:
        """Allocate C where targets are few and memory allows."""
        count, (targets, dimensions) = len(self.rows), self.posterior.t_MD.shape
        fits = 4 * count * targets <= self.setting.memory
        if not self.plain and self.dtype == self.xp.float32 and 2 * targets <= dimensions and fits:
            self.state.cross_NM = self.xp.full((count, targets), 0.0, self.dtype)

    def gains(self) -> Array:
        gain_N = self.state.q_N / (self.state.noise_N + self.state.v_N)
        return self.xp.where(self.open_N, gain_N, -np.inf)

    def advance(self, count: int) -> list[Observation]:
        """Return the next picks, at least one. The posterior has observed them afterwards."""
        self._refresh_if_small()
        if float(self.gains().max()) < self.posterior.zero:
            return [self._observed(int(self.xp.nonzero(self.open_N)[0]))]
        return self._one_by_one(count) if self.plain else self._drafted(count)

    def _observed(self, index: int) -> Observation:
        row_D = self.rows.exact(np.array([index]))[0]
        seen = self.posterior.observe(index, row_D, float(self.state.noise_N[index]))
        self._close([seen])
        return seen

    def _close(self, seen: Sequence[Observation]) -> None:
        if not self.setting.repeat:
            self.open_N[[pick.index for pick in seen]] = False

    def _one_by_one(self, count: int) -> list[Observation]:
        """Return the plain greedy's picks: one product with the candidates a pick."""
        x_ND = self.rows.tile(slice(0, len(self.rows)), self.xp.float64)
        picks: list[Observation] = []
        for _ in range(count):
            self._refresh_if_small()
            index = self._best(x_ND)
            noise = float(self.state.noise_N[index])
            picks.append(self.posterior.observe(index, x_ND[index], noise))
            self._close(picks[-1:])
            block = _Block(self.xp, picks[-1:], self.xp.float64, cross=False)
            dq_1N, y_1N = block.drops(x_ND, None)
            self.state.q_N -= dq_1N[0]
            self.state.v_N -= y_1N[0] ** 2
        return picks

    def _best(self, x_ND: Array) -> int:
        """Return the candidate with the largest gain; those near it are compared exactly."""
        best = float(self.gains().max())
        if best < self.posterior.zero:
            return int(self.xp.nonzero(self.open_N)[0])
        level_N = best * (self.state.noise_N + self.state.v_N)
        bar_N = level_N * (1 - NEAR) - ROUNDING * (self.state.largest_q + best)
        near = self.xp.nonzero((self.state.q_N >= bar_N) & self.open_N)
        if len(near) == 1:
            return int(near[0])
        rows, same = _distinct(self.xp, x_ND[near])
        q_r, v_r = self.posterior.qv(rows)
        exact_r = self.xp.host(q_r[same] / (self.state.noise_N[near] + v_r[same]))
        free = np.ones(len(near), dtype=bool)
        return int(near[self._first_best(exact_r, free)])

    def _drafted(self, count: int) -> list[Observation]:
        """Return a block of picks made on a pool, as far as the other candidates confirm it."""
        (pool, largest), inner = self.inner[0], self.inner[1:]
        members = self.xp.largest(self.gains(), pool)
        members = members[self.open_N[members]]
        saved = self.posterior.saved()
        names = self.xp.host(members)
        within = _Level(
            self.rows.pool(names), self.posterior, inner, self.setting, self.state.of(members)
        )
        size = min(self.block, largest, count)
        if not self.setting.repeat:
            size = min(size, len(names))
        draft: list[Observation] = []
        while len(draft) < size:
            draft += within.advance(size - len(draft))
        draft = [replace(pick, index=int(names[pick.index])) for pick in draft]
        worth = self._worth(draft, saved)
        if not worth:
            return [self._observed(int(self.xp.nonzero(self.open_N)[0]))]
        certified = self._certified(worth, members, saved)
        if len(certified) < len(draft):
            self.block = max(4, len(certified) + len(certified) // 4 + 1)
        else:
            self.block = min(largest, 2 * self.block)
        return certified

    def _worth(self, draft: list[Observation], saved: Any) -> list[Observation]:
        """Return the draft up to its first pick that gains nothing: there the lowest index is
        next."""
        for step, one in enumerate(draft):
            if one.gain < self.posterior.zero:
                return self._rewound(draft[:step], saved)
        return draft

    def _rewound(self, certified: list[Observation], saved: Any) -> list[Observation]:
        self.posterior.restore(saved)
        for pick in certified:
            self.posterior.repeat(pick)
        return certified

    # ----------------------------------------------------------------------- certification

    def _certified(self, draft: list[Observation], members: Array, saved: Any) -> list[Observation]:
        """Return the drafted picks that are the greedy's, or its next pick. The state is the one
        after them."""
        rival_N = self.xp.copy(self.open_N)
        rival_N[members] = False
        close = self._pass(draft, rival_N)
        count, winner = self._decided(draft, close, saved) if len(close) else (len(draft), -1)
        certified = draft[:count]
        if count < len(draft):
            self._pass(draft[count:], back=True)
            self._rewound(certified, saved)
        if not certified:
            certified = [self._observed(winner)]
            self._pass(certified)
        self._close(certified)
        return certified

    def _pass(
        self, seen: Sequence[Observation], rival_N: Array | None = None, *, back: bool = False
    ) -> np.ndarray:
        """Take the state over these picks, or back; return the rivals that may win one of the
        steps.

        One product of matrices a tile, and the only reading of the corpus that a block needs.
        """
        state, xp, sign = self.state, self.xp, -1 if back else 1
        block = _Block(xp, seen, self.dtype, cross=state.cross_NM is not None)

        def one_tile(tile: slice) -> _Near:
            cross_rM = None if state.cross_NM is None else state.cross_NM[tile]
            dq_kr, y_kr = block.drops(self.rows.tile(tile, self.dtype), cross_rM, back=back)
            if cross_rM is not None:
                cross_rM -= sign * (y_kr.T @ block.c_kM)
            y_kr *= y_kr
            dq_r, dv_r = dq_kr.sum(axis=0), y_kr.sum(axis=0)
            near = _Near.none(len(seen))
            if rival_N is not None:
                able = xp.nonzero(rival_N[tile] & self._able(block, tile, dq_kr, dv_r))
                near = self._near(block, tile, able, dq_kr[:, able], y_kr[:, able])
            state.q_N[tile] -= sign * dq_r
            state.v_N[tile] -= sign * dv_r
            return near

        near = _Near.joined(self.setting.each_tile(one_tile, len(self.rows)))
        return near.possible_winners(block.gain_k).rows

    def _able(self, block: _Block, tile: slice, dq_kr: Array, dv_r: Array) -> Array:
        """Return whether a row's gain may come near a pick's: a quick bound, as if q only rose."""
        state = self.state
        most_r = state.q_N[tile] - dq_kr.clip(max=0).sum(axis=0)
        least_r = (state.noise_N[tile] + state.v_N[tile] - dv_r) * block.gain_k.min()
        return most_r >= least_r * (1 - 2 * NEAR) - 2 * self._slack(block)

    def _near(self, block: _Block, tile: slice, rows: Array, dq_kr: Array, dv_kr: Array) -> _Near:
        """Return those of these rows of a tile that may win one of the steps."""
        state, host = self.state, self.xp.host
        q_kr = host(state.q_N[tile][rows] - (dq_kr.cumsum(0) - dq_kr))
        level_r = state.noise_N[tile][rows] + state.v_N[tile][rows]
        level_kr = host(level_r - (dv_kr.cumsum(0) - dv_kr))
        off_kr = NEAR * q_kr + self._slack(block)
        bounds = (q_kr - off_kr) / level_kr, (q_kr + off_kr) / level_kr
        return _Near(host(rows) + tile.start, *bounds).possible_winners(block.gain_k)

    def _slack(self, block: _Block) -> float:
        return ROUNDING * (self.state.largest_q + block.gain_k.max())

    def _decided(self, draft: list[Observation], close: np.ndarray, saved: Any) -> tuple[int, int]:
        """Return how many steps of the draft no close candidate wins, in float64, and who wins
        next."""
        picked = [pick.index for pick in draft]
        candidates = np.unique(np.concatenate([close, picked]))
        rows, same = _distinct(self.xp, self.rows.exact(candidates))
        noise_r = self.xp.host(self.state.noise_N[self.xp.array(candidates)])
        q_r, v_r = (self.xp.host(value) for value in self.posterior.qv(rows, saved))
        block = _Block(self.xp, draft, self.xp.float64, cross=False)
        dq_kr, y_kr = (self.xp.host(drop) for drop in block.drops(rows, None))
        free = self.xp.host(self.open_N)[candidates]
        for step, pick in enumerate(draft):
            winner = self._first_best(q_r[same] / (noise_r + v_r[same]), free)
            if candidates[winner] != pick.index:
                return step, int(candidates[winner])
            free[winner] = self.setting.repeat
            q_r, v_r = q_r - dq_kr[step], v_r - y_kr[step] ** 2
        return len(draft), -1

    def _first_best(self, gains: np.ndarray, free: np.ndarray) -> int:
        """Return the lowest position whose gain is the largest among the free, up to rounding."""
        gains = np.where(free, np.where(gains < self.posterior.zero, 0.0, gains), -np.inf)
        best = float(gains.max())
        return int((gains >= best * (1 - self.setting.tie(best))).argmax())

    def _refresh_if_small(self) -> None:
        if self.posterior.zero < self.state.gain and (
            float(self.gains().max()) * REFRESH < self.state.gain
        ):
            self._refresh()

    def _refresh(self) -> None:
        g_DM = self.xp.array(self.posterior.g().T, self.dtype)

        def one_tile(tile: slice) -> None:
            cross_rM = self.rows.tile(tile, self.dtype) @ g_DM
            if self.state.cross_NM is not None:
                self.state.cross_NM[tile] = cross_rM
            squares_r = self.xp.einsum("rm,rm->r", cross_rM, cross_rM)
            self.state.q_N[tile] = self.xp.array(squares_r, self.xp.float64)

        self.setting.each_tile(one_tile, len(self.rows))
        self.state.gain = max(float(self.gains().max()), 0.0)
        self.state.largest_q = float(self.state.q_N.max())


def _distinct(xp: Numpy | Torch, rows: Array) -> tuple[Array, np.ndarray]:
    """Return the different rows, and for each row its position among them: equal rows get equal
    gains."""
    first: dict[bytes, int] = {}
    keys = ((row + 0.0).tobytes() for row in xp.host(rows))  # + 0.0: -0.0 equals 0.0
    same = np.array([first.setdefault(key, len(first)) for key in keys])
    return rows[np.unique(same, return_index=True)[1]], same
