"""A model of grid puzzles, and an adapter of its own for each one (arXiv 2411.07279).

The base stays loaded. For a puzzle an adapter (LoRA) is set to nothing, trained on leave-one-out
puzzles made of what the puzzle shows, and answers; then it is set to nothing again. The loss is on
all grids that come after, but for the first, which nothing could tell.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3ForCausalLM, set_seed
from transformers.utils.logging import disable_progress_bar

from ttc_rl.config import PretrainConfig
from ttc_rl.config.grids import GridModelConfig, GridStudy
from ttc_rl.corpus.grids import COLOURS, Grid, Puzzle, make_puzzles, parts, read_grid
from ttc_rl.run_dir import cache_dir, made_once, write_json
from ttc_rl.schema import content_hash
from ttc_rl.system.peft_warnings import ignore_warnings_of_peft
from ttc_rl.train.tiny_model import PAD_ID, architecture, optimizers, take_step, word_tokenizer

# R rows of a batch, T tokens.
BATCH = 64
VERSION = 1
"""Part of the cache key: raise it when the code below changes what comes out."""
MOST = 4
"""An answer may be so many times as long as the query, and ten tokens more."""


def small_model(config: GridModelConfig, *, tuned: bool) -> Path:
    """Return the folder of the base or of the tuned model, from the cache or trained now."""
    key = content_hash([VERSION, "grids", torch.__version__, config.model_dump(), tuned])

    def make(beside: Path) -> None:
        disable_progress_bar()
        set_seed(0)
        if tuned:
            base = small_model(config, tuned=False)
            model: Any = AutoModelForCausalLM.from_pretrained(base)
            tokenizer: Any = AutoTokenizer.from_pretrained(base)
        else:
            digits = " ".join(map(str, range(COLOURS)))
            tokenizer = word_tokenizer([(f"{digits} / >", " ;")])
            shape = PretrainConfig(hidden=config.hidden, layers=config.layers, mlp=config.mlp)
            model = Qwen3ForCausalLM(architecture(shape, len(tokenizer)))
        steps = config.tuning_steps if tuned else config.steps
        puzzles = make_puzzles("train" if tuned else "plain", BATCH * max(1, steps), seed=1)
        both, schedules = optimizers(model, max(1, steps))
        for step in range(steps):
            loss = _loss(model, tokenizer, puzzles[BATCH * step : BATCH * (step + 1)])
            take_step(model, loss, (*both, *schedules))
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        write_json(beside / "grids.json", {"config": config.model_dump(), "tuned": tuned})

    return made_once(cache_dir() / "models" / key, "grids.json", make)


def _loss(model: Any, tokenizer: Any, puzzles: Sequence[Puzzle]) -> torch.Tensor:
    """Return the mean of -log p over the tokens of all grids after, but each puzzle's first."""
    rows = [_tokens(puzzle, tokenizer) for puzzle in puzzles]
    width = max(len(ids) for ids, _ in rows)
    ids_RT = torch.full((len(rows), width), PAD_ID)
    labels_RT = torch.full_like(ids_RT, -100)
    mask_RT = torch.zeros_like(ids_RT)
    for i, (ids, labels) in enumerate(rows):
        ids_RT[i, : len(ids)], labels_RT[i, : len(ids)] = torch.tensor(ids), torch.tensor(labels)
        mask_RT[i, : len(ids)] = 1
    logits = model(input_ids=ids_RT, attention_mask=mask_RT).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels_RT[:, 1:].flatten())


def _tokens(puzzle: Puzzle, tokenizer: Any) -> tuple[list[int], list[int]]:
    ids: list[int] = []
    labels: list[int] = []
    for number, pair in enumerate(parts(puzzle)):
        for learned, text in zip((False, number > 0), pair, strict=True):
            new = tokenizer(text, add_special_tokens=False)["input_ids"]
            ids += new
            labels += new if learned else [-100] * len(new)
    return ids, labels


class GridTrainer:
    """A base model with one adapter, which belongs to a puzzle at a time."""

    def __init__(self, base: Path | str, study: GridStudy) -> None:
        disable_progress_bar()
        ignore_warnings_of_peft()
        set_seed(study.seed)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
        config = LoraConfig(r=study.rank, lora_alpha=2 * study.rank, target_modules="all-linear")
        self.model: Any = get_peft_model(model, config).eval()
        self.study = study
        self.start = {
            name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad
        }

    @contextmanager
    def trained_on(self, items: Sequence[Puzzle], seed: str) -> Iterator[None]:
        """Have the adapter trained on some puzzles inside; it is nothing again afterwards."""
        study, rng = self.study, random.Random(seed)
        weights = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=study.learning_rate, weight_decay=0.0)
        try:
            for _ in range(study.epochs):
                order = rng.sample(list(items), len(items))
                for start in range(0, len(order), study.batch):
                    batch = order[start : start + study.batch]
                    take_step(self.model, _loss(self.model, self.tokenizer, batch), [optimizer])
            yield
        finally:
            with torch.no_grad():
                for name, weight in self.model.named_parameters():
                    if name in self.start:
                        weight.copy_(self.start[name])

    @torch.inference_mode()
    def answers(self, puzzles: Sequence[Puzzle]) -> list[Grid | None]:
        """Return the likeliest answer to each puzzle, token by token; None where it is no grid."""
        prompts = [self._prompt(puzzle) for puzzle in puzzles]
        width = max(map(len, prompts))
        ids_RT = torch.full((len(prompts), width), PAD_ID)
        mask_RT = torch.zeros_like(ids_RT)
        for i, prompt in enumerate(prompts):
            ids_RT[i, width - len(prompt) :] = torch.tensor(prompt)
            mask_RT[i, width - len(prompt) :] = 1
        rows, columns = len(puzzles[0].query), len(puzzles[0].query[0])
        drawn = self.model.generate(
            input_ids=ids_RT,
            attention_mask=mask_RT,
            max_new_tokens=MOST * rows * columns + 10,
            do_sample=False,
            pad_token_id=PAD_ID,
            eos_token_id=self.tokenizer(" ;", add_special_tokens=False)["input_ids"][-1],
        )
        texts = self.tokenizer.batch_decode(drawn[:, width:], skip_special_tokens=True)
        return [read_grid(text) for text in texts]

    def _prompt(self, puzzle: Puzzle) -> list[int]:
        *before, (asked, _) = parts(puzzle)
        text = [part for pair in before for part in pair] + [asked]
        return [
            i for part in text for i in self.tokenizer(part, add_special_tokens=False)["input_ids"]
        ]
