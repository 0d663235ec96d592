"""One training at a time in a run folder: a lock that ends with its process, whatever ends it.

It is a POSIX record lock (fcntl): kill -9 drops it, and forked workers do not inherit it. Locks of
other machines are not heeded: over NFS they may outlive a node that crashed, and would keep a
requeued job out. Not covered: folders on file systems without locks, as mounted buckets are.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ttc_rl.schema import UserError

NAME = ".training"
"""The locked file; it stays, and says who has it. Any close of it in one process drops the lock."""
PATIENCE = 5.0
"""Seconds that processes may need to end after a kill, with a GPU's memory to give back."""
_HELD = {errno.EACCES, errno.EAGAIN}
_WITHOUT = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def training(root: Path) -> Iterator[None]:
    """Hold the folder. Raises UserError where another process of this machine has it."""
    with (root / NAME).open("a+") as file:
        if not _lock(file):
            _refuse(root, file)
        else:
            file.truncate(0)
            file.write(f"{os.getpid()} {platform.node()}")
            file.flush()
        yield


def wait_until_free(root: Path, patience: float = PATIENCE) -> None:
    """Raise UserError where another process of this machine trains there and does not end."""
    if not (root / NAME).exists():
        return
    ends = time.monotonic() + patience
    with (root / NAME).open("r+") as file:
        while not _lock(file):
            if time.monotonic() > ends:
                return _refuse(root, file)
            time.sleep(0.05)


def _lock(file: IO[str]) -> bool:
    """Whether it could be had, or there are no locks here."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _WITHOUT:
            return True
        if error.errno not in _HELD:
            raise
        return False
    return True


def _refuse(root: Path, file: IO[str]) -> None:
    file.seek(0)
    pid, _, host = file.read().partition(" ")
    if host == platform.node():
        raise UserError(
            f"{root}: process {pid} trains in this run folder; wait until it has ended, or end it; "
            "the same command goes on from there"
        )
