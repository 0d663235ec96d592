"""Test-time training on text (arXiv 2305.18466, 2410.08020): a step on each pick, then back.

    bits per byte = sum of -log p over the tokens / (ln 2 x bytes in UTF-8)

which needs no verifier and does not depend on the tokenizer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3ForCausalLM, set_seed
from transformers.utils.logging import disable_progress_bar

from ttc_rl.config import PretrainConfig
from ttc_rl.config.texts import ByteModelConfig
from ttc_rl.run_dir import cache_dir, made_once, write_json
from ttc_rl.schema import content_hash
from ttc_rl.train.tiny_model import PAD_ID, architecture, byte_tokenizer, optimizers, take_step

# R rows of a batch, T tokens.
BATCH = 16
VERSION = 1
"""Part of the cache key: raise it when the code below changes what comes out."""


def byte_model(config: ByteModelConfig, texts: Sequence[str], seed: int) -> Path:
    """Return the folder of a small model of bytes trained on the texts, from the cache or now."""
    key = content_hash([VERSION, torch.__version__, config.model_dump(), list(texts), seed])

    def make(beside: Path) -> None:
        disable_progress_bar()
        set_seed(seed)
        tokenizer, rng = byte_tokenizer(), random.Random(seed)
        shape = PretrainConfig(hidden=config.hidden, layers=config.layers, mlp=config.mlp)
        model = Qwen3ForCausalLM(architecture(shape, len(tokenizer)))
        both, schedules = optimizers(model, max(1, config.steps))
        for _ in range(config.steps):
            rows = [token_ids(text, tokenizer) for text in rng.choices(texts, k=BATCH)]
            loss = _nats(model, rows) / sum(len(row) - 1 for row in rows)
            take_step(model, loss, (*both, *schedules))
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        write_json(beside / "bytes.json", {"config": config.model_dump(), "seed": seed})

    return made_once(cache_dir() / "models" / key, "bytes.json", make)


def token_ids(text: str, tokenizer: Any) -> list[int]:
    """Return a text's tokens behind a start token, so that the first one is predicted too."""
    start = tokenizer.bos_token_id
    start = tokenizer.eos_token_id if start is None else start
    return [start, *tokenizer(text, add_special_tokens=False)["input_ids"]]


def _nats(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the sum of -log p over all tokens of all rows but the first of each."""
    width = max(map(len, rows))
    ids_RT = torch.full((len(rows), width), PAD_ID)
    labels_RT = torch.full_like(ids_RT, -100)
    mask_RT = torch.zeros_like(ids_RT)
    for i, row in enumerate(rows):
        ids_RT[i, : len(row)] = labels_RT[i, : len(row)] = torch.tensor(row)
        mask_RT[i, : len(row)] = 1
    logits = model(input_ids=ids_RT, attention_mask=mask_RT).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels_RT[:, 1:].flatten(), reduction="sum"
    )


class TextTrainer:
    """A model that is trained on some texts, measured on one, and put back."""

    def __init__(self, path: Path | str, learning_rate: float) -> None:
        disable_progress_bar()
        self.model: Any = AutoModelForCausalLM.from_pretrained(path, dtype="float32").eval()
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.learning_rate = learning_rate
        self.start = {name: p.detach().clone() for name, p in self.model.named_parameters()}

    @torch.no_grad()
    def bits_per_byte(self, text: str) -> float:
        nats = float(_nats(self.model, [token_ids(text, self.tokenizer)]))
        return nats / (math.log(2) * len(text.encode()))

    def measured(
        self, picks: Sequence[str], target: str, after: Sequence[int]
    ) -> Mapping[int, float]:
        """Return the target's bits per byte after so many picks, one AdamW step each in their
        order. The weights are the base's again afterwards."""
        found = {0: self.bits_per_byte(target)} if 0 in after else {}
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.learning_rate, weight_decay=0.0
        )
        for count, text in enumerate(picks, start=1):
            row = token_ids(text, self.tokenizer)
            take_step(self.model, _nats(self.model, [row]) / (len(row) - 1), [optimizer])
            if count in after:
                found[count] = self.bits_per_byte(target)
        self._reset()
        return found

    @torch.no_grad()
    def _reset(self) -> None:
        for name, weight in self.model.named_parameters():
            weight.copy_(self.start[name])
