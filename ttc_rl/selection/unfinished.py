"""The picks of a selection that a kill may interrupt: noted every few seconds, gone at its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Self

from ttc_rl.run_dir import ArmDir, read_json, write_json
from ttc_rl.schema import content_hash
from ttc_rl.system.progress import time_left

logger = logging.getLogger(__name__)

SECONDS = 5.0
"""Between two notes, and between two lines of progress."""


class Unfinished:
    """`with Unfinished(...) as unfinished:` what was picked before, and who notes what is picked.

    `asked` is everything that the picks depend on; picks of another question are not gone on with.
    """

    def __init__(self, folder: ArmDir, question: Any) -> None:
        self.path, self.question = folder.unfinished, content_hash(question)
        self.picks: list[int] = []
        if self.path.exists():
            noted = read_json(self.path)
            self.picks = noted["picks"] if noted["question"] == self.question else []

    def progress(self, name: str, size: int) -> Callable[[list[int]], None]:
        began = last = time.monotonic()
        before = len(self.picks)
        if self.picks:
            logger.info(f"{name}: selection goes on after {len(self.picks):,} tasks")

        def note(picks: list[int]) -> None:
            nonlocal last
            if time.monotonic() - last < SECONDS:
                return
            write_json(self.path, {"question": self.question, "picks": picks})
            left = time_left(len(picks) - before, size - before, time.monotonic() - began)
            logger.info(f"{name}: {len(picks):,} of {size:,} tasks selected{left}")
            last = time.monotonic()

        return note

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.path.unlink(missing_ok=True)
