"""Processes that compare for us: a hang, a crash or a blow-up in one costs one answer, not the run.

They are started on first use and stopped at exit. They never fork this process, which may hold
torch, threads or a GPU, and never import its main module, so scripts need no `__main__` guard.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, NamedTuple

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from ttc_rl.schema import Status

MAX_WORKERS = 32
"""Each takes some 150 MB; a machine with more cores has better use for its memory."""
QUEUE = 64
"""Calls under way or waiting, for each worker."""
MAX_TASKS = 5000
"""Comparisons after which a worker is replaced: sympy's caches grow."""
MEMORY_BYTES = 4 << 30
"""Address space of one worker, on Linux."""


def cores() -> int:
    """Return the cores this process may use; one of several training processes on a machine gets
    its share."""
    have = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, have // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


class WorkersFailed(RuntimeError):
    """No worker can be started here: nothing can be said about any call."""


class Outcome(NamedTuple):
    status: Status
    """`infra_error`: the worker was killed while it worked, twice."""
    value: Any = None


class _NoMain(ModuleType):
    """The main module without the file to import again; all else is looked up in the real one."""

    def __init__(self, real: ModuleType) -> None:
        super().__init__(real.__name__)
        self.__dict__["_real"] = real

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":
            raise AttributeError(name)
        return getattr(self.__dict__["_real"], name)


class _Process(SpawnProcess):
    _starting = threading.Lock()

    def start(self) -> None:
        with self._starting:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = _NoMain(main)
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main


class _Context(SpawnContext):
    Process = _Process


class Workers:
    """A pool of processes, made on first use, each ready after `warm_up()`."""

    def __init__(self, warm_up: Callable[[], None], count: int | None = None) -> None:
        self.warm_up = warm_up
        self.count = count or min(MAX_WORKERS, cores())
        self._pool: ProcessPool | None = None
        self._lock = threading.Lock()
        atexit.register(self.stop)
        os.register_at_fork(after_in_child=self._forget)

    def run(
        self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], *, seconds: float
    ) -> list[Outcome]:
        """Return the outcome of `function(*call)` for each call, in their order; each may take
        `seconds`.

        An exception of the function itself is raised here. However many calls there are, at most
        QUEUE of them a worker are handed over at a time.
        """
        outcomes = self._attempt(function, calls, seconds)
        return [
            self._alone(function, call, seconds) if outcome is None else outcome
            for call, outcome in zip(calls, outcomes, strict=True)
        ]

    def _alone(
        self, function: Callable[..., Any], call: tuple[Any, ...], seconds: float
    ) -> Outcome:
        """Run a call once more, alone: pebble gives up the whole pool when an idle worker dies.

        A worker that was killed while it worked says nothing about its call: a host that runs out
        of memory kills whom it likes. A call that needs more than its own limit raises MemoryError.
        """
        (outcome,) = self._attempt(function, [call], seconds)
        if outcome is None and self._attempt(os.getpid, [()], seconds) == [None]:
            raise WorkersFailed("the comparison workers die at their start; the log says why")
        return outcome or Outcome("infra_error")

    def stop(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()
            pool.join()

    def _attempt(
        self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], seconds: float
    ) -> list[Outcome | None]:
        waiting, outcomes = deque[ProcessFuture[Any]](), list[Outcome | None]()
        for call in calls:
            if len(waiting) >= QUEUE * self.count:
                outcomes.append(_outcome(waiting.popleft()))
            waiting.append(self._schedule(function, call, seconds))
        return outcomes + [_outcome(future) for future in waiting]

    def _schedule(
        self, function: Callable[..., Any], call: tuple[Any, ...], seconds: float
    ) -> ProcessFuture[Any]:
        with self._lock:
            if self._pool is not None and not self._pool.active:
                self._pool.stop()
                self._pool.join()
                self._pool = None
            if self._pool is None:
                self._pool = ProcessPool(
                    self.count, MAX_TASKS, _prepare, [self.warm_up], context=_Context()
                )
            return self._pool.schedule(function, args=call, timeout=seconds)

    def _forget(self) -> None:
        """Make a pool of its own for a forked child, which has none of the pool's threads."""
        self._pool, self._lock = None, threading.Lock()


def _outcome(future: ProcessFuture[Any]) -> Outcome | None:
    """Return the outcome; None where the pool broke down, or the worker was killed, before the call
    was done."""
    try:
        return Outcome("ok", future.result())
    except FutureTimeout:
        return Outcome("timeout")
    except MemoryError:
        return Outcome("oom")
    except ProcessExpired as error:
        return None if error.exitcode in (-9, 137) else Outcome("crash")
    except BrokenProcessPool:
        return None


def _prepare(warm_up: Callable[[], None]) -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warm_up()
