"""Folders that a program may write to, on the way there and after a grader that was killed."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ttc_rl.schema import UserError

PREFIX = "ttc-rl-"


def mount_point() -> str:
    """Return the one empty folder over which each sandbox mounts its own file system.

    Nothing is ever written to the folder itself, so there is nothing to remove.
    """
    path = os.path.join(tempfile.gettempdir(), f"{PREFIX}scratch-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise UserError(f"{path}: should be a folder of yours; remove it, or set TMPDIR")
    return path


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """Make a folder on disk for the block, and remove it. The next start removes those of killed
    graders."""
    _sweep()
    prefix = f"{PREFIX}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as path:
        yield path


@functools.cache
def _sweep() -> None:
    """Remove, once a process, our own folders whose grader is gone."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = path.name.split("-")[2]
        with contextlib.suppress(OSError):
            ours = path.lstat().st_uid == os.geteuid()
            if pid.isdecimal() and ours and not os.path.exists(f"/proc/{pid}"):
                shutil.rmtree(path, ignore_errors=True)
