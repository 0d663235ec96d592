"""How large a model is, from its config.json or the table of models in our recipes; no weights."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ttc_rl.config import ModelConfig, PretrainConfig
from ttc_rl.schema import UserError

# h hidden, m MLP width, a heads, k key-value heads, d head size, V vocabulary, L layers, e experts.
KEYS = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "mlp": ("moe_intermediate_size", "intermediate_size", "n_inner", "ffn_dim"),
    "heads": ("num_attention_heads", "n_head"),
    "vocabulary": ("vocab_size",),
}
"""Our name -> the key of a config.json, by families."""
EXPERTS = "num_experts", "num_local_experts", "n_routed_experts"
BY_FORMULA = "llama", "mistral", "qwen3"
"""Model types whose parameters the formula counts one for one."""
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
    experts: int = 1
    """MLPs of a layer, of which a token passes through `used`."""
    used: int = 1
    counted: int | None = None
    """Parameters of transformers' own model of that config, where the formula is not exact."""
    exact: bool = True

    @property
    def active(self) -> int:
        """Return the parameters that one token passes through: all but the other experts'."""
        unused = self.layers * (self.experts - self.used)
        return self.parameters - unused * 3 * self.hidden * self.mlp

    @property
    def parameters(self) -> int:
        """Return V h (1 if tied else 2) + h + L (2 h a d + 2 h k d + 3 h m e + 2 h), and of each
        layer 2 d for norms of the heads and h e for a router; or what transformers counts."""
        if self.counted is not None:
            return self.counted
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        norms = 2 * self.hidden + (2 * self.head_dim if self.head_norm else 0)
        router = self.hidden * self.experts if self.experts > 1 else 0
        layer = attention + 3 * self.hidden * self.mlp * self.experts + router + norms
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.hidden + self.layers * layer

    @property
    def cache_bytes(self) -> int:
        """Return the bytes of one token's keys and values in bf16: 2 (K, V) x 2 bytes x L k d."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_dim


def shape_of(model: ModelConfig) -> ModelShape:
    """Return the shape of a model, from the config.json of its folder or of the hub's cache, else
    from the table. Raises UserError where none of them knows it."""
    if model.pretrain is not None:
        return _tiny(model.pretrain)
    assert model.path is not None
    config = Path(model.path).expanduser() / "config.json"
    if not config.exists() and model.path in known_models():
        return ModelShape(**known_models()[model.path])
    if not config.exists():
        config = _cached(model.path)
    if config is not None:
        return _from_config(json.loads(config.read_text()), config)
    raise UserError(
        f"model: the shape of {model.path} is not known here; `hf download {model.path} "
        f"config.json` brings it, or name a folder that has one, or one of "
        f"{', '.join(known_models())}"
    )


def _cached(model_id: str) -> Path | None:
    """Return the config.json that the hub's cache has of a model."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model_id, "config.json")
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


@functools.cache
def known_models() -> Mapping[str, Mapping[str, Any]]:
    return _table("models.yaml")


def _table(name: str) -> Mapping[str, Mapping[str, Any]]:
    from ruamel.yaml import YAML

    text = resources.files("ttc_rl.launch.budget").joinpath(name).read_text("utf-8")
    return YAML(typ="safe", pure=True).load(text)


def _from_config(config: Mapping[str, Any], where: Path) -> ModelShape:
    kind, config = config.get("model_type", "qwen3"), config.get("text_config") or config
    found = {name: _first(config, keys) for name, keys in KEYS.items()}
    if found["mlp"] is None and found["hidden"] is not None:
        found["mlp"] = 4 * found["hidden"]  # GPT-2 leaves its usual width out
    if missing := next((KEYS[name][0] for name, value in found.items() if value is None), None):
        raise UserError(f"{where}: has no {missing}, so the model's size is not known")
    experts = _first(config, EXPERTS) or 1
    by_formula = kind in BY_FORMULA
    counted = None if by_formula else _counted(where.parent)
    return ModelShape(
        **found,
        kv_heads=config.get("num_key_value_heads") or found["heads"],
        head_dim=config.get("head_dim") or found["hidden"] // found["heads"],
        tied=config.get("tie_word_embeddings", True),  # left out where it is the default
        head_norm=kind == "qwen3",
        experts=experts,
        used=min(config.get("num_experts_per_tok") or 1, experts),
        counted=counted,
        exact=by_formula or counted is not None,
    )


def _first(config: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((config[key] for key in keys if config.get(key) is not None), None)


def _counted(folder: Path) -> int | None:
    """Return the parameters of transformers' own model of a folder's config; None where it is not
    installed, or does not know that model."""
    try:
        from ttc_rl.sampling.inspect_model import read_config, skeleton
    except ImportError:
        return None
    try:
        return sum(p.numel() for p in skeleton(read_config(folder)).parameters())
    except (UserError, ValueError):
        return None


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
