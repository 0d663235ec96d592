"""Which packages, Python, commit and machine made a result."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "ttc-rl", "torch", "transformers", "trl", "vllm", "accelerate", "peft", "datasets",
    "sentence-transformers", "mpmath", "numpy", "wandb",
)  # fmt: skip


def versions() -> dict[str, Any]:
    return {
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "git_commit": _git_commit(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Return the commit of the checkout this package runs from; None for an installed one."""
    here = Path(__file__).parents[1]
    command = ["git", "-C", str(here), "log", "-1", "--format=%H", "--", str(here)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def model_fingerprint(model: Path | str) -> str:
    """Return what identifies the weights: for a folder a hash of the size and the ends of each
    weight file; else the id.

    Not covered: weights that differ only in the middle of a large file.
    """
    folder = Path(model)
    if not folder.is_dir():
        return str(model)
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]):
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(0, size - _ENDS))
            digest.update(file.read(_ENDS))
    return digest.hexdigest()[:16]


_ENDS = 1 << 20
