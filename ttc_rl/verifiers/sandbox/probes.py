"""Harmless attacks, each really run in a sandbox: what it contains here, and what it does not.

None of them does harm where it succeeds: they read a file made for them, send signal 0, set
priorities to what they are, and stop at a few megabytes. `ttc-rl doctor --attacks` prints them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ttc_rl.verifiers.sandbox.records import Job, Limits, Outcome, Stop, Trial

Run = Callable[[Job, Stop], Outcome]
LIMITS = Limits(seconds=1, memory_mb=128, output_mb=1, file_mb=1, threads=16)
_CALL = "import ctypes\nif ctypes.CDLL(None).{} < 0: raise OSError"
_MEMORY = _CALL.format("process_vm_readv(os.getppid(), None, 0, None, 0, 0)")
_FILL = """
kept = []
for n in range(16):
    kept.append(os.open(str(n), os.O_RDWR | os.O_CREAT))
    os.unlink(str(n))
    if os.write(kept[-1], bytes(1 << 20)) < 1 << 20: raise OSError
"""
_TRY = """
import os
try:
    exec({source!r})
except (OSError, MemoryError, RuntimeError):
    print("contained")
"""


@dataclass(frozen=True, slots=True)
class Probe:
    what: str
    source: str
    """OUTSIDE stands for a folder that holds a file `secret`."""
    ends: str = "ok"
    """Where it is another status, the program is contained when it ends so, too."""
    known: tuple[str, ...] = ()
    """Sandboxes that do not contain it, as their documentation says."""


PROBES = (
    Probe("reads a file outside", "open('OUTSIDE/secret').read()"),
    Probe("lists a folder outside", "os.listdir('OUTSIDE')"),
    Probe("writes a file outside", "open('OUTSIDE/new', 'w')"),
    Probe("learns that a file exists", "os.stat('OUTSIDE/secret')", known=("landlock",)),
    Probe("reads the grader's environment", f"open('/proc/{os.getpid()}/environ').read()"),
    Probe("opens a network socket", "import socket; socket.socket()"),
    Probe("opens a local socket", "import socket; socket.socket(socket.AF_UNIX)"),
    Probe("starts a process", "if os.fork() == 0: os._exit(0)"),
    Probe("runs another program", "os.posix_spawn('/bin/true', ['true'], {})"),
    Probe("signals another process", "os.kill(os.getppid(), 0)"),
    Probe("reads another process's memory", _MEMORY),
    Probe("sets priorities", "os.setpriority(0, 0, os.getpriority(0, 0))"),
    Probe("chooses processor cores", "os.sched_setaffinity(0, os.sched_getaffinity(0))"),
    Probe("chooses a scheduler", "os.sched_setscheduler(0, 0, os.sched_param(0))"),
    Probe("sets disk priorities", _CALL.format("syscall(251, 1, 0, 0)")),
    Probe("locks a file it can read", "import fcntl; fcntl.flock(open(os.__file__), 5)"),
    Probe("watches a file it can read", _CALL.format("inotify_init()")),
    Probe("reads extended attributes", "os.listxattr(os.__file__)"),
    Probe("makes shared memory", _CALL.format("shmget(0, 4096, 0o1600)")),
    Probe("makes a namespace", _CALL.format("unshare(0x10000000)")),
    Probe("changes modes or times of files", "os.utime('.')"),
    Probe("takes more disk than its limit", _FILL, ends="crash"),
    Probe("takes more memory than its limit", "bytearray(1 << 30)"),
    Probe(
        "starts more threads than its limit",
        "import threading, time\n"
        "for _ in range(200): threading.Thread(target=time.sleep, args=(1,), daemon=True).start()",
    ),
    Probe("takes more processor time than its limit", "while True: pass", ends="timeout"),
    Probe("waits for ever", "import time; time.sleep(1e6)", ends="timeout"),
    Probe("prints more than its limit", "print('x' * (2 << 20))", ends="crash"),
)


def attack(run: Run) -> Iterator[tuple[Probe, bool]]:
    """Yield each probe with whether the sandbox contained it."""
    with tempfile.TemporaryDirectory(prefix="ttc-rl-probe-") as outside:
        os.chmod(outside, 0o755)  # for everybody: what keeps a program out is the sandbox
        (Path(outside) / "secret").write_text("secret", encoding="utf-8")
        for probe in PROBES:
            program = _TRY.format(source=probe.source.replace("OUTSIDE", outside))
            outcome = run(Job(program, [Trial("stdin")], limits=LIMITS), lambda result: False)
            result = outcome.results[0] if outcome.results else None
            contained = result is not None and (
                result.output == b"contained\n" or result.status == probe.ends != "ok"
            )
            yield probe, contained
