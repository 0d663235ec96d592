"""Embeddings by vLLM's pooling runner, on machines that have it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ttc_rl.embed.policy import chat_tokenizer, chat_tokens
from ttc_rl.schema import UserError
from ttc_rl.system.install import install
from ttc_rl.system.tether import engine_follows

# n texts, D dimensions.


class PoolingEngine:
    """Texts to vectors as vLLM pools them; for `policy`, the state at the last token.

    The engine batches by itself. Its rows are unit vectors for models that say so, and are made so
    by our caller in any case.
    """

    def __init__(
        self,
        model: Path | str,
        *,
        policy: bool,
        chat: Mapping[str, Any] | None = None,
        **engine: Any,
    ) -> None:
        try:
            from vllm import LLM  # pyright: ignore[reportMissingImports]
            from vllm.config import PoolerConfig  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError(f"embed.backend vllm needs vLLM: {install('vllm')}") from None
        if policy:
            engine |= {"convert": "embed", "pooler_config": PoolerConfig(pooling_type="LAST")}
        with engine_follows():
            self.engine = LLM(model=str(model), runner="pooling", **engine)
        self.tokenizer = chat_tokenizer(model) if policy else None
        self.chat = chat

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Return the vectors of texts; shape (n, D), float32."""
        prompts: list[Any] = texts
        # Like sentence-transformers, cut a text at what the model reads; -1 stands for that.
        cut: dict[str, Any] = {"truncate_prompt_tokens": -1}
        if self.tokenizer is not None:
            limit = self.engine.model_config.max_model_len
            tokens = chat_tokens(self.tokenizer, texts, limit, self.chat)
            prompts, cut = [{"prompt_token_ids": row} for row in tokens["input_ids"]], {}
        outputs = self.engine.embed(prompts, use_tqdm=False, tokenization_kwargs=cut)
        return np.array([output.outputs.embedding for output in outputs], dtype=np.float32)

    def close(self) -> None:
        """Give the device back: training comes next in the same process."""
        self.engine.llm_engine.engine_core.shutdown()
