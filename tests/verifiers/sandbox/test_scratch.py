"""What a program may write: a few megabytes, nowhere but in its folder, and nothing stays."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ttc_rl.schema import UserError
from ttc_rl.verifiers.sandbox import Job, Limits, Result, Sandbox, Trial, scratch, wire

LIMITS = Limits(seconds=2, memory_mb=256, file_mb=1)
MOST = 4 << 20
COUNT = """
import errno, mmap, os
total = 0
def note(size):
    global total
    total += size
    if total > 64 << 20:  # enough to show it
        print(total)
        raise SystemExit
def attempt(step):
    for n in range(2000):
        try: step(n)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EPERM, errno.EACCES, errno.EINVAL): raise
            break
"""
FILLS = {
    "many files": """
def step(n):
    with open(f"f{n}", "wb", 0) as file: note(file.write(bytes(1 << 20)))
""",
    "open files without a name": """
kept = []
def step(n):
    kept.append(os.open(f"f{n}", os.O_RDWR | os.O_CREAT))
    os.unlink(f"f{n}")
    note(os.write(kept[-1], bytes(1 << 20)))
""",
    "mapped files without a name": """
kept = []
def step(n):
    fd = os.open(f"f{n}", os.O_RDWR | os.O_CREAT)
    os.unlink(f"f{n}")
    note(os.write(fd, bytes(1 << 20)))
    kept.append(mmap.mmap(fd, 4096))
    os.close(fd)
""",
    "files that never had a name": """
kept = []
def step(n):
    kept.append(os.open(".", os.O_RDWR | os.O_TMPFILE))
    note(os.write(kept[-1], bytes(1 << 20)))
""",
    "a folder that shows nothing": """
try:
    os.mkdir("hidden", 0o333)
    os.chdir("hidden")
except OSError: pass
def step(n):
    with open(f"f{n}", "wb", 0) as file: note(file.write(bytes(1 << 20)))
""",
    "space asked for": """
kept = []
def step(n):
    kept.append(os.open(f"f{n}", os.O_RDWR | os.O_CREAT))
    os.unlink(f"f{n}")
    os.posix_fallocate(kept[-1], 0, 1 << 20)
    note(1 << 20)
""",
}


def run(sandbox: Sandbox, program: str) -> Result:
    outcome = sandbox.run(Job(program, [Trial("stdin")], limits=LIMITS))
    assert outcome.status == "ok", outcome.reason
    return outcome.results[0]


@pytest.mark.parametrize("name", FILLS)
def test_no_way_to_write_takes_more_than_the_limit(sandbox: Sandbox, name: str):
    program = f"{COUNT}{FILLS[name]}\nattempt(step)\nprint(total)"
    result = run(sandbox, program)
    if result.status == "ok":
        assert int(result.output) <= MOST
    else:  # it was ended because its folder was full
        assert "too much written" in result.message


def test_empty_files_are_counted_too(sandbox: Sandbox):
    program = "for n in range(100_000): open(str(n), 'w').close()\nprint('all')"
    assert run(sandbox, program).output != b"all\n"


@pytest.fixture
def nothing_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where neither root nor a user namespace may mount anything."""
    refused = "package.confine._own_scratch = lambda settings: False\npackage.driver.main()"
    monkeypatch.setattr(wire, "START", wire.START.replace("package.driver.main()", refused))


@pytest.mark.usefixtures("nothing_mounted")
@pytest.mark.parametrize("name", FILLS)
def test_without_a_mount_nothing_is_written(name: str):
    sandbox = Sandbox("landlock")
    if not sandbox.run(Job("", [Trial("stdin")])).results:
        pytest.skip("no Landlock here")
    result = run(sandbox, f"{COUNT}{FILLS[name]}\nattempt(step)\nprint(total)")
    assert (result.status, result.output) == ("ok", b"0\n"), result.message
    assert os.listdir(scratch.mount_point()) == []
    assert run(sandbox, "print(sum(map(int, '1 2'.split())))").output == b"3\n"


def test_a_program_leaves_no_folder(sandbox: Sandbox):
    before = set(Path(tempfile.gettempdir()).glob("ttc-rl-*"))
    run(sandbox, "open('x', 'w').write('x')")
    left = set(Path(tempfile.gettempdir()).glob("ttc-rl-*")) - before
    assert left <= {Path(scratch.mount_point())}
    assert os.listdir(scratch.mount_point()) == []
    assert os.stat(scratch.mount_point()).st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / f"ttc-rl-scratch-{os.geteuid()}").symlink_to("/")
    with pytest.raises(UserError, match="should be a folder of yours"):
        scratch.mount_point()


KILLED = """
import sys
from ttc_rl.verifiers.sandbox import Job, Sandbox, Trial
print("begun", flush=True)
Sandbox(sys.argv[1]).run(Job("import time; time.sleep(60)", [Trial("stdin", seconds=60)]))
"""


@pytest.mark.parametrize("kind", ["landlock", "bubblewrap", "unsafe-local"])
def test_a_killed_grader_leaves_nothing(kind: str, tmp_path: Path):
    if kind == "bubblewrap" and not shutil.which("bwrap"):
        pytest.skip("no bubblewrap here")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", KILLED, kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as grader:
        assert grader.stdout is not None
        grader.stdout.readline()
        time.sleep(1.5)
        grader.send_signal(signal.SIGKILL)
    time.sleep(0.5)
    next_one = "from ttc_rl.verifiers.sandbox import Job, Sandbox, Trial\nimport sys\n"
    next_one += "print(Sandbox(sys.argv[1]).run(Job('', [Trial('stdin')])).status)"
    subprocess.run([sys.executable, "-c", next_one, kind], env=environment, check=True)
    left = [path for path in tmp_path.iterdir() if path.name != f"ttc-rl-scratch-{os.geteuid()}"]
    assert left == []


# --------------------------------------------------------------------------- without root

CLEAN = {"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[3])}
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
UNPRIVILEGED = """
import sys
from ttc_rl.verifiers.sandbox import Job, Limits, Sandbox, Trial
for program in sys.argv[2:]:
    job = Job(program, [Trial("stdin")], limits=Limits(seconds=2, memory_mb=256, file_mb=1))
    outcome = Sandbox(sys.argv[1]).run(job)
    print(outcome.status, outcome.reason, *(r.status + " " + r.output.decode() + r.message
          for r in outcome.results))
"""


def nobodys_python() -> str | None:
    """An interpreter that a user without rights may start; root's own often lives in /root."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return None
    for python in (sys.executable, "/usr/bin/python3"):
        code = "from ttc_rl.verifiers.sandbox import wire; wire.readable()"
        command = [*NOBODY, python, "-c", code]
        if Path(python).exists() and not subprocess.run(command, env=CLEAN, cwd="/").returncode:
            return python
    return None


def test_a_user_without_rights_is_kept_in_as_root_is(sandbox: Sandbox):
    python = nobodys_python()
    if python is None:
        pytest.skip("no root, no setpriv, or no interpreter that others may start")
    attacks = [f"{COUNT}{step}\nattempt(step)\nprint(total <= {MOST})" for step in FILLS.values()]
    attacks += [
        f"import os, fcntl\ntry: {line}\nexcept OSError: print(True)"
        for line in (
            "os.setpriority(os.PRIO_USER, os.getuid(), 19)",
            "os.sched_setaffinity(os.getppid(), {0})",
            "os.sched_setscheduler(os.getppid(), os.SCHED_BATCH, os.sched_param(0))",
            "os.kill(os.getppid(), 9)",
            "os.setuid(0)",
            "open('/etc/passwd').read()",
            "fcntl.flock(open(os.__file__), fcntl.LOCK_SH)",
        )
    ]
    command = [*NOBODY, python, "-c", UNPRIVILEGED, sandbox.kind, *attacks]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=CLEAN, timeout=120)
    lines = [line for line in done.stdout.splitlines() if line]
    assert len(lines) == len(attacks), done.stderr
    for attack, line in zip(attacks, lines, strict=True):
        assert "ok True" in line or "too much written" in line, (attack[-200:], line)
