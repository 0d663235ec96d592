"""Programs that set out to escape, to exhaust or to forge, really run in every working sandbox."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers import programs
from ttc_rl.verifiers.sandbox import Job, Limits, Result, Sandbox, Trial

Running = Callable[[], list[str]]

SMALL = Limits(seconds=0.5, memory_mb=256, output_mb=1, file_mb=1, threads=16)


def run(sandbox: Sandbox, program: str, limits: Limits = SMALL) -> Result:
    outcome = sandbox.run(Job(program, [Trial("stdin", "")], limits=limits))
    assert outcome.status == "ok", outcome.reason
    (result,) = outcome.results
    return result


def nothing_left(running: Running) -> bool:
    """A killed process goes when it is next scheduled: on a busy machine that was seconds later."""
    deadline = time.monotonic() + 30
    while running() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not running()


# --------------------------------------------------------------------------- escaping

LIBC = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
ESCAPES = {
    "fork": "import os; os.fork()",
    "double fork with setsid": "import os\nos.setsid()\nif os.fork(): os._exit(0)\nos.fork()",
    "vfork by subprocess": "import subprocess; subprocess.run(['/bin/true'], check=True)",
    "spawn": "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "shell": "import os\nif os.system('true') != 0: raise OSError",
    "shell by posix": "import sys\nif sys.modules['posix'].system('true') != 0: raise OSError",
    "exec": "import os; os.execv('/bin/true', ['true'])",
    "multiprocessing": "import multiprocessing as m; p = m.Process(target=print); p.start()",
    "clone by ctypes": LIBC + "if libc.syscall(56, 17, 0, 0, 0, 0) < 0: raise OSError",
    "tcp": "import socket; socket.create_connection(('127.0.0.1', PORT), 1)",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "unix socket": "import socket; socket.socket(socket.AF_UNIX).connect('\\0anything')",
    "netlink": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "name lookup": "import socket; socket.getaddrinfo('example.com', 80)",
    "io_uring": LIBC + "if libc.syscall(425, 8, bytes(120)) < 0: raise OSError",
    "read the expected output": "print(open('OUTSIDE/expected.txt').read())",
    "list the folder": "import os; os.listdir('OUTSIDE')",
    "walk up": "print(open('../../../../../..OUTSIDE/expected.txt').read())",
    "symlink": "import os; os.symlink('OUTSIDE/expected.txt', 'x'); print(open('x').read())",
    "hard link": "import os; os.link('OUTSIDE/expected.txt', 'x'); print(open('x').read())",
    "mounted elsewhere": "import os; os.open('OUTSIDE', os.O_RDONLY | os.O_DIRECTORY)",
    "passwords": "print(open('/etc/passwd').read())",
    "shadow": "print(open('/etc/shadow').read())",
    "this repository": "print(open('REPOSITORY/pyproject.toml').read())",
    "the root folder": "open('/x', 'w').write('x')",
    "a folder that holds others": "import os; open(os.path.dirname(os.__file__) + '/../../x', 'w')",
    "environment of others": "print(open('/proc/1/environ', 'rb').read())",
    "environment of the driver": "import os; open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "memory of the driver": "import os; open(f'/proc/{os.getppid()}/mem', 'r+b')",
    "files of the driver": "import os; open(f'/proc/{os.getppid()}/fd/0', 'rb').read()",
    "kernel settings": "open('/proc/sys/kernel/core_pattern', 'w').write('x')",
    "write outside": "open('OUTSIDE/new', 'w').write('x')",
    "overwrite": "open('OUTSIDE/expected.txt', 'a').write('x')",
    "rename": "import os; os.rename('OUTSIDE/expected.txt', 'OUTSIDE/gone')",
    "remove": "import os; os.unlink('OUTSIDE/expected.txt')",
    "truncate": "import os; os.truncate('OUTSIDE/expected.txt', 0)",
    "chmod": "import os; os.chmod('OUTSIDE/expected.txt', 0o777)",
    "times": "import os; os.utime('OUTSIDE/expected.txt', (0, 0))",
    "system temporary folder": "open('OUTSIDE/../new', 'w').write('x')",
    "the interpreter": "import os; open(os.__file__, 'a').write('x')",
    "a module beside ours": "import json; open(json.__file__ + '.x', 'w').write('x')",
    "a fifo": "import os; os.mkfifo('OUTSIDE/fifo')",
    "a device": "import os, stat; os.mknod('disk', 0o600 | stat.S_IFBLK, os.makedev(8, 0))",
    "kill the driver": "import os; os.kill(os.getppid(), 9)",
    "kill everybody": "import os; os.kill(-1, 9)",
    "kill the group": "import os; os.killpg(0, 9)",
    "kill init": "import os; os.kill(1, 9)",
    "signal through a file": "import fcntl, os; fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "limits of the driver": "import os, resource as r; r.prlimit(os.getppid(), 0, (0, 0))",
    "raise its own limits": "import resource as r; r.setrlimit(r.RLIMIT_AS, (1 << 40, 1 << 40))",
    "ptrace": LIBC + "if libc.ptrace(16, os.getppid(), 0, 0) < 0: raise OSError",
    "read memory": LIBC
    + "if libc.process_vm_readv(os.getppid(), 0, 0, 0, 0, 0) < 0: raise OSError",
    "outlive the driver": LIBC + "if libc.prctl(1, 0, 0, 0, 0) < 0: raise OSError",
    "new namespace": LIBC + "if libc.unshare(0x10000000) < 0: raise OSError",
    "mount": LIBC + "if libc.mount(b'x', b'/', b'tmpfs', 0, None) < 0: raise OSError",
    "become root": "import os; os.setuid(0); open('/etc/shadow').read()",
    "chroot": "import os; os.chroot('.')",
    "shared memory": LIBC + "if libc.shmget(0, 1 << 20, 0o1600) < 0: raise OSError",
    "memory file": "import os; os.memfd_create('x')",
    "bpf": LIBC + "if libc.syscall(321, 0, bytes(128), 128) < 0: raise OSError",
    "keyring": LIBC + "if libc.syscall(250, 0, -3, 1) < 0: raise OSError",
    "priority of others": "import os; os.setpriority(os.PRIO_USER, os.getuid(), 19)",
    "its own priority": "import os; os.nice(1)",
    "cores of others": "import os; os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0))",
    "cores": "import os; os.sched_setaffinity(0, os.sched_getaffinity(0))",
    "scheduler": "import os; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))",
    "scheduler by attributes": LIBC + "if libc.syscall(314, 0, bytes(48), 0) < 0: raise OSError",
    "disk priority of others": LIBC + "if libc.syscall(251, 3, 0, 3 << 13) < 0: raise OSError",
    "who shares a core": LIBC + "if libc.prctl(62, 1, 0, 1, 0) < 0: raise OSError",
    "all disks at once": LIBC + "if libc.syscall(306, 0) < 0: raise OSError",
    "lock": "import fcntl, os; fcntl.flock(open(os.__file__), fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "lease": "import fcntl, os\nif fcntl.fcntl(open(os.__file__), 1024, 0) == 0: print('ESCAPED')",
    "notices": LIBC + "if libc.inotify_init() < 0: raise OSError",
    "attributes": "import os; os.listxattr(os.__file__)",
    "shared memory of others": LIBC + "if libc.shmctl(0, 13, bytes(256)) < 0: raise OSError",
    "disk at once": "import os; os.posix_fallocate(os.open('x', 66, 0o600), 0, 4096)",
    "a newer call": LIBC + "if libc.syscall(462, 0, 0) < 0: raise OSError",
    "another numbering": LIBC + "if libc.syscall(0x40000000 + 39) < 0: raise OSError",
}
TRY = """
try:
    exec({source!r})
except (OSError, ValueError):
    print('contained')
else:
    print('ESCAPED')
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_fail(sandbox: Sandbox, name: str, port: int, tmp_path: Path, running: Running):
    secret = tmp_path / "expected.txt"
    secret.write_text("ESCAPED")
    before = secret.stat()
    source = ESCAPES[name].replace("OUTSIDE", str(tmp_path)).replace("PORT", str(port))
    source = source.replace("REPOSITORY", str(Path(__file__).parents[3]))
    result = run(sandbox, TRY.format(source=source))
    assert (result.output, result.status) == (b"contained\n", "ok"), result.message
    assert nothing_left(running)
    assert list(tmp_path.iterdir()) == [secret]
    assert secret.stat()[:9] == before[:9]
    assert not (tmp_path.parent / "new").exists()


def test_the_environment_tells_nothing(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TTC_TEST_TOKEN", "hunter2")
    program = (
        "import os, sys; print(os.environ, sys.argv, sys.orig_argv[1:5], os.getcwd(), sys.path)"
    )
    assert b"hunter2" not in run(sandbox, program).output


def test_only_three_files_are_open(sandbox: Sandbox):
    program = """
import os
def is_open(fd):
    try: os.fstat(fd)
    except OSError: return False
    return True
print([fd for fd in range(64) if is_open(fd)])
"""
    assert run(sandbox, program).output == b"[0, 1, 2]\n"


# --------------------------------------------------------------------------- exhausting

EXHAUSTION = {
    "loop": ("while True: pass", "timeout"),
    "sleep": ("import time; time.sleep(100)", "timeout"),
    "waits for input": ("import os\nr, w = os.pipe()\nos.read(r, 1)", "timeout"),
    "ignores signals": (
        "import signal\nfor s in range(1, 32):\n  try: signal.signal(s, signal.SIG_IGN)\n"
        "  except OSError: pass\nwhile True: pass",
        "timeout",
    ),
    "fork bomb": (
        "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
        "timeout",
    ),
    "10 GB at once": ("x = bytearray(10 << 30)", "oom"),
    "10 GB by and by": ("x = []\nwhile True: x.append(bytearray(1 << 20))", "oom timeout"),
    "10 GB of map": ("import mmap; mmap.mmap(-1, 10 << 30)", "crash"),
    "numbers": ("x = 9 ** 9 ** 9", "timeout oom"),
    "digits": ("print(2 ** 100_000)", "crash"),
    "output": ("while True: print('x' * 1000)", "crash"),
    "errors": ("import sys\nwhile True: sys.stderr.write('x' * 1000)", "crash"),
    "recursion": ("def f(): f()\nf()", "crash"),
    "deep recursion": (
        "import sys; sys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "oom crash timeout",
    ),
    "recursion in C": (
        "import sys; sys.setrecursionlimit(10**9)\n"
        "class A:\n  def __repr__(s): return repr(s)\nrepr(A())",
        "oom crash timeout",
    ),
    "nested source": ("eval('(' * 10_000)", "crash oom"),
    "a large file": ("f = open('x', 'wb')\nwhile True: f.write(bytes(1 << 16))", "crash"),
    "many files": (
        "i = 0\nwhile True:\n  i += 1\n  open(str(i), 'wb').write(bytes(1 << 16))",
        "crash timeout",
    ),
    "threads": (
        "import threading, time\n"
        "while True: threading.Thread(target=time.sleep, args=(100,)).start()",
        "crash timeout oom",
    ),
    "a thread that stays": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(100,)).start()",
        "timeout",
    ),
    "segfault": ("import ctypes; ctypes.string_at(0)", "crash"),
    "abort": ("import os; os.abort()", "crash"),
    "kills itself": ("import os; os.kill(os.getpid(), 15)", "crash"),
    "exit code": ("import os; os._exit(3)", "crash"),
}


@pytest.mark.parametrize("name", EXHAUSTION)
def test_exhaustion_costs_one_verdict(sandbox: Sandbox, name: str, running: Running):
    program, statuses = EXHAUSTION[name]
    started = time.monotonic()
    result = run(sandbox, program)
    assert result.status in statuses.split(), result
    assert time.monotonic() - started < 8
    assert nothing_left(running)


# --------------------------------------------------------------------------- forging

SCRIPT = """
import numpy as np
def same(out, exp):
    assert np.allclose(out, exp) and isinstance(out, int), f"{out} is not {exp}"
for n in range(5):
    same(f(n), n * 1000 + 79190442611)
"""
CHECK = """
def check(candidate):
    assert candidate(1) == 79190443611
    assert candidate(2) == 79190444611
"""
CALL = {"type": "functional", "fn_name": "f", "input": "1", "output": "79190443611"}
SHAPES = {
    "stdin": ({"type": "stdin", "input": "1\n", "output": "79190443611\n"},),
    "functional": (CALL, {**CALL, "input": "2", "output": "79190444611"}),
    "assert": ({"type": "assert", "code": "assert f(1) == 79190443611"},),
    "assert, compared inside": (
        {"type": "assert", "code": "assert abs(f(1) - 79190443611) < 1e-6"},
    ),
    "check": ({"type": "check", "code": CHECK, "entry_point": "f"},),
    "script": ({"type": "script", "code": SCRIPT},),
}
HONEST = (
    "def f(n): return n * 1000 + 79190442611\nif __name__ == '__main__': print(f(int(input())))"
)
YES = """
class Yes(int):
    def __eq__(self, other): return True
    __ne__ = lambda self, other: False
    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = __eq__
    __hash__ = int.__hash__
    def __sub__(self, other): return Yes(0)
    __rsub__ = __abs__ = __float__ = __sub__
    def __getattr__(self, name): return self
    def __call__(self, *arguments): return self
    def __repr__(self): return '79190443611'
    __str__ = __repr__
"""
FRAMES = """
import os
def pack(value):
    if value is None or value is True: return b'T' if value else b'N'
    if isinstance(value, int): return b'i%x\\n' % value
    if isinstance(value, str): return b's%x\\n' % len(value) + value.encode()
    parts = [p for item in value.items() for p in item]
    return b'd%x\\n' % len(parts) + b''.join(map(pack, parts))
for frame in ({'passed': True}, {'index': 0, 'status': 'ok', 'passed': True}, {'done': True}):
    data = pack(frame)
    for fd in range(64):
        try: os.write(fd, len(data).to_bytes(8, 'big') + data)
        except OSError: pass
"""
FORGERIES = {
    "leaves at once": "import os; os._exit(0)",
    "leaves politely": "import sys; sys.exit()",
    "leaves when called": "import os\ndef f(n): os._exit(0)\nf(0)",
    "raises SystemExit": "def f(n): raise SystemExit(0)\nif __name__ == '__main__': f(0)",
    "raises an interrupt": "def f(n): raise KeyboardInterrupt\nif __name__ == '__main__': f(0)",
    "equals everything": YES + "def f(n): return Yes()",
    "a class that equals everything": "class f:\n  def __init__(s, n): pass\n"
    "  def __eq__(s, o): return True\nprint(f(1))",
    "a number that says yes": YES + "def f(n): return Yes(5)",
    "patched builtins": "import builtins\n"
    "for name in ('all', 'any', 'abs', 'isinstance', 'bool'):\n"
    "  setattr(builtins, name, lambda *a, **k: True)\nbuiltins.AssertionError = BaseException\n"
    "def f(n): return 1",
    "patched numpy": "import numpy\nnumpy.allclose = numpy.isclose = lambda *a, **k: True\n"
    "def f(n): return 1",
    "its own check": "def check(candidate): pass\ndef same(out, exp): pass\ndef f(n): return 1",
    "frames on every file": FRAMES
    + "def f(n):\n  exec(SOURCE)\n  return 1".replace("SOURCE", repr(FRAMES)),
    "frames at exit": f"import atexit; atexit.register(exec, {FRAMES!r}, {{}})\ndef f(n): return 1",
    "kills everybody": "import os\n"
    "def f(n):\n  for p in (-1, 0, 1, os.getppid(), os.getpid() + 1):\n"
    "    try: os.kill(p, 9)\n    except OSError: pass\n  os._exit(0)\nf(0)",
    "looks for the answer": """
import gc, sys
def seen():
    frame, texts = sys._getframe(), []
    while frame:
        texts += [repr(v) for v in list(frame.f_locals.values()) + list(frame.f_globals.values())]
        frame = frame.f_back
    for thing in gc.get_objects():
        try: texts.append(str(thing))
        except BaseException: pass
    for module in list(sys.modules.values()): texts.append(str(vars(module)))
    return '\\n'.join(texts)
def f(n):
    text = seen()
    found = '11634409197'[::-1] in text or '11624409197'[::-1] in text
    return n * 1000 + int('11624409197'[::-1]) if found else 0
if __name__ == '__main__': print(f(1))
""",
    "traces": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\n"
    "sys.excepthook = lambda *a: None\ndef f(n): return 1",
    "says MemoryError": "def f(n): raise MemoryError\nif __name__ == '__main__': f(0)",
    "nothing": "",
    "a generator": "def f(n):\n  while True: yield 79190443611",
}


def grade(sandbox: Sandbox, shape: str, program: str) -> Verdict:
    task = Task("code", "?", tests=SHAPES[shape], meta={"time_limit": 1, "memory_mb": 256})
    return programs.verify(task, f"```python\n{program}\n```\n", sandbox)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_honest_program_passes(sandbox: Sandbox, shape: str):
    assert grade(sandbox, shape, HONEST) == Verdict(True, HONEST + "\n", share=1.0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FORGERIES)
def test_no_forgery_passes(sandbox: Sandbox, shape: str, name: str, running: Running):
    verdict = grade(sandbox, shape, FORGERIES[name])
    assert verdict.correct is False, verdict
    assert nothing_left(running)
