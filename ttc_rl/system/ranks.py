"""Which of a launch's processes this one is: accelerate and torchrun say it in the environment.

Only training runs on several. One rank, the main one, writes what all share and says what there is
to say; rollouts are written by each rank in files of its own.
"""

from __future__ import annotations

import os

from ttc_rl.schema import UserError


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    return rank() == 0


def alone(stage: str) -> None:
    """Raise UserError where a stage that one process does was started on several."""
    if world() > 1:
        raise UserError(
            f"{stage}: runs in one process, but {world()} were started; `ttc-rl launch RECIPE` "
            "starts several for training alone"
        )
