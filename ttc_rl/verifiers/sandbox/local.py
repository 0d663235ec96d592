"""No sandbox: limits on time and memory only. Against accidents, not against programs.

Used only when asked for by name, and every verdict says so. Where the kernel can refuse system
calls the driver still does so, but a program reads whatever its user may read.
"""

from __future__ import annotations

from ttc_rl.verifiers.sandbox import process, wire
from ttc_rl.verifiers.sandbox.records import Job, Outcome, Stop
from ttc_rl.verifiers.sandbox.scratch import folder

NAME = "unsafe-local"
FIX = "needs Linux 5.3 or newer"


def run(job: Job, stop: Stop) -> Outcome:
    with folder() as scratch:
        settings = {"scratch": scratch, "seccomp": "wanted", "count_threads": True}
        return process.listen(NAME, wire.command(), wire.orders(job, settings), job, stop)
