"""Do a task and a reply fit the model that is to learn them? (arXiv 2402.10110)

    IFD   = ppl(reply | task) / ppl(reply)      below 1: knowing the task helps to write the reply
    r-IFD = ppl(task | reply) / ppl(task)       below 1: the reply tells what was asked

A teacher's reply in words that the model would never find, or one that answers another question,
fails one of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ttc_rl.sampling.prompts import prompt_ids
from ttc_rl.schema import Task

REFINED = "refined"
"""Key of `meta` with a teacher's rewriting of a task's reply."""


class StudentFit:
    """The model before training, asked for perplexities."""

    def __init__(self, base: Path | str, tokenizer: Any, templates: Mapping[str, Any]) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(base, dtype="float32").eval()
        self.tokenizer, self.templates = tokenizer, templates

    def best(self, task: Task, replies: Sequence[str]) -> str | None:
        """Return the reply with the lowest r-IFD, where both ratios are below 1; None for none."""
        found = [(*self.ratios(task, reply), reply) for reply in replies]
        fitting = [(reverse, reply) for ifd, reverse, reply in found if max(ifd, reverse) < 1]
        return min(fitting)[1] if fitting else None

    def ratios(self, task: Task, reply: str) -> tuple[float, float]:
        """Return IFD and r-IFD of a reply to a task."""
        asked = prompt_ids(task, self.templates, self.tokenizer)
        said = self.tokenizer(reply, add_special_tokens=False)["input_ids"]
        words = self.tokenizer(task.prompt, add_special_tokens=False)["input_ids"]
        start = [self.tokenizer.eos_token_id]
        forward = self._nats(asked, said) - self._nats(start, said)
        backward = self._nats([*start, *said], words) - self._nats(start, words)
        return math.exp(forward), math.exp(backward)

    @torch.no_grad()
    def _nats(self, before: Sequence[int], after: Sequence[int]) -> float:
        """Return the mean of -log p over the tokens `after`, given those `before`."""
        ids = torch.tensor([[*before, *after]])
        logits = self.model(input_ids=ids).logits[0, len(before) - 1 : -1].float()
        return float(torch.nn.functional.cross_entropy(logits, ids[0, len(before) :]))
