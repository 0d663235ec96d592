"""Completions by vLLM's offline engine, on machines that have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ttc_rl.config import EngineConfig
from ttc_rl.sampling import Decoding, confidence
from ttc_rl.sampling.prompts import prompt_text
from ttc_rl.schema import Completion, Task, UserError, sample_seed
from ttc_rl.system.install import install
from ttc_rl.system.tether import engine_follows

ON_CPU: Mapping[str, Any] = {
    "enforce_eager": True,
    "dtype": "float32",
    "enable_chunked_prefill": False,
}
"""Compiling for a CPU wins nothing back; float32 is what transformers computes in there too; and
vLLM 0.31 takes back the draw of a seeded request after part of a prefill, which CPUs cannot."""


LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""For which vLLM 0.31 has kernels."""
AT_ONCE = 8
"""Adapters that a batch may mix."""


@dataclass(frozen=True)
class Adapters:
    """LoRA adapters over one base, all in one engine."""

    paths: Mapping[str, Path]
    route: Callable[[Sequence[Task]], Sequence[str]]
    """The name of each task's adapter."""
    rank: int

    def options(self) -> dict[str, Any]:
        """Return the engine's arguments. Raises UserError for a rank that it cannot have."""
        if self.rank > LORA_RANKS[-1]:
            raise UserError(f"train.lora.rank: vLLM takes {LORA_RANKS[-1]} at most")
        return {
            "enable_lora": True,
            "max_lora_rank": next(rank for rank in LORA_RANKS if rank >= self.rank),
            "max_loras": min(len(self.paths), AT_ONCE),
            "max_cpu_loras": len(self.paths),
        }

    def requests(self, tasks: Sequence[Task]) -> list[Any]:
        from vllm.lora.request import LoRARequest  # pyright: ignore[reportMissingImports]

        number = {name: 1 + i for i, name in enumerate(self.paths)}
        return [
            LoRARequest(name, number[name], str(self.paths[name])) for name in self.route(tasks)
        ]


@dataclass
class EngineCompleter:
    """One request a task with `n` samples, so that samples of a task share the prompt's prefill.

    vLLM gives the i-th of them the request's seed + i, which is how `sample_seed` counts.
    """

    engine: Any
    decoding: Decoding
    templates: Mapping[str, str]
    adapters: Adapters | None = None

    @classmethod
    def load(
        cls,
        model: Path | str,
        decoding: Decoding,
        templates: Mapping[str, str],
        config: EngineConfig,
        adapters: Adapters | None = None,
        dtype: str | None = None,
    ) -> EngineCompleter:
        try:
            from vllm import LLM  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError(f"train.vllm needs vLLM: {install('vllm')}") from None
        import torch

        options: dict[str, Any] = {
            "tensor_parallel_size": config.tensor_parallel_size,
            "gpu_memory_utilization": config.gpu_memory_utilization,
            "max_model_len": config.max_model_len,
            "dtype": dtype or "auto",
            "enable_prefix_caching": True,
            **({} if torch.cuda.is_available() else ON_CPU),
            **(adapters.options() if adapters else {}),
            **config.options,
        }
        with engine_follows():
            engine = LLM(model=str(model), **options)
        return cls(engine, decoding, templates, adapters)

    def decoding_with(self, decoding: Decoding) -> EngineCompleter:
        """Return the same engine under other sampling parameters."""
        return replace(self, decoding=decoding)

    def close(self) -> None:
        """End the engine's own process, which holds the GPU."""
        self.engine.llm_engine.engine_core.shutdown()
        self.engine = None

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]:
        prompts = self._token_ids(tasks)
        limit = self.engine.llm_engine.model_config.max_model_len
        completions = [
            [Completion("", "prompt_too_long", 0, len(ids))] * num_samples for ids in prompts
        ]
        fitting = [i for i, ids in enumerate(prompts) if len(ids) < limit]
        outputs = self.engine.generate(
            [{"prompt_token_ids": prompts[i]} for i in fitting],
            [self._parameters(num_samples, sample_seed(seed, tasks[i].id, first)) for i in fitting],
            use_tqdm=False,
            lora_request=self.adapters.requests([tasks[i] for i in fitting])
            if self.adapters
            else None,
        )
        for i, output in zip(fitting, outputs, strict=True):
            completions[i] = [_completion(drawn, len(prompts[i])) for drawn in output.outputs]
        return completions

    def _token_ids(self, tasks: Sequence[Task]) -> list[list[int]]:
        tokenizer = self.engine.get_tokenizer()
        # A chat template has written the special tokens already.
        special = tokenizer.chat_template is None
        texts = [prompt_text(task, self.templates, tokenizer) for task in tasks]
        return [tokenizer(text, add_special_tokens=special)["input_ids"] for text in texts]

    def _parameters(self, num_samples: int, seed: int) -> Any:
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        return SamplingParams(
            n=num_samples,
            temperature=self.decoding.temperature,
            top_p=self.decoding.top_p,
            max_tokens=self.decoding.max_tokens,
            seed=seed,
            logprobs=0,  # of the token that was drawn alone
        )


def _completion(output: Any, prompt_tokens: int) -> Completion:
    finish = "length" if output.finish_reason == "length" else "stop"
    tokens = len(output.token_ids)
    sure = confidence(output.cumulative_logprob, tokens)
    return Completion(output.text, finish, tokens, prompt_tokens, sure)
