"""One training, and one evaluation, at a time in a run folder: locks that end with their process.

They are POSIX record locks (fcntl): kill -9 drops them, and forked workers do not inherit them.
Locks of other machines are not heeded: over NFS they may outlive a node that crashed, and would
keep a requeued job out. Not covered: folders on file systems without locks, as mounted buckets are.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from ttc_rl.schema import UserError

NAME, EVALUATION = ".training", ".evaluating"
"""The locked files; they stay, and say who has them. Any close of one in a process drops its
lock."""
DOES = {NAME: "trains", EVALUATION: "evaluates"}
PATIENCE = 5.0
"""Seconds that processes may need to end after a kill, with a GPU's memory to give back."""
_HELD = {errno.EACCES, errno.EAGAIN}
_WITHOUT = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def training(root: Path) -> AbstractContextManager[None]:
    """Hold the folder for training. Raises UserError where a process of this machine has it."""
    return _held(root, NAME)


def evaluating(root: Path, *, shared: bool) -> AbstractContextManager[None]:
    """Hold the folder for an evaluation, alone, or together with all others that are `shared`."""
    return _held(root, EVALUATION, shared=shared)


@contextmanager
def _held(root: Path, name: str, *, shared: bool = False) -> Iterator[None]:
    with (root / name).open("a+") as file:
        if not _lock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            _refuse(root, name, file)
        else:
            file.truncate(0)
            file.write(f"{os.getpid()} {platform.node()}")
            file.flush()
        yield


def wait_until_free(root: Path, patience: float = PATIENCE) -> None:
    """Raise UserError where another process of this machine works there and does not end."""
    ends = time.monotonic() + patience
    for name in DOES:
        if not (root / name).exists():
            continue
        with (root / name).open("r+") as file:
            while not _lock(file):
                if time.monotonic() > ends:
                    _refuse(root, name, file)
                    break
                time.sleep(0.05)


def _lock(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Return whether the lock was taken, or there are no locks here."""
    try:
        fcntl.lockf(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _WITHOUT:
            return True
        if error.errno not in _HELD:
            raise
        return False
    return True


def _refuse(root: Path, name: str, file: IO[str]) -> None:
    file.seek(0)
    pid, _, host = file.read().partition(" ")
    if host == platform.node():
        raise UserError(
            f"{root}: process {pid} {DOES[name]} in this run folder; wait until it has ended, or "
            "end it; the same command goes on from there"
        )
