"""Landlock, seccomp and rlimits that the driver puts on itself: no package, no privilege needed.

Needs Linux 5.13 with Landlock switched on; network is closed by seccomp on every version. Weaker
than namespaces in one thing: a program can find out that a file exists, though not read it. What
it writes goes to a small file system in memory; where none may be mounted, it writes no file.
"""

from __future__ import annotations

import os

from ttc_rl.verifiers.sandbox import process, wire
from ttc_rl.verifiers.sandbox.bubblewrap import random_user
from ttc_rl.verifiers.sandbox.records import Job, Outcome, Stop
from ttc_rl.verifiers.sandbox.scratch import mount_point

NAME = "landlock"
FIX = "use Linux 5.13 or newer on x86-64 or arm64, with landlock in /sys/kernel/security/lsm"


def run(job: Job, stop: Stop) -> Outcome:
    root = os.geteuid() == 0
    settings = {
        "scratch": mount_point(),
        "landlock": True,
        "read": wire.readable(),
        "uid": random_user() if root else None,
        "count_threads": not root,
    }
    return process.listen(NAME, wire.command(), wire.orders(job, settings), job, stop)
