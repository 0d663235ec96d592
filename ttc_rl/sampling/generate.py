"""Completions by a transformers model in this process: every machine has it, GPU or not.

P prompts, R rows of a batch (one a completion), T tokens, V words of the vocabulary.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, GenerationMixin
from transformers.utils.logging import disable_progress_bar

from ttc_rl.sampling import Decoding, confidence
from ttc_rl.sampling.draws import draw
from ttc_rl.sampling.prompts import context_length, end_ids, prompt_text
from ttc_rl.schema import Completion, Task, sample_seed

logger = logging.getLogger(__name__)

PAD = 0
"""Any id does: the attention mask hides it."""
SLACK = 64
"""Prompts are padded to one length where it is at most twice the shortest, and so many tokens."""
EVERY = 5.0
"""Seconds between two lines about a batch under way."""
_step: Any = GenerationMixin.prepare_inputs_for_generation  # pyright: ignore[reportAttributeAccessIssue]
CACHE = "cache" if "cache" in inspect.signature(_step).parameters else "past_key_values"
"""What a model calls its cache, which transformers has renamed within version 5."""


@dataclass
class GenerateCompleter:
    """One call is one batch: `len(tasks) * num_samples` completions are written together.

    Every prompt is read once, whatever the number of its samples, and a row that is finished leaves
    the batch. Nothing but `decoding` shapes the draws: penalties that a model's generation config
    recommends are not applied, as vLLM does not either when it is given sampling parameters.
    """

    model: Any
    tokenizer: Any
    decoding: Decoding
    templates: Mapping[str, str]
    """Told every few seconds how far a batch is."""

    @classmethod
    def load(
        cls,
        path: Path | str,
        decoding: Decoding,
        templates: Mapping[str, str],
        dtype: str | None = None,
    ) -> GenerateCompleter:
        """Load a model. Its weights are of `dtype`; left out, as they are saved on a GPU, and
        float32 on a CPU."""
        disable_progress_bar()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = dtype or ("auto" if device == "cuda" else "float32")
        model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
        model = model.to(device).eval()
        return cls(model, AutoTokenizer.from_pretrained(path), decoding, templates)

    def decoding_with(self, decoding: Decoding) -> Self:
        """Return the same model under other sampling parameters."""
        return replace(self, decoding=decoding)

    def close(self) -> None:
        self.model = None

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]:
        texts = [prompt_text(task, self.templates, self.tokenizer) for task in tasks]
        # A chat template has written the special tokens already.
        special = self.tokenizer.chat_template is None
        prompts = self.tokenizer(texts, add_special_tokens=special)["input_ids"]
        limit, most = context_length(self.model.config), self.decoding.max_tokens
        rooms = [min(most, limit - len(ids)) if limit else most for ids in prompts]
        groups = [[Completion("", "prompt_too_long", 0, len(ids))] * num_samples for ids in prompts]
        for alike in _alike([i for i, room in enumerate(rooms) if room > 0], prompts):
            rows = [
                _Row(rooms[i], sample_seed(seed, tasks[i].id, sample))
                for i in alike
                for sample in range(first, first + num_samples)
            ]
            self._write([prompts[i] for i in alike], rows)
            completions = iter(rows)
            for i in alike:
                groups[i] = [self._read(next(completions), len(prompts[i])) for _ in groups[i]]
        return groups

    @torch.inference_mode()
    def _write(self, prompts: Sequence[Sequence[int]], rows: Sequence[_Row]) -> None:
        """Write every row's completion; as many rows follow one another as a prompt has samples."""
        device, ends = self.model.device, end_ids(self.model.generation_config, self.tokenizer)
        most, began = max(row.room for row in rows), time.monotonic()
        last_line = began
        ids_PT, mask_PT = (t.to(device) for t in _padded(prompts))
        cache = self._cache()
        scores = self._scores(ids_PT, mask_PT, (mask_PT.cumsum(1) - 1).clamp(min=0), cache)
        prompt_R = torch.arange(len(prompts), device=device)
        prompt_R = prompt_R.repeat_interleave(len(rows) // len(prompts))
        cache.reorder_cache(prompt_R)
        scores, mask_RT = scores[prompt_R], mask_PT[prompt_R]
        position_R1 = mask_RT.sum(dim=1, keepdim=True)
        mask_RT = torch.cat([mask_RT, mask_RT.new_ones(len(rows), most)], dim=1)
        uniform_RT = torch.stack([row.uniform(most) for row in rows]).to(device)
        writing = list(rows)
        for step in range(most):
            token_R, logprob_R = draw(scores, uniform_RT[:, step], self.decoding)
            drawn = zip(writing, token_R.tolist(), logprob_R.tolist(), strict=True)
            on = [i for i, (row, t, logprob) in enumerate(drawn) if row.goes_on(t, logprob, ends)]
            if not on:
                return
            if time.monotonic() - last_line > EVERY:
                last_line = time.monotonic()
                logger.info(_pace(rows, len(on), last_line - began))
            if len(on) < len(writing):
                writing = [writing[i] for i in on]
                on_R = torch.tensor(on, device=device)
                cache.reorder_cache(on_R)
                token_R, position_R1 = token_R[on_R], position_R1[on_R]
                mask_RT, uniform_RT = mask_RT[on_R], uniform_RT[on_R]
            seen = ids_PT.shape[1] + step + 1
            scores = self._scores(
                token_R.unsqueeze(1), mask_RT[:, :seen], position_R1 + step, cache
            )

    def _cache(self) -> Any:
        return DynamicCache(config=self.model.config)

    def _scores(self, ids: Any, mask: Any, positions: Any, cache: Any) -> torch.Tensor:
        """Return the scores of every row's next token; shape (R, V)."""
        return self._scores_of(self.model, ids, mask, positions, cache)

    def _scores_of(
        self, model: Any, ids: Any, mask: Any, positions: Any, cache: Any
    ) -> torch.Tensor:
        output = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{CACHE: cache},
        )
        return output.logits[:, -1].float()

    def _read(self, row: _Row, prompt_tokens: int) -> Completion:
        ids = row.ids[:-1] if row.stopped else row.ids
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        finish, tokens = "stop" if row.stopped else "length", len(row.ids)
        return Completion(text, finish, tokens, prompt_tokens, confidence(row.logprob, tokens))


class _Row:
    """A completion under way."""

    def __init__(self, room: int, seed: int) -> None:
        self.room, self.seed = room, seed
        self.ids: list[int] = []
        self.logprob, self.stopped = 0.0, False

    def uniform(self, count: int) -> torch.Tensor:
        """Return one number a token, from numpy, so that device and neighbours do not matter."""
        return torch.from_numpy(np.random.default_rng(self.seed).random(count))

    def goes_on(self, token: int, logprob: float, ends: frozenset[int]) -> bool:
        """Take the next token; False where it was the last."""
        self.ids.append(token)
        self.logprob += logprob
        self.stopped = token in ends
        return not self.stopped and len(self.ids) < self.room


def _alike(indices: Sequence[int], prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Cut into groups of like length, so that one long prompt does not pad all others."""
    groups: list[list[int]] = []
    for i in sorted(indices, key=lambda i: len(prompts[i])):
        if groups and len(prompts[i]) <= 2 * len(prompts[groups[-1][0]]) + SLACK:
            groups[-1].append(i)
        else:
            groups.append([i])
    return [sorted(group) for group in groups]


def _padded(prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ids padded on the left, and the mask of what is no padding. Not every tokenizer
    can pad."""
    width = max(map(len, prompts))
    ids_PT = torch.full((len(prompts), width), PAD)
    mask_PT = torch.zeros_like(ids_PT)
    for row, prompt in enumerate(prompts):
        ids_PT[row, width - len(prompt) :] = torch.tensor(prompt)
        mask_PT[row, width - len(prompt) :] = 1
    return ids_PT, mask_PT


def _pace(rows: Sequence[_Row], writing: int, seconds: float) -> str:
    tokens = sum(len(row.ids) for row in rows)
    return (
        f"this batch: {len(rows) - writing} of {len(rows)} completions finished, "
        f"{tokens:,} tokens, {tokens / seconds:,.0f} tokens/s"
    )
