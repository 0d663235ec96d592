"""Completions by transformers' `generate`: every machine has it, GPU or not.

R rows of a batch, T tokens, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
)
from transformers.utils.logging import disable_progress_bar

from ttc_rl.prompts import context_length, end_ids, prompt_text
from ttc_rl.sampling import Decoding, confidence
from ttc_rl.schema import Completion, Task, sample_seed

PAD = 0
"""Any id does: the attention mask hides it, and what follows an end token is cut off."""


@dataclass
class GenerateCompleter:
    """One call is one batch: `len(tasks) * num_samples` completions are generated together."""

    model: Any
    tokenizer: Any
    decoding: Decoding
    templates: Mapping[str, str]

    @classmethod
    def load(
        cls, path: Path | str, decoding: Decoding, templates: Mapping[str, str]
    ) -> GenerateCompleter:
        disable_progress_bar()
        cuda = torch.cuda.is_available()
        dtype = "auto" if cuda else torch.float32
        model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
        model = model.to("cuda" if cuda else "cpu").eval()
        tokenizer = AutoTokenizer.from_pretrained(path)
        return cls(model, tokenizer, decoding, templates)

    def decoding_with(self, decoding: Decoding) -> GenerateCompleter:
        """The same model under other sampling parameters."""
        return replace(self, decoding=decoding)

    def close(self) -> None:
        self.model = None

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]:
        texts = [prompt_text(task, self.templates, self.tokenizer) for task in tasks]
        samples = range(first, first + num_samples)
        rows = self._generate(
            [text for text in texts for _ in samples],
            [sample_seed(seed, task.id, sample) for task in tasks for sample in samples],
        )
        return [rows[i : i + num_samples] for i in range(0, len(rows), num_samples)]

    @torch.inference_mode()
    def _generate(self, texts: list[str], seeds: list[int]) -> list[Completion]:
        # A chat template has written the special tokens already.
        special = self.tokenizer.chat_template is None
        prompts = self.tokenizer(texts, add_special_tokens=special)["input_ids"]
        limit = context_length(self.model.config)
        rooms = [limit - len(ids) if limit else self.decoding.max_tokens for ids in prompts]
        fitting = [i for i, room in enumerate(rooms) if room > 0]
        found = [Completion("", "prompt_too_long", 0, len(ids)) for ids in prompts]
        if not fitting:
            return found
        allowed = [min(self.decoding.max_tokens, rooms[i]) for i in fitting]
        batch = _padded([prompts[i] for i in fitting], self.model.device)
        draws = _SeededDraws([seeds[i] for i in fitting], self.decoding, max(allowed))
        output = self.model.generate(
            **batch,
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=max(allowed),
                pad_token_id=PAD,
                eos_token_id=sorted(self._end_ids()) or None,
            ),
            logits_processor=LogitsProcessorList([draws]),
        )
        written = output[:, batch["input_ids"].shape[1] :].tolist()
        logprobs = torch.stack(draws.logprobs, dim=1).tolist()
        for i, row, room, told in zip(fitting, written, allowed, logprobs, strict=True):
            found[i] = self._read(row[:room], told, len(prompts[i]))
        return found

    def _read(self, ids: list[int], logprobs: list[float], prompt_tokens: int) -> Completion:
        ends = self._end_ids()
        length = next((i for i, token in enumerate(ids) if token in ends), None)
        text = self.tokenizer.decode(ids[:length], skip_special_tokens=True)
        finish, tokens = ("length", len(ids)) if length is None else ("stop", length + 1)
        sure = confidence(sum(logprobs[:tokens]), tokens)
        return Completion(text, finish, tokens, prompt_tokens, sure)

    def _end_ids(self) -> frozenset[int]:
        return end_ids(self.model.generation_config, self.tokenizer)


def _padded(prompts: Sequence[Sequence[int]], device: Any) -> dict[str, torch.Tensor]:
    """Prompts of several lengths, padded on the left; not every tokenizer has a token for it."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), PAD)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


class _SeededDraws(LogitsProcessor):
    """Leaves each row the one token that its own stream of random numbers draws, the most likely
    one at temperature 0, and keeps its log-probability under the model as it is.

    By the inverse of the distribution function: token j of the nucleus, the fewest most likely
    tokens that reach `top_p`, where the cumulative probability first exceeds u times its whole.
    One number a row and token, from numpy, so that device and neighbours do not matter.
    """

    def __init__(self, seeds: Sequence[int], decoding: Decoding, max_tokens: int) -> None:
        self.draws_RT = np.stack([np.random.default_rng(s).random(max_tokens) for s in seeds])
        self.decoding, self.step = decoding, 0
        self.logprobs: list[torch.Tensor] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        greedy = self.decoding.temperature == 0
        token_R1 = scores.argmax(dim=-1, keepdim=True) if greedy else self._drawn(scores)
        self.logprobs.append(scores.log_softmax(dim=-1).gather(1, token_R1).squeeze(1).float())
        return torch.full_like(scores, -torch.inf).scatter(1, token_R1, 0.0)

    def _drawn(self, scores: Any) -> Any:
        probs_RV = torch.softmax(scores.double() / self.decoding.temperature, dim=-1)
        probs_RV, tokens_RV = probs_RV.sort(dim=-1, descending=True, stable=True)
        below_RV = probs_RV.cumsum(dim=-1) - probs_RV
        probs_RV = probs_RV * (below_RV < self.decoding.top_p)
        reached_RV = probs_RV.cumsum(dim=-1)
        draw_R = torch.from_numpy(self.draws_RT[:, self.step]).to(scores.device)
        self.step += 1
        wanted_R1 = (draw_R * reached_RV[:, -1]).unsqueeze(1)
        place_R1 = torch.searchsorted(reached_RV, wanted_R1, right=True)
        last_R1 = (probs_RV > 0).sum(dim=-1, keepdim=True) - 1
        return tokens_RV.gather(1, torch.minimum(place_R1, last_R1))
