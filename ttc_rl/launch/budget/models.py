"""How large a model is, from its config.json or the table of models in our recipes; no weights."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ttc_rl.config import ModelConfig, PretrainConfig
from ttc_rl.schema import UserError

# h hidden, m MLP width, a heads, k key-value heads, d head size, V vocabulary, L layers.
KEYS = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "mlp": "intermediate_size",
    "heads": "num_attention_heads",
    "vocabulary": "vocab_size",
}
"""Our name -> key of a config.json."""
TINY_VOCABULARY = 128
"""Assumed of a model that is trained from scratch: its tokenizer is made of its tasks."""


@dataclass(frozen=True)
class ModelShape:
    layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    head_norm: bool = True
    """Norms of queries and keys, one of size d each a layer: Qwen3 has them."""

    @property
    def parameters(self) -> int:
        """Return V h (1 if tied else 2) + h + L (2 h a d + 2 h k d + 3 h m + 2 h [+ 2 d])."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        norms = 2 * self.hidden + (2 * self.head_dim if self.head_norm else 0)
        layer = attention + 3 * self.hidden * self.mlp + norms
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.hidden + self.layers * layer

    @property
    def cache_bytes(self) -> int:
        """Return the bytes of one token's keys and values in bf16: 2 (K, V) x 2 bytes x L k d."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_dim


def shape_of(model: ModelConfig) -> ModelShape:
    """Return the shape of a model. Raises UserError where neither a local config.json nor the table
    knows it."""
    if model.pretrain is not None:
        return _tiny(model.pretrain)
    assert model.path is not None
    config = Path(model.path).expanduser() / "config.json"
    if config.exists():
        return _from_config(json.loads(config.read_text()), config)
    if model.path in known_models():
        return ModelShape(**known_models()[model.path])
    raise UserError(
        f"model: the shape of {model.path} is not known here; name a local folder with its "
        f"config.json, or one of {', '.join(known_models())}"
    )


@functools.cache
def known_models() -> Mapping[str, Mapping[str, Any]]:
    return _table("models.yaml")


def _table(name: str) -> Mapping[str, Mapping[str, Any]]:
    from ruamel.yaml import YAML

    text = resources.files("ttc_rl.launch.budget").joinpath(name).read_text("utf-8")
    return YAML(typ="safe", pure=True).load(text)


def _from_config(config: Mapping[str, Any], where: Path) -> ModelShape:
    missing = [key for key in KEYS.values() if key not in config]
    if missing:
        raise UserError(f"{where}: has no {missing[0]}; only plain decoders can be planned")
    if config.get("num_experts") or config.get("num_local_experts"):
        raise UserError(f"{where}: a mixture of experts; only dense decoders can be planned")
    ours = {name: config[key] for name, key in KEYS.items()}
    return ModelShape(
        **ours,
        kv_heads=config.get("num_key_value_heads") or ours["heads"],
        head_dim=config.get("head_dim") or ours["hidden"] // ours["heads"],
        tied=config.get("tie_word_embeddings", True),  # left out where it is the default
        head_norm=config.get("model_type", "qwen3") == "qwen3",
    )


def _tiny(config: PretrainConfig) -> ModelShape:
    """Return the Qwen3 architecture of ttc_rl/train/tiny_model.py."""
    return ModelShape(
        layers=config.layers,
        hidden=config.hidden,
        mlp=config.mlp,
        heads=config.heads,
        kv_heads=config.heads,
        head_dim=config.hidden // config.heads,
        vocabulary=TINY_VOCABULARY,
        tied=True,
    )


# --------------------------------------------------------------------------- GPUs


@dataclass(frozen=True)
class Gpu:
    flops: float
    """Peak dense bf16 FLOP/s."""
    memory_gb: int
    bandwidth: float
    """Bytes a second, between the GPU and its memory."""
    source: str


@functools.cache
def known_gpus() -> Mapping[str, Gpu]:
    return {name: Gpu(**entry) for name, entry in _table("gpus.yaml").items()}


def gpu(name: str) -> Gpu:
    if name not in known_gpus():
        raise UserError(f"--gpu {name}: not known; one of {', '.join(known_gpus())}")
    return known_gpus()[name]
