"""Runs each trial of one program in processes of its own; itself it runs no line of the program.

On standard input come the job and, one after another, the secrets of the script trials; on
standard output go frames that only this process can write: a child gets neither. What a program
prints comes through a pipe that this process reads; when it ends, by whatever means, is learned
from the kernel.
"""

from __future__ import annotations

import atexit
import gc
import os
import site
import sys

from . import codec, confine, trials
from .streams import read_block, send, write_all

TYPE_CHECKING = False  # as typing's, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Imported before the first fork where a program names them, so that its trials need not.
PRELOADED = ("typing", "functools", "collections", "itertools", "heapq", "bisect", "string")
PRELOADED += ("operator", "math", "datetime", "re", "random", "copy", "json", "numpy")


def main() -> None:
    try:
        _supervise()
        return
    except trials.InChild as child:
        work = child.work
    _exit_like_python(work)


def _exit_like_python(work: Callable[[], None]) -> None:
    """Exit as the interpreter does, without taking itself apart (10 ms a trial)."""
    code = 0
    try:
        work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:  # noqa: BLE001  # any exception of the program's
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except (OSError, ValueError):
        code = code or 120
    os._exit(code & 0xFF)


def main_encoded() -> None:
    """Run where only text goes in and out: both in base64, in a folder of our own."""
    import base64
    import shutil
    import tempfile

    scratch, out = tempfile.mkdtemp(), os.dup(1)
    job, frames = os.memfd_create("job"), os.memfd_create("frames")
    write_all(job, base64.b64decode(os.fsencode(sys.stdin.read())))
    os.lseek(job, 0, os.SEEK_SET)
    os.dup2(job, 0)
    os.dup2(frames, 1)
    os.environ.setdefault("TMPDIR", scratch)
    os.chdir(scratch)
    driver = os.getpid()
    try:
        main()
    finally:
        if os.getpid() == driver:
            size = os.lseek(frames, 0, os.SEEK_END)
            write_all(out, base64.b64encode(os.pread(frames, size, 0)))
            shutil.rmtree(scratch, ignore_errors=True)


def _supervise() -> None:
    job = codec.unpack(read_block())
    settings = job["settings"]
    settings["threads_now"] = confine.count_threads() if settings["count_threads"] else 4
    path = settings["input_file"]
    settings["input_fd"] = _open_input(path) if path else None
    confine.enter(settings)
    settings["scratch"] = settings["scratch"] or os.getcwd()
    os.chdir(settings["scratch"])
    sys.path += settings["paths"]
    text = job["preamble"] + "\n" + job["program"]
    for name in PRELOADED:
        if f"import {name}" in text or f"from {name}" in text:
            _preload(name)
    site.setquit()  # `exit` and `quit`
    gc.freeze()
    _send({"ready": True})
    for index, trial in enumerate(job["trials"]):
        result = trials.Trial(job, trial, lambda: _send({"started": True})).run()
        _send({"index": index, **result})
        if result["status"] not in ("ok", "error"):
            break
    _send({"done": True})


def _open_input(path: str) -> int:
    """Open a file that only this descriptor can write to: a program may change no mode and no
    owner."""
    writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    os.chmod(path, 0o444)  # whatever the umask says
    os.chmod(os.path.dirname(path), 0o555)
    return writer


def _preload(name: str) -> None:
    try:
        __import__(name)
    except ImportError:
        return  # the program will find out


def _send(frame: dict[str, Any]) -> None:
    send(1, codec.pack(frame))
