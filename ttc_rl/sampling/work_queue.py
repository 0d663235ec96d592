"""Work that several processes share through a folder that all of them see.

    QUEUE/plan.json          what is asked, so that nobody joins another evaluation
          leases/UNIT        who works on a unit; touched while he does
          done/UNIT.jsonl    its rows, put there whole, once

A unit is claimed by creating its lease, which only one process can. A lease that nobody touched for
`patience` seconds is taken over: its process is thought dead. Where it was only slow, two draw the
same unit, with the same seeds, and the one that ends first is kept: nothing counts twice. Ages are
measured by the clock of the shared folder, not by those of the machines.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from ttc_rl.run_dir import read_json, write_json, write_jsonl
from ttc_rl.schema import UserError

PATIENCE = 60.0
"""Seconds without a sign of life after which a worker's units are given to others."""


@dataclass(frozen=True)
class Unit:
    """Samples `first` to `first + count - 1` of tasks `start` to `stop - 1`."""

    start: int
    stop: int
    first: int
    count: int

    @property
    def name(self) -> str:
        return f"{self.first:06d}-{self.start:06d}"

    @property
    def size(self) -> int:
        return (self.stop - self.start) * self.count


def units(num_tasks: int, samples: int, size: int) -> list[Unit]:
    """Cut into units of at most `size` samples: whole tasks, or even parts of one that has more."""
    count = -(-samples // -(-samples // size))
    tasks = max(1, size // samples)
    return [
        Unit(start, min(start + tasks, num_tasks), first, min(count, samples - first))
        for first in range(0, samples, count)
        for start in range(0, num_tasks, tasks)
    ]


class Queue:
    """One evaluation's units. `question` is what the folder was begun for."""

    def __init__(
        self,
        folder: Path,
        cut: Sequence[Unit],
        question: dict[str, Any],
        *,
        patience: float = PATIENCE,
        workers: int = 1,
    ) -> None:
        self.folder, self.patience, self.workers = folder, patience, workers
        self.units = {unit.name: unit for unit in cut}
        self.me = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
        for part in ("leases", "done", "clocks"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self._same_plan({"asked": question, "units": list(self.units)})

    def _same_plan(self, plan: dict[str, Any]) -> None:
        """Write the plan, or compare it with the one that is there. A link is made by one process
        only."""
        path, mine = self.folder / "plan.json", self.folder / f"plan.{self.me}.json"
        write_json(mine, plan)
        try:
            os.link(mine, path)
        except FileExistsError:
            if read_json(path) != read_json(mine):
                raise UserError(
                    f"{path}: was begun for another evaluation; let that one end, or delete "
                    f"{self.folder}"
                ) from None
        finally:
            mine.unlink()

    # ----------------------------------------------------------------------- claiming

    def open_units(self) -> list[Unit]:
        """Return the units without rows, in order."""
        done = {path.stem for path in (self.folder / "done").glob("*.jsonl")}
        return [unit for name, unit in self.units.items() if name not in done]

    def claim(self, most: int) -> list[Unit]:
        """Free units of at most `most` samples together, of one sample range; none where others
        hold all that is left.

        A worker takes half of its fair share of what is left, so that all end at about one time.
        """
        units_left, now = self.open_units(), self._now()
        held = {path.name: path for path in (self.folder / "leases").iterdir()}
        owners = {name: self.owner(path) for name, path in held.items()}
        fair = len(units_left) / (2 * max(self.workers, len(set(owners.values()) | {self.me})))
        mine: list[Unit] = []
        for unit in units_left:
            if mine and (
                len(mine) >= fair
                or sum(u.size for u in mine) + unit.size > most
                or unit.first != mine[0].first
            ):
                break
            if unit.name in held and not self._take_over(held[unit.name], now):
                continue
            if self._lease(unit):
                mine.append(unit)
        return [unit for unit in mine if not self._done_meanwhile(unit)]

    def _lease(self, unit: Unit) -> bool:
        try:
            with (self.folder / "leases" / unit.name).open("x") as file:
                file.write(self.me)
        except FileExistsError:
            return False
        return True

    def _done_meanwhile(self, unit: Unit) -> bool:
        done = (self.folder / "done" / f"{unit.name}.jsonl").exists()
        if done:
            (self.folder / "leases" / unit.name).unlink(missing_ok=True)
        return done

    def _take_over(self, lease: Path, now: float) -> bool:
        """Remove the lease of a worker that gives no sign of life; True where it is free now."""
        try:
            if now - lease.stat().st_mtime <= self.patience:
                return False
            dead = lease.with_name(f"{lease.name}.{self.me}.dead")
            lease.rename(dead)
            dead.unlink()
        except FileNotFoundError:  # somebody else was faster
            return False
        return True

    def owner(self, lease: Path) -> str:
        try:
            return lease.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _now(self) -> float:
        clock = self.folder / "clocks" / self.me
        clock.touch()
        return clock.stat().st_mtime

    # ----------------------------------------------------------------------- working

    def keep_alive(self, mine: Sequence[Unit]) -> _Heart:
        """Keep leases alive: `with queue.keep_alive(units):` touches them until it ends, then frees
        them."""
        return _Heart(self, [self.folder / "leases" / unit.name for unit in mine])

    def finish(self, unit: Unit, rows: Sequence[dict[str, Any]]) -> bool:
        """Put the rows of a unit there; False where another worker was faster."""
        path = self.folder / "done" / f"{unit.name}.jsonl"
        beside = path.with_suffix(f".{self.me}.part")
        write_jsonl(beside, rows)
        try:
            os.link(beside, path)
        except FileExistsError:
            return False
        finally:
            beside.unlink()
        return True

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of all finished units, by unit."""
        for name in self.units:
            path = self.folder / "done" / f"{name}.jsonl"
            if path.exists():
                with path.open() as file:
                    yield from map(json.loads, file)


class _Heart:
    def __init__(self, queue: Queue, leases: Sequence[Path]) -> None:
        self.queue, self.leases = queue, leases
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        while not self.ended.wait(self.queue.patience / 6):
            for lease in self.leases:
                try:
                    os.utime(lease)
                except FileNotFoundError:  # finished, or taken over
                    continue

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        for lease in self.leases:
            if self.queue.owner(lease) == self.queue.me:
                lease.unlink(missing_ok=True)
