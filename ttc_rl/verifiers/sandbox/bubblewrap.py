"""Own namespaces for mounts, processes, network, IPC and host name, through `bwrap`.

The program sees the interpreter and system libraries read-only, five devices and an empty folder
in memory: no /proc, no home, no environment. `/dev/stdin` and `/dev/fd/0` usually lead through
/proc; here they are a file that the driver fills and the program can only read. Needs the Debian
package `bubblewrap`, 0.7 or newer, and, unless run by root, leave to make user namespaces.
"""

from __future__ import annotations

import os
import secrets
import shutil

from ttc_rl.verifiers.sandbox import process, wire
from ttc_rl.verifiers.sandbox.records import Job, Outcome, Stop

NAME = "bubblewrap"
FIX = (
    "install bubblewrap 0.7 or newer (apt install bubblewrap); where it is refused, allow user "
    "namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0; in Docker --security-opt "
    "seccomp=unconfined --cap-add SYS_ADMIN)"
)
SCRATCH = "/scratch"
INPUT = "/dev/fd/0"


def run(job: Job, stop: Stop) -> Outcome:
    program = shutil.which("bwrap")
    if program is None:
        return Outcome((), NAME, "infra_error", "bwrap is not on PATH")
    root = os.geteuid() == 0
    settings = {"scratch": SCRATCH, "bounded": True, "input_file": INPUT}
    settings["uid"] = random_user() if root else None
    command = [program, *_arguments(root, 4 * job.limits.file_mb << 20), "--", *wire.command()]
    return process.listen(NAME, command, wire.orders(job, settings), job, stop)


def random_user() -> int:
    """Return a user nobody is, so that limits on its number of threads count only this sandbox."""
    return (1 << 30) + secrets.randbelow(1 << 30)


def _arguments(root: bool, scratch_bytes: int) -> list[str]:
    parts = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    parts += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if root:
        # Root inside a user namespace would be exempt from RLIMIT_NPROC: the driver changes user.
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_READ_SEARCH"):
            parts += ["--cap-add", capability]
    else:
        parts += ["--unshare-user"]
    for path in wire.readable():
        parts += ["--ro-bind", path, path]
    for device in ("null", "zero", "full", "random", "urandom"):
        parts += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    parts += ["--tmpfs", os.path.dirname(INPUT), "--symlink", INPUT, "/dev/stdin"]
    parts += ["--size", str(scratch_bytes), "--tmpfs", SCRATCH]
    return [*parts, "--remount-ro", "/", "--chdir", SCRATCH]
