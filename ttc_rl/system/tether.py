"""Processes that end when the one that started them ends, by whatever signal; Linux.

The kernel sends SIGKILL to a process that asked for it when its parent dies (prctl(2),
PR_SET_PDEATHSIG; an exec keeps that). `ttc-rl launch` asks for its children between fork and exec.
Processes that accelerate and torchrun start in turn are ours again, and ask for themselves: the
launch leaves its process id in the environment. Elsewhere than on Linux nothing is asked for.

vLLM runs its engine in a process of its own, which outlives a parent that ends by SIGKILL (vLLM
0.31) and keeps the GPU. `ttc-rl` is a plugin of vLLM (`vllm.general_plugins` in pyproject.toml), so
that the engine calls `follow_launch` too.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ttc_rl.config.plugins import MODULES
from ttc_rl.schema import UserError

LAUNCH = "TTC_RL_LAUNCH"
"""Variable with the process id of the launch that all this belongs to."""
SPAWN = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
"""A forked engine would have the plugins of its parent, which it does not call again."""
_PR_SET_PDEATHSIG = 1


def with_parent() -> Callable[[], None] | None:
    """Return a `preexec_fn` for Popen: the child dies with the thread that starts it."""
    if sys.platform != "linux":
        return None
    parent, prctl = os.getpid(), ctypes.CDLL(None).prctl  # looked up before the fork

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os.kill(os.getpid(), signal.SIGKILL)

    return ask


def environment(folders: Sequence[Path] = ()) -> dict[str, str]:
    """Return that of a child that calls `follow_launch`: our own, and who it belongs to.

    The child looks for modules that a recipe names in `folders`, too.
    """
    named = {MODULES: os.pathsep.join(str(folder.absolute()) for folder in folders)}
    return {**os.environ, **(named if folders else {}), LAUNCH: str(os.getpid())}


def follow_launch() -> None:
    """Let this process, which a launch started, die with its parent from now on, and at once if the
    launch died. Do nothing in the launch itself."""
    launch = os.environ.get(LAUNCH, str(os.getpid()))
    if int(launch) == os.getpid() or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if int(launch) not in ancestors():
        raise UserError(f"the launch that started this, process {launch}, has ended")


@contextmanager
def engine_follows() -> Iterator[None]:
    """Let the engine that vLLM starts meanwhile die with this thread, as a child of a launch."""
    ours = {**SPAWN, LAUNCH: str(os.getpid())}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def ancestors() -> Iterator[int]:
    """Yield process ids from the parent up."""
    pid = os.getppid()
    while pid > 0:
        yield pid
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return
        pid = int(stat.rpartition(")")[2].split()[1])
