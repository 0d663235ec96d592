"""A tiny Qwen3-architecture model, trained from scratch on the procedural skills.

It stands in for a pretrained model where none can be downloaded: it solves each skill sometimes and
none reliably, which is where reinforcement learning has something to do. The result is cached by a
hash of everything that determines it.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    set_seed,
)
from transformers.utils.logging import disable_progress_bar

from ttc_rl.config import PretrainConfig
from ttc_rl.corpus.skills import make_skills
from ttc_rl.run_dir import cache_dir, made_once, write_json
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.sampling.prompts import render
from ttc_rl.schema import Task, content_hash
from ttc_rl.verifiers import verify

logger = logging.getLogger(__name__)

PAD, END, UNKNOWN = "<pad>", "<end>", "<unk>"
PAD_ID, END_ID = 0, 1
RECIPE_VERSION = 1
"""Part of the cache key: raise it when the code below changes what comes out."""
BATCH = 64
"""Texts in a step, which a CPU does in a twentieth of a second."""
EVAL_EVERY = 25
"""Steps between two evaluations: training ends at most so many after `stop_at` is reached."""
WARMUP_STEPS = 50
DEV_TASKS_PER_FAMILY = 10


def base_model(
    config: PretrainConfig,
    seed: int,
    templates: Mapping[str, str],
) -> Path:
    """Return the folder of the trained model, in Hugging Face format. It is trained now where the
    cache has none."""
    key = content_hash(
        [
            RECIPE_VERSION,
            torch.__version__,
            config.model_dump() | {"heads": config.heads, "batch": BATCH, "eval_every": EVAL_EVERY},
            seed,
            dict(templates),
        ]
    )
    folder = cache_dir() / "models" / key
    if (folder / "pretrain.json").exists():
        logger.info(f"base model {key}: cached")

    def make(beside: Path) -> None:
        disable_progress_bar()
        model, tokenizer, log = _train(config, seed, templates)
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        about = {"config": config.model_dump(), "seed": seed, "log": log}
        write_json(beside / "pretrain.json", about)

    return made_once(folder, "pretrain.json", make)


def architecture(config: PretrainConfig, vocabulary: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=config.hidden,
        intermediate_size=config.mlp,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        head_dim=config.hidden // config.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=PAD_ID,
        eos_token_id=END_ID,
        bos_token_id=None,
    )


def _train(
    config: PretrainConfig, seed: int, templates: Mapping[str, str]
) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast, list[dict[str, float]]]:
    tasks = make_skills(config.skills) if config.skills else []
    texts = [(render(task, templates), f" {task.meta['solution']} {END}") for task in tasks]
    tokenizer = word_tokenizer(texts) if texts else byte_tokenizer()
    set_seed(seed)
    model = Qwen3ForCausalLM(architecture(config, len(tokenizer)))
    model.generation_config = GenerationConfig(eos_token_id=END_ID, pad_token_id=PAD_ID)
    size = sum(p.numel() for p in model.parameters())
    logger.info(f"base model: {size:,} parameters, {len(tasks)} tasks to learn from")
    log: list[dict[str, float]] = []
    if not tasks or not config.max_steps:
        return model, tokenizer, log
    dev = _dev_tasks(config, tasks)
    batches = _batches(texts, BATCH, random.Random(seed), tokenizer)
    both, schedules = optimizers(model, config.max_steps)
    for step in range(1, config.max_steps + 1):
        loss = _loss(model, *next(batches))
        take_step(model, loss, (*both, *schedules))
        if step % EVAL_EVERY == 0 or step == config.max_steps:
            solved = _pass_at_1(model, tokenizer, dev, templates)
            log.append({"step": step, "loss": loss.item(), "pass@1": solved})
            logger.info(f"base model: step {step}, loss {loss.item():.2f}, pass@1 {solved:.3f}")
            if solved >= config.stop_at:
                break
    return model, tokenizer, log


def _dev_tasks(config: PretrainConfig, tasks: Sequence[Task]) -> list[Task]:
    """Return tasks of the same split that are not trained on, the same for every seed of the
    model."""
    assert config.skills is not None
    more = config.skills.model_copy(
        update={"seed": config.skills.seed + 1, "tasks_per_family": 4 * DEV_TASKS_PER_FAMILY}
    )
    seen = {(t.meta["family"], t.meta["content"]) for t in tasks}
    fresh = [t for t in make_skills(more) if (t.meta["family"], t.meta["content"]) not in seen]
    families = sorted({t.meta["family"] for t in fresh})
    return [
        task
        for family in families
        for task in [t for t in fresh if t.meta["family"] == family][:DEV_TASKS_PER_FAMILY]
    ]


def _pass_at_1(
    model: Any, tokenizer: Any, tasks: Sequence[Task], templates: Mapping[str, str]
) -> float:
    completer = GenerateCompleter(model.eval(), tokenizer, Decoding(max_tokens=16), templates)
    drawn = completer(tasks, 1, seed=0)
    model.train()
    return sum(
        verify(t, c[0].text).correct is True for t, c in zip(tasks, drawn, strict=True)
    ) / len(tasks)


def _batches(
    texts: Sequence[tuple[str, str]], size: int, rng: random.Random, tokenizer: Any
) -> Any:
    """Yield (input_ids, labels) without end: drawn at random, sorted by length within eight
    batches."""
    prompts = tokenizer([prompt for prompt, _ in texts])["input_ids"]
    replies = tokenizer([reply for _, reply in texts])["input_ids"]
    rows = [(p + r, len(p)) for p, r in zip(prompts, replies, strict=True)]
    while True:
        pool = rng.choices(rows, k=8 * size)
        pool.sort(key=lambda row: len(row[0]))
        cut = [pool[i : i + size] for i in range(0, len(pool), size)]
        rng.shuffle(cut)
        for batch in cut:
            width = max(len(ids) for ids, _ in batch)
            ids = torch.full((size, width), tokenizer.pad_token_id)
            labels = torch.full((size, width), -100)
            for i, (row, start) in enumerate(batch):
                ids[i, : len(row)] = torch.tensor(row)
                labels[i, start : len(row)] = torch.tensor(row[start:])
            yield ids, labels


def _loss(model: Any, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of the reply's tokens."""
    logits = model(input_ids=ids).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())


def take_step(model: Any, loss: torch.Tensor, moved: Sequence[Any]) -> None:
    """Take one clipped step down the loss, with all optimisers, then their schedules."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for item in moved:
        item.step()
    model.zero_grad(set_to_none=True)


def optimizers(model: torch.nn.Module, steps: int) -> tuple[list[Any], list[Any]]:
    """Return Muon for the layers' matrices, AdamW for the rest; linear warm-up, then cosine to 5
    %."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "layers" in name]
    rest = [p for name, p in named if not (p.ndim == 2 and "layers" in name)]
    both = [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.0, momentum=0.95),
        torch.optim.AdamW(rest, lr=4e-3, weight_decay=0.01, betas=(0.9, 0.98)),
    ]

    def factor(step: int) -> float:
        cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps))
        return min(1.0, (step + 1) / WARMUP_STEPS) * cosine

    return both, [torch.optim.lr_scheduler.LambdaLR(o, factor) for o in both]


def word_tokenizer(texts: Sequence[tuple[str, str]]) -> PreTrainedTokenizerFast:
    """Return a tokenizer of words and single digits. Words outside `texts` become <unk>."""
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=True)]
    )
    words = sorted({w for pair in texts for text in pair for w, _ in split.pre_tokenize_str(text)})
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([PAD, END, UNKNOWN, *words]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = split
    return _wrap(tokenizer)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes, which can read and write any text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {word: i for i, word in enumerate([PAD, END, UNKNOWN, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return _wrap(tokenizer)


def _wrap(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
