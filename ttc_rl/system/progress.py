"""Progress lines: Python's logging, shown on stderr with the seconds so far."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from ttc_rl.system.printable import Terminal
from ttc_rl.system.ranks import is_main

LOGGERS = ("ttc_rl", "ttc_eval")
_headings: list[str] = []


@contextmanager
def heading(name: str) -> Iterator[None]:
    """Put `NAME: ` before every line while it is open; threads that log meanwhile are included."""
    _headings.append(name)
    try:
        yield
    finally:
        _headings.pop()


def time_left(done: float, total: float, seconds: float) -> str:
    """Return `, 3 min left` where `done` of `total` took so many seconds; nothing at either end."""
    if not 0 < done < total:
        return ""
    left = (total - done) * seconds / done
    return f", {left:.0f} s left" if left < 120 else f", {left / 60:.0f} min left"


class Lines(logging.Handler):
    """Prints one plain line a record on stderr; of several ranks one prints."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.started, self.terminal = time.monotonic(), Terminal(stderr=True)

    def emit(self, record: logging.LogRecord) -> None:
        if is_main():
            seconds = time.monotonic() - self.started
            line = "".join(f"{name}: " for name in _headings) + record.getMessage()
            timed = f"[{seconds:5.0f} s] {line}"
            self.terminal.print(timed, markup=False, soft_wrap=True)


@contextmanager
def handled_by(handler: logging.Handler) -> Iterator[None]:
    """Hand what the tool logs meanwhile to `handler`."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


def shown_progress() -> AbstractContextManager[None]:
    """Show meanwhile what the tool logs; a program that imports it sets up its own logging."""
    return handled_by(Lines())
