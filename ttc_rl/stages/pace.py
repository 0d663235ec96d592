"""How far a drawing is, how fast it goes, and how long it still takes."""

from __future__ import annotations

import logging
import time

from ttc_rl.system.progress import time_left

logger = logging.getLogger(__name__)


class Pace:
    """A line of the log every few seconds, of how many `units` are done for `what`."""

    def __init__(self, what: str, every: float = 5.0, units: str = "completions") -> None:
        self.what, self.every, self.units = what, every, units
        self.began = self.last = time.monotonic()
        self.before: int | None = None

    def __call__(self, done: int, total: int, tokens: int) -> None:
        now = time.monotonic()
        if self.before is None:
            self.before = done
        if now - self.last < self.every:
            return
        self.last = now
        line = pace_line(done, total, tokens, now - self.began, self.before, self.units)
        logger.info(f"{self.what}: {line}")


def pace_line(
    done: int,
    total: int,
    tokens: int,
    seconds: float,
    before: int = 0,
    units: str = "completions",
) -> str:
    """Return such as `320 of 960 completions, 1,240 tokens/s, 3 min left`. Of `done`, `before` were
    there at the start."""
    line = f"{done:,} of {total:,} {units}"
    if tokens:
        line += f", {tokens / seconds:,.0f} tokens/s"
    return line + time_left(done - before, total - before, seconds)
