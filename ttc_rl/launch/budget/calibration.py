"""What a step of an arm takes on this machine, where `ttc-rl plan --calibrate` has measured it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ttc_rl.config import Recipe
from ttc_rl.run_dir import cache_dir, read_json, write_json
from ttc_rl.schema import content_hash


@dataclass(frozen=True)
class Measured:
    """One step of an arm on this machine."""

    seconds: float
    tokens: float | None
    """Of its prompts and completions, where the method counts them."""
    peak_gb: float | None
    """Of the GPU; None without one."""
    machine: str

    def time(self, steps: int) -> str:
        """Return what so many steps take, in seconds or hours."""
        seconds = self.seconds * steps
        return f"{seconds:,.0f} seconds" if seconds < 1000 else f"{seconds / 3600:,.1f} hours"


def machine() -> str:
    """Return what this machine computes with, and by which torch."""
    import torch

    if torch.cuda.is_available():
        device = f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    else:
        device = f"{torch.get_num_threads()} threads of {platform.machine()}, "
        device += torch.backends.cpu.get_cpu_capability()
    return f"{device}, torch {metadata.version('torch')}"


def keep(arm: Recipe, measured: Measured) -> None:
    """Keep what was measured, where `calibrated` finds it."""
    write_json(_kept(arm), asdict(measured))


def calibrated(arm: Recipe) -> Measured | None:
    """Return what was measured of an arm on this machine; None where nothing was."""
    if find_spec("torch") is None:  # a plan needs none
        return None
    path = _kept(arm)
    return Measured(**read_json(path)) if path.exists() else None


def same_step(arm: Recipe, other: Recipe) -> bool:
    """Return whether a step of two arms takes the same."""
    return _kept(arm) == _kept(other)


def _kept(arm: Recipe) -> Path:
    """Return the file of an arm's measurement: by what a step takes, not by how many there are."""
    asked = arm.model_dump(mode="json", include={"model", "train", "prompts", "corpus"})
    for key in ("epochs", "dev", "keep", "stop", "save_steps", "curriculum"):
        asked["train"].pop(key)
    key = content_hash([platform.node(), metadata.version("torch"), asked])
    return cache_dir() / "calibrations" / f"{key}.json"
