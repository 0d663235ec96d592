"""Where a training goes on: the newest whole checkpoint, and nothing recorded after it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ttc_rl.run_dir import ArmDir, read_jsonl, sha256, sync, write_json, write_jsonl
from ttc_rl.train.ranks import barrier

logger = logging.getLogger(__name__)

Saved = Callable[[Path, int], None]
"""What is told of a whole checkpoint: its folder and its step."""
COMPLETE = "complete.json"
"""Written into a checkpoint after everything else: without it, the checkpoint was cut by a kill.

It vouches for the other files by their hashes.
"""


def mark_complete(folder: Path, update: int) -> None:
    """Write complete.json, after every other file of the checkpoint is on disk."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sync(path)
        files[path.relative_to(folder).as_posix()] = sha256(path)
    write_json(folder / COMPLETE, {"step": update, "files": files})


class MarkComplete(TrainerCallback):
    """Says of a checkpoint that it is whole, after everything it stands for is on disk."""

    def __init__(self, arm: ArmDir, updates: int = 1, saved: Saved | None = None) -> None:
        self.arm, self.updates, self.saved = arm, updates, saved

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        barrier()  # every rank has written its state of random numbers
        if state.is_world_process_zero:
            sync(self.arm.metrics)  # a checkpoint stands for the steps before it
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            mark_complete(folder, state.global_step)
            if self.saved is not None:
                self.saved(folder, state.global_step // self.updates)


def newest_checkpoint(arm: ArmDir) -> tuple[Path | None, int]:
    """Return the newest checkpoint that was written to its end, and its number in optimiser
    updates.

    Passes over a damaged checkpoint, with a line; returns (None, 0) where there is none.
    """
    for path in sorted(arm.checkpoints.glob(f"checkpoint-*/{COMPLETE}"), key=_update, reverse=True):
        damaged = _damaged(path)
        if damaged is None:
            return path.parent, _update(path)
        logger.warning(
            f"{damaged}: is damaged; training goes on from an older checkpoint, if there is one"
        )
    return None, 0


def _update(complete: Path) -> int:
    return int(complete.parent.name.removeprefix("checkpoint-"))


def _damaged(complete: Path) -> Path | None:
    """Return the first file that differs from what was written; None where no file does."""
    try:
        files = json.loads(complete.read_bytes()).get("files", {})
    except (ValueError, AttributeError):  # cut, or overwritten
        return complete
    for name, digest in files.items():
        path = complete.parent / name
        if not path.is_file() or sha256(path) != digest:
            return path
    return None


def forget_after(arm: ArmDir, checkpoint: Path | None, step: int) -> None:
    """Drop what an interrupted run recorded after the checkpoint: those steps are run again.

    Without a checkpoint that is everything, the look at the model before its first step too.
    """
    last = step if checkpoint else -1
    for path in (arm.metrics, arm.dev, arm.alarms):
        if path.exists():
            write_jsonl(path, [row for row in read_jsonl(path, "step") if row["step"] <= last])
    for path in arm.dev_samples(0).parent.glob("step-*.jsonl"):
        if int(path.name.partition(".")[0].removeprefix("step-")) > step:
            path.unlink()
    for path in arm.best(0).parent.glob("step-*"):
        if path.suffix == ".part" or int(path.name.removeprefix("step-")) > last:
            shutil.rmtree(path)
    for path in arm.rollouts.glob("step-*.parquet"):
        if int(path.name.split("-")[1]) > step:
            path.unlink()
    newest = _update(checkpoint / COMPLETE) if checkpoint else -1
    for path in arm.checkpoints.glob("checkpoint-*"):
        if not (path / COMPLETE).exists() or _update(path / COMPLETE) > newest:
            shutil.rmtree(path)
