"""What goes into a sandbox and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ttc_rl.schema import Status


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one trial, where it says nothing else."""

    seconds: float = 6.0
    """Processor time. A program may wait for `IDLE_FACTOR` times as long; on a busy machine it has
    `CLOCK_FACTOR` times as long by the clock, after which nothing is said about it."""
    memory_mb: int = 1024
    """Beyond what the interpreter takes."""
    output_mb: int = 16
    """Everything a trial prints or returns."""
    file_mb: int = 16
    """One file; four times as much in all."""
    threads: int = 64
    """There are no other processes."""


IDLE_FACTOR = 2.0
CLOCK_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the program.

    `stdin`: as a script that reads `text`; what it prints comes back.
    `value`: as a module in which the expression `text` is evaluated, and called with `arguments`
    where there are any; its value comes back.
    `script`: `secret` is test code, run in another process in which the program's functions are
    stand-ins; where `text` names a function, `check(function)` is called at the end. `arguments`
    are names that belong to the program although a builtin has them too.
    """

    kind: Literal["stdin", "value", "script"]
    text: str = ""
    arguments: Sequence[Any] | None = None
    secret: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One completion's program and all that is tried with it, each in a fresh process."""

    program: str
    trials: Sequence[Trial]
    preamble: str = ""
    """Runs before the program, and before a script trial's test code."""
    setup: str = ""
    """Runs after the program, in `value` and `script` trials."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Result:
    """Of one trial. All of it may be read outside; none of it can be forged inside."""

    index: int
    status: Status
    output: bytes = b""
    """What was printed (`stdin`)."""
    value: Any = None
    """A plain value (`value`), where `status` is `ok` and `raised` is empty."""
    raised: str = ""
    """The exception that came instead of a value."""
    passed: bool | None = None
    """Of a `script`; None where its test cannot be run."""
    message: str = ""
    cpu: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sandbox saw. `infra_error`: nothing can be said about the program."""

    results: tuple[Result, ...]
    sandbox: str
    status: Literal["ok", "infra_error"] = "ok"
    reason: str = ""


Stop = Callable[[Result], bool]
"""True where nothing after this result can matter: the rest is not run."""
