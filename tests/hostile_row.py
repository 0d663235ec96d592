"""Hostile programs in a row, and what is left over after them."""

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ttc_rl.schema import Task
from ttc_rl.verifiers import programs
from ttc_rl.verifiers.sandbox import Job, Limits, Sandbox, Trial

MEMORY_KB = 60_000
"""How much the grader may grow: caches of the interpreter, not a leak a program."""
WAIT = 30.0
"""Seconds for killed processes to go."""
LIMITS = {"time_limit": 0.3, "memory_mb": 128}
HOSTILE = (
    "import os; os._exit(0)",
    "import os; os.kill(os.getpid(), 9)",
    "import os\nwhile True:\n  try: os.fork()\n  except OSError: break",
    "x = bytearray(10 << 30)",
    "while True: print('x' * 1000)",
    "open('x', 'wb').write(bytes(1 << 30))",
    "for n in range(5000): open(str(n), 'w')",
    "import threading, time\nfor n in range(99): threading.Thread(target=time.sleep, args=(9,)).start()",  # noqa: E501
    "def f(n): raise ValueError('\\ud800')",
    "def f(n): return {10**5000: 1}",
    "from decimal import Decimal\ndef f(n): return {1: Decimal('sNaN')}",
    "import os\ndef f(n):\n  for fd in range(64):\n    try: os.write(fd, b'\\xff' * 4096)\n    except OSError: pass",  # noqa: E501
    "def f(n): return {k * (2**61 - 1) for k in range(2000)}",
    "import ctypes; ctypes.string_at(0)",
    "while True: pass",
)
TEST = {"type": "functional", "fn_name": "f", "input": "1", "output": "79190443611"}


def leftovers(sandbox: Sandbox, count: int) -> dict[str, object]:
    """What is there after `count` programs and was not before; empty where nothing is."""
    task = Task("code", "?", tests=(TEST,), meta=LIMITS)
    texts = [f"```python\n{source}\n```" for source in HOSTILE]
    for text in texts:  # what the first of each kind leaves in caches is no leak
        programs.verify(task, text, sandbox)
    before, size = _state(), _memory_kb()
    for n in range(count):
        verdict = programs.verify(task, texts[n % len(texts)], sandbox)
        assert verdict.correct is False, (HOSTILE[n % len(texts)], verdict)
    deadline = time.monotonic() + WAIT
    while (after := _state()) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    found: dict[str, object] = {
        name: sorted(after[name] - before[name]) for name in after if after[name] - before[name]
    }
    if (grown := _memory_kb() - size) > MEMORY_KB:
        found["memory in KB"] = grown
    good = sandbox.run(Job("print(1)", [Trial("stdin")], limits=Limits(seconds=1)))
    if good.status != "ok" or good.results[0].output != b"1\n":
        found["an honest program"] = good
    return found


def _state() -> dict[str, set[str]]:
    temporary = Path(tempfile.gettempdir())
    return {
        "processes": set(_children(os.getpid())),
        "files": {path.name for path in temporary.glob("ttc-rl-*")},
        "descriptors": {os.readlink(path) for path in _descriptors()},
    }


def _descriptors() -> Iterator[Path]:
    for path in Path("/proc/self/fd").iterdir():
        if path.is_symlink() and not os.readlink(path).startswith("/proc/"):
            yield path


def _children(pid: int) -> Iterator[str]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text(encoding="ascii").split():
            yield child
            yield from _children(int(child))


def _memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
