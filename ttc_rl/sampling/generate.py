"""Completions by transformers' `generate`: every machine has it, GPU or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from ttc_rl.prompts import prompt_text
from ttc_rl.sampling import Decoding
from ttc_rl.schema import Completion, Task


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
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
        return cls(model, tokenizer, decoding, templates)

    def decoding_with(self, decoding: Decoding) -> GenerateCompleter:
        """The same model under other sampling parameters."""
        return replace(self, decoding=decoding)

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int
    ) -> list[list[Completion]]:
        texts = [prompt_text(task, self.templates, self.tokenizer) for task in tasks]
        rows = self._generate([text for text in texts for _ in range(num_samples)], seed)
        return [rows[i : i + num_samples] for i in range(0, len(rows), num_samples)]

    @torch.inference_mode()
    def _generate(self, texts: list[str], seed: int) -> list[Completion]:
        torch.manual_seed(seed)
        # A chat template has written the special tokens already.
        special = self.tokenizer.chat_template is None
        batch = self.tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            add_special_tokens=special,
            return_token_type_ids=False,
        ).to(self.model.device)
        greedy = self.decoding.temperature == 0
        sampling: dict[str, Any] = (
            {"do_sample": False}
            if greedy
            else {
                "do_sample": True,
                "temperature": self.decoding.temperature,
                "top_p": self.decoding.top_p,
                "top_k": 0,
            }
        )
        output = self.model.generate(
            **batch,
            **sampling,
            max_new_tokens=self.decoding.max_tokens,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        return [self._read(row) for row in output[:, batch["input_ids"].shape[1] :].tolist()]

    def _read(self, ids: list[int]) -> Completion:
        ends = self._end_ids()
        length = next((i for i, token in enumerate(ids) if token in ends), None)
        if length is None:
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
            return Completion(text, "length", len(ids))
        text = self.tokenizer.decode(ids[:length], skip_special_tokens=True)
        return Completion(text, "stop", length + 1)

    def _end_ids(self) -> set[int]:
        ids = self.model.generation_config.eos_token_id
        ids = ids if isinstance(ids, list) else [ids]
        return {i for i in [*ids, self.tokenizer.eos_token_id] if i is not None}
