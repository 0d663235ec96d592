"""Completions by vLLM's offline engine, on machines that have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ttc_rl.prompts import prompt_text
from ttc_rl.sampling import Decoding
from ttc_rl.schema import Completion, Task, UserError


@dataclass
class EngineCompleter:
    """One request a task with `n` samples, so that samples of a task share the prompt's prefill."""

    engine: Any
    decoding: Decoding
    templates: Mapping[str, str]

    @classmethod
    def load(
        cls, model: Path | str, decoding: Decoding, templates: Mapping[str, str]
    ) -> EngineCompleter:
        try:
            from vllm import LLM  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError("train.vllm needs vLLM: pip install 'ttc-rl[vllm]'") from None
        return cls(LLM(model=str(model), enable_prefix_caching=True), decoding, templates)

    def decoding_with(self, decoding: Decoding) -> EngineCompleter:
        """The same engine under other sampling parameters."""
        return replace(self, decoding=decoding)

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int
    ) -> list[list[Completion]]:
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        tokenizer = self.engine.get_tokenizer()
        texts = [prompt_text(task, self.templates, tokenizer) for task in tasks]
        # A chat template has written the special tokens already.
        special = tokenizer.chat_template is None
        prompts = [
            {"prompt_token_ids": tokenizer(text, add_special_tokens=special)["input_ids"]}
            for text in texts
        ]
        parameters = [
            SamplingParams(
                n=num_samples,
                temperature=self.decoding.temperature,
                top_p=self.decoding.top_p,
                max_tokens=self.decoding.max_tokens,
                seed=seed + number,
            )
            for number in range(len(tasks))
        ]
        outputs = self.engine.generate(prompts, parameters, use_tqdm=False)
        return [
            [
                Completion(
                    one.text,
                    "length" if one.finish_reason == "length" else "stop",
                    len(one.token_ids),
                )
                for one in output.outputs
            ]
            for output in outputs
        ]
