"""The policy's own state at the last token of a prompt: the embedding of TTC-RL.

A task is one user turn through the chat template, without a generation prompt, and its vector is
the last layer's state at the last of those tokens (arXiv 2510.04786, section 3). It is written as
a module of sentence-transformers, whose batching and processes then serve it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule
from transformers import AutoModel, AutoTokenizer

from ttc_rl.sampling.prompts import as_messages, chat_turns

# B prompts of a batch, T tokens, D hidden size.


def load_policy(path: Path | str, chat: Mapping[str, Any]) -> SentenceTransformer:
    """Return a sentence encoder around a causal model's id or folder."""
    return SentenceTransformer(modules=[LastTokenState(path, chat=chat)])


def around(model: Any, path: Path | str, chat: Mapping[str, Any]) -> SentenceTransformer:
    """Return a sentence encoder around a causal model that is loaded already, perhaps with an
    adapter; `path` has its tokenizer."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = LastTokenState(path, causal.base_model, chat)
    return SentenceTransformer(modules=[layers], device=str(causal.device))


def chat_tokenizer(path: Path | str) -> Any:
    """Return a tokenizer that drops the beginning of a prompt longer than the model reads, since
    the state wanted is that of the end."""
    return AutoTokenizer.from_pretrained(path, truncation_side="left")


def chat_tokens(
    tokenizer: Any,
    texts: list[str],
    limit: int | None,
    chat: Mapping[str, Any] | None = None,
    **more: Any,
) -> Any:
    """Return the token ids of each text as one user turn; of the bare text where there is no chat
    template. `chat` holds the recipe's system turn and the chat template's arguments."""
    chat = chat or {}
    arguments = chat.get("template", {})
    system = [{"role": "system", "content": chat["system"]}] if chat.get("system") else []
    plain = tokenizer.chat_template is None
    if not plain:
        texts = [
            tokenizer.apply_chat_template(
                chat_turns([*system, *as_messages(text)], tokenizer, arguments),
                tokenize=False,
                add_generation_prompt=False,
                **arguments,
            )
            for text in texts
        ]
    # A chat template has written the special tokens already: no second BOS.
    return tokenizer(
        texts,
        add_special_tokens=plain,
        truncation=limit is not None,
        max_length=limit,
        return_token_type_ids=False,
        **more,
    )


class LastTokenState(InputModule):
    """Texts to the last layer's state at their last token; shape (B, D), float32."""

    def __init__(
        self, path: Path | str, model: Any = None, chat: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.chat = chat
        if model is None:
            dtype = "auto" if torch.cuda.is_available() else torch.float32
            model = AutoModel.from_pretrained(path, dtype=dtype)
        self.model: Any = model
        self.tokenizer: Any = chat_tokenizer(path)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token

    def preprocess(self, inputs: Any, prompt: str | None = None, **_: Any) -> dict[str, Any]:
        # Padding on the right whatever the tokenizer's habit: a causal model never looks there,
        # and positions count from the first token. So the side makes no difference to a vector.
        tokens = chat_tokens(
            self.tokenizer,
            [(prompt or "") + text for text in inputs],
            getattr(self.model.config, "max_position_embeddings", None),
            self.chat,
            padding=True,
            padding_side="right",
            return_tensors="pt",
        )
        return dict(tokens)

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        # `last_hidden_state` alone: asking for all layers would keep every one of them in memory.
        state_BTD = self.model(
            input_ids=features["input_ids"],
            attention_mask=features["attention_mask"],
            use_cache=False,
        ).last_hidden_state
        last_B = features["attention_mask"].sum(dim=1) - 1
        rows_B = torch.arange(len(last_B), device=last_B.device)
        features["sentence_embedding"] = state_BTD[rows_B, last_B].float()
        return features

    def get_embedding_dimension(self) -> int:
        return self.model.config.hidden_size

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        self.model.save_pretrained(output_path)
        self.tokenizer.save_pretrained(output_path)
