"""A small model that proposes schedules: valid ones, at random, and changes of a few jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, Qwen3ForCausalLM, set_seed
from transformers.utils.logging import disable_progress_bar

from ttc_rl.config import PretrainConfig
from ttc_rl.config.discovery import ScheduleConfig
from ttc_rl.corpus.schedules import lessons
from ttc_rl.run_dir import cache_dir, made_once, write_json
from ttc_rl.schema import content_hash
from ttc_rl.train.tiny_model import (
    END,
    END_ID,
    PAD_ID,
    architecture,
    optimizers,
    take_step,
    word_tokenizer,
)

BATCH = 64
VERSION = 1
"""Part of the cache key: raise it when the code below changes what comes out."""


def schedule_model(config: ScheduleConfig) -> Path:
    """Return the folder of the model, in Hugging Face format, from the cache or trained now."""
    asked = config.model_dump(exclude={"count"})
    key = content_hash([VERSION, "schedules", torch.__version__, asked])

    def make(beside: Path) -> None:
        disable_progress_bar()
        set_seed(0)
        texts = list(lessons(config, BATCH * max(1, config.pretraining), seed=0))
        digits = " ".join(map(str, range(10)))
        tokenizer = word_tokenizer([(f"{prompt} {digits}", reply) for prompt, reply in texts])
        shape = PretrainConfig(hidden=config.hidden, layers=config.layers, mlp=config.mlp)
        model: Any = Qwen3ForCausalLM(architecture(shape, len(tokenizer)))
        model.generation_config = GenerationConfig(eos_token_id=END_ID, pad_token_id=PAD_ID)
        both, schedules = optimizers(model, max(1, config.pretraining))
        for step in range(config.pretraining):
            loss = _loss(model, tokenizer, texts[BATCH * step : BATCH * (step + 1)])
            take_step(model, loss, (*both, *schedules))
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        write_json(beside / "schedules.json", asked)

    return made_once(cache_dir() / "models" / key, "schedules.json", make)


def _loss(model: Any, tokenizer: Any, texts: list[tuple[str, str]]) -> torch.Tensor:
    """Return the mean of -log p over the replies' tokens and their ends."""
    prompts = tokenizer([prompt for prompt, _ in texts])["input_ids"]
    replies = tokenizer([f" {reply} {END}" for _, reply in texts])["input_ids"]
    width = max(len(p) + len(r) for p, r in zip(prompts, replies, strict=True))
    ids_RT = torch.full((len(texts), width), PAD_ID)
    labels_RT = torch.full_like(ids_RT, -100)
    for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        end = len(prompt) + len(reply)
        ids_RT[i, :end] = torch.tensor(prompt + reply)
        labels_RT[i, len(prompt) : end] = torch.tensor(reply)
    logits = model(input_ids=ids_RT).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels_RT[:, 1:].flatten())
