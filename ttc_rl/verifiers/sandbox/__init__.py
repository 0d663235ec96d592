"""Running programs that a model wrote: one sandbox for one completion, all its trials inside.

What a program should print or return never enters: results come out and are compared outside.
The sandboxes are tried in the order of `ORDER`; where none works there is an error, never a run
without one. `TTC_RL_SANDBOX` names one of them, or `unsafe-local`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from ttc_rl.schema import UserError
from ttc_rl.verifiers.sandbox import bubblewrap, landlock, local, remote
from ttc_rl.verifiers.sandbox.records import Job, Limits, Outcome, Result, Stop, Trial

__all__ = [
    "BackendStatus", "Job", "Limits", "Outcome", "Result", "Sandbox", "Trial", "default_sandbox",
    "probe", "run",
]  # fmt: skip

VARIABLE = "TTC_RL_SANDBOX"
ORDER: tuple[ModuleType, ...] = (bubblewrap, landlock, remote)
BACKENDS: dict[str, ModuleType] = {module.NAME: module for module in (*ORDER, local)}


@dataclass(frozen=True, slots=True)
class BackendStatus:
    name: str
    works: bool
    why: str
    """What was seen; where it does not work, the message."""
    fix: str
    """What to do; empty where it works."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One of `BACKENDS` by name. `unsafe-local` is no sandbox, and is never chosen for you."""

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in BACKENDS:
            raise UserError(f"no sandbox is called {self.kind!r}; there are {', '.join(BACKENDS)}")

    @property
    def confines(self) -> bool:
        return self.kind != local.NAME

    def run(self, job: Job, stop: Stop = lambda result: False) -> Outcome:
        """Run a job; return results in the order of the trials, up to the first that did not end
        well or `stop`."""
        return BACKENDS[self.kind].run(job, stop)


def run(job: Job, stop: Stop = lambda result: False) -> Outcome:
    return default_sandbox().run(job, stop)


def default_sandbox() -> Sandbox:
    """Return the sandbox that `TTC_RL_SANDBOX` names, else the first that works here."""
    return _chosen(os.environ.get(VARIABLE, ""))


@functools.cache
def _chosen(name: str) -> Sandbox:
    kinds = [Sandbox(name).kind] if name else [module.NAME for module in ORDER]
    reasons = []
    for kind in kinds:
        status = _status(kind)
        if status.works:
            return Sandbox(kind)
        reasons.append(f"\n  {kind}: {status.why}; {status.fix}")
    raise UserError(
        "programs cannot be run safely here, and are not run otherwise. Mend one of these, or set "
        f"{VARIABLE}=unsafe-local to run them unconfined:{''.join(reasons)}"
    )


def probe() -> list[BackendStatus]:
    """Run a real program in each backend of `ORDER`, and return what happened."""
    return [_status(module.NAME) for module in ORDER]


PROBES: tuple[tuple[str, Callable[[Result], bool], str], ...] = (
    ("print(sum(map(int, open(0))))", lambda r: r.output == b"42\n", "a program's output is wrong"),
    ("open('/etc/passwd').read()", lambda r: r.status == "crash", "files outside can be read"),
    ("import socket; socket.socket()", lambda r: r.status == "crash", "sockets can be opened"),
)


def _status(kind: str) -> BackendStatus:
    backend = BACKENDS[kind]
    for program, good, wrong in PROBES if kind in (bubblewrap.NAME, landlock.NAME) else PROBES[:1]:
        outcome = backend.run(Job(program, [Trial("stdin", "40\n2\n")]), lambda result: False)
        if outcome.status != "ok" or not outcome.results:
            return BackendStatus(kind, False, outcome.reason.splitlines()[-1][:300], backend.FIX)
        if not good(outcome.results[0]):
            why = f"{wrong}: {outcome.results[0].message}"
            return BackendStatus(kind, False, why, backend.FIX)
    return BackendStatus(kind, True, "ran a program, kept it from files and network", "")
