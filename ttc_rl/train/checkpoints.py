"""Where a training goes on: the newest whole checkpoint, and nothing recorded after it."""

from __future__ import annotations

import shutil
from pathlib import Path

from ttc_rl.run_dir import ArmDir, read_jsonl, write_jsonl

COMPLETE = "complete.json"
"""Written into a checkpoint after everything else: without it, the checkpoint was cut by a kill."""


def newest_checkpoint(arm: ArmDir) -> tuple[Path | None, int]:
    """The newest checkpoint that was written to its end, and its number: optimiser updates."""
    found = {
        int(path.parent.name.removeprefix("checkpoint-")): path.parent
        for path in arm.checkpoints.glob(f"checkpoint-*/{COMPLETE}")
    }
    return (found[max(found)], max(found)) if found else (None, 0)


def forget_after(arm: ArmDir, step: int) -> None:
    """Drop what an interrupted run recorded after the checkpoint: those steps are run again."""
    if arm.metrics.exists():
        write_jsonl(arm.metrics, [row for row in read_jsonl(arm.metrics) if row["step"] <= step])
    for path in (arm.dev, arm.alarms):
        if path.exists():
            write_jsonl(path, [row for row in read_jsonl(path) if row["step"] <= step])
    for path in arm.dev_samples(0).parent.glob("step-*.jsonl"):
        if int(path.name.partition(".")[0].removeprefix("step-")) > step:
            path.unlink()
    for path in arm.rollouts.glob("step-*.parquet"):
        if int(path.name.split("-")[1]) > step:
            path.unlink()
    for path in arm.checkpoints.glob("checkpoint-*"):
        if not (path / COMPLETE).exists():
            shutil.rmtree(path)
