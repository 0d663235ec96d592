"""What training changed, as a small file: lossless in bfloat16.

At the learning rates of reinforcement learning most weights are the same bfloat16 number before and
after (arXiv 2505.11711), so that many specialised models fit where one does. For each tensor that
changed, PATCH.safetensors holds

    NAME.gaps     uint8: how far each changed number lies behind the one before; 255 only moves on
    NAME.values   bfloat16: the numbers there
    NAME.whole    bfloat16: the tensor itself, where that is smaller

and, as metadata, which base it belongs to. Applied to that base it gives the model cast to
bfloat16, to the bit. Not covered: the float32 weights that training held, of which bfloat16 keeps
eight bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ttc_rl.run_dir import follow_umask, read_json, write_json
from ttc_rl.schema import UserError
from ttc_rl.system.versions import model_fingerprint

FORMAT = "ttc-rl patch 1"
"""The one key of the metadata (with two, their order, and so the bytes, would be chance)."""
TIED = "lm_head.weight"
STEP = 255
"""The longest gap; also the mark of a gap that ends at no change."""


@dataclass(frozen=True)
class Change:
    weights: int
    changed: int
    """Numbers that differ in bfloat16."""
    bytes: int
    """Of the patch; the model itself has two a weight."""


def make_patch(base: Path, model: Path, out: Path) -> Change:
    """Write what `model` has that `base` has not. Raises UserError for models of other shapes."""
    tensors: dict[str, torch.Tensor] = {}
    weights = changed = 0
    before, after = dict(tensors_in(base)), dict(tensors_in(model))
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())[0]
        raise UserError(f"{model}: was not trained from {base}: only one of them has {odd}")
    for name, old_file in before.items():
        old, new = _load(old_file, name), _load(after[name], name)
        if old.shape != new.shape:
            raise UserError(f"{model}: {name} is {tuple(new.shape)}, in {base} {tuple(old.shape)}")
        weights += new.numel()
        differs = (old.view(torch.int16) != new.view(torch.int16)).flatten().numpy()
        places = np.flatnonzero(differs)
        changed += len(places)
        if not len(places):
            continue
        gaps = gaps_of(places)
        if len(gaps) + 2 * len(places) < 2 * new.numel():
            tensors[f"{name}.gaps"] = torch.from_numpy(gaps)
            tensors[f"{name}.values"] = new.flatten()[torch.from_numpy(places)]
        else:
            tensors[f"{name}.whole"] = new
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f"{out.name}.part")
    save_file(tensors, beside, {FORMAT: model_fingerprint(base)})
    follow_umask(beside)
    beside.replace(out)
    return Change(weights, changed, out.stat().st_size)


def apply_patch(base: Path, patch: Path, out: Path) -> None:
    """Write a model folder: the base in bfloat16, changed, with all the base's other files.

    Raises UserError where the patch is another base's.
    """
    with safe_open(patch, "pt") as file:
        fingerprint = (file.metadata() or {}).get(FORMAT)
        if fingerprint != model_fingerprint(base):
            raise UserError(f"{patch}: belongs to weights {fingerprint}, not to {base}")
        keys = set(file.keys())
        tensors: dict[str, torch.Tensor] = {}
        for name, path in tensors_in(base):
            if f"{name}.whole" in keys:
                tensors[name] = file.get_tensor(f"{name}.whole")
                continue
            tensors[name] = _load(path, name)
            if f"{name}.gaps" in keys:
                places = torch.from_numpy(places_of(file.get_tensor(f"{name}.gaps").numpy()))
                tensors[name].flatten()[places] = file.get_tensor(f"{name}.values")
    out.mkdir(parents=True)
    for path in base.iterdir():
        if path.is_file() and not path.name.startswith(("model", "pytorch_model")):
            shutil.copy(path, out / path.name)
    config = read_json(base / "config.json")
    write_json(out / "config.json", config | {"dtype": "bfloat16"})
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    follow_umask(out)


def changed_values(patch: Path) -> dict[str, tuple[torch.Tensor | None, torch.Tensor]]:
    """Return, for each weight that the patch changes, the flat places (None: all) and their
    values."""
    places_of_name = places_in(patch)
    with safe_open(patch, "pt") as file:
        return {
            name: (places, file.get_tensor(f"{name}.{'whole' if places is None else 'values'}"))
            for name, places in places_of_name.items()
        }


def places_in(patch: Path) -> dict[str, torch.Tensor | None]:
    """Return, for each weight that the patch changes, the flat places of the numbers; None for all
    of them.

    Raises UserError where the file is no patch.
    """
    places: dict[str, torch.Tensor | None] = {}
    try:
        file = safe_open(patch, "pt")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{patch}: no file of `ttc-rl patch` ({error})") from None
    with file:
        for key in file.keys():  # noqa: SIM118  no mapping
            name, _, what = key.rpartition(".")
            if what == "gaps":
                places[name] = torch.from_numpy(places_of(file.get_tensor(key).numpy()))
            elif what == "whole":
                places[name] = None
    if not places:
        raise UserError(f"{patch}: holds no change; `ttc-rl patch BASE MODEL {patch}` makes one")
    return places


def gaps_of(places: np.ndarray) -> np.ndarray:
    """Return ascending positions as bytes: a position is the sum of all bytes up to its own, plus
    one for each position before; 255 adds 255 and is no position."""
    gaps = np.diff(places, prepend=-1) - 1
    fillers = gaps // STEP
    ends = np.cumsum(fillers + 1) - 1
    steps = np.full(ends[-1] + 1 if len(ends) else 0, STEP, dtype=np.uint8)
    steps[ends] = gaps % STEP
    return steps


def places_of(gaps: np.ndarray) -> np.ndarray:
    """Return the positions that `gaps_of` packed."""
    steps = gaps.astype(np.int64)
    is_place = steps < STEP
    return (np.cumsum(steps + is_place) - 1)[is_place]


def tensors_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and file of every tensor of a model folder, by name."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder}: holds no .safetensors")
    file_of: dict[str, Path] = {}
    for path in files:
        with safe_open(path, "pt") as file:
            file_of |= dict.fromkeys(file.keys(), path)
    if read_json(folder / "config.json").get("tie_word_embeddings"):
        file_of.pop(TIED, None)  # FSDP writes it, others do not
    yield from sorted(file_of.items())


def _load(path: Path, name: str) -> torch.Tensor:
    with safe_open(path, "pt") as file:
        return file.get_tensor(name).to(torch.bfloat16).contiguous()
