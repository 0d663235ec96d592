"""vLLM's engine where there is no vLLM: what TRL's own colocated generation asks of it.

It draws as many tokens as it likes from its seed, and ends with one of the end tokens of the
model's generation_config.json, as vLLM does, or at the limit.
"""

import os
import random
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import GenerationConfig

from ttc_rl.sampling.prompts import end_ids

LOGPROB = -1.0


class Engine:
    """Stands for `vllm.LLM`; `made` holds the arguments of each one."""

    made: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, **arguments: Any) -> None:
        self.made.append(arguments)
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            del os.environ[name]  # set by TRL for vLLM; a later trainer would open a process group
        self.random = random.Random(arguments["seed"])
        config = GenerationConfig.from_pretrained(arguments["model"])
        self.ends = sorted(end_ids(config, SimpleNamespace(eos_token_id=None)))

    def reset_prefix_cache(self) -> None:
        pass

    def generate(self, prompts: list[Any], sampling_params: Any, use_tqdm: bool) -> list[Any]:
        return [self._answer(p["prompt_token_ids"], sampling_params.max_tokens) for p in prompts]

    def _answer(self, prompt: list[int], limit: int) -> Any:
        ids = [self.random.randrange(4, 20) for _ in range(self.random.randrange(1, 2 * limit))]
        ids = [i for i in ids if i not in self.ends]
        ids = [*ids, self.random.choice(self.ends)][:limit]
        logprobs = [{i: SimpleNamespace(rank=1, logprob=LOGPROB)} for i in ids]
        drawn = SimpleNamespace(token_ids=ids, logprobs=logprobs)
        return SimpleNamespace(prompt_token_ids=prompt, outputs=[drawn])


def install(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put it in the place of vLLM; return the arguments of the engines that TRL makes."""
    from trl.generation import vllm_generation
    from trl.trainer import grpo_trainer

    for module in (vllm_generation, grpo_trainer):
        monkeypatch.setattr(module, "is_vllm_available", lambda *_, **__: True, raising=False)
    monkeypatch.setattr(vllm_generation, "LLM", Engine, raising=False)
    monkeypatch.setattr(vllm_generation, "SamplingParams", SimpleNamespace, raising=False)
    monkeypatch.setattr(vllm_generation.VLLMGeneration, "sync_weights", lambda self: None)
    monkeypatch.setattr("ttc_rl.stages.run.check_extras", lambda recipe: None)
    monkeypatch.setattr(Engine, "made", [])
    return Engine.made
