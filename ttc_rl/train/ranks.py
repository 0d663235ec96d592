"""Where the ranks of a training wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ttc_rl.system.ranks import is_main, world


def barrier() -> None:
    """Wait until every rank is here; nothing with one rank."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


@contextmanager
def main_first() -> Iterator[None]:
    """Run the block on the main rank, then on the others, which see what the main rank wrote."""
    if world() > 1:
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available())  # opens the process group
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()
