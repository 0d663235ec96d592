"""Tasks in, completions out: transformers' generate or vLLM, behind `schema.Completer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from ttc_rl.schema import Completer


@dataclass(frozen=True)
class Decoding:
    """How the next token is drawn. `temperature` 0 is greedy."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0


class ModelCompleter(Completer, Protocol):
    """A completer around a loaded model, whose sampling parameters can be changed."""

    def decoding_with(self, decoding: Decoding) -> Self: ...


def load_completer(
    model: Path | str, templates: Mapping[str, str], *, use_vllm: bool
) -> ModelCompleter:
    """A completer for a model id or folder. Raises UserError where an extra is missing."""
    start = Decoding(max_tokens=1)
    if use_vllm:
        from ttc_rl.sampling.engine import EngineCompleter

        return EngineCompleter.load(model, start, templates)
    from ttc_rl.sampling.generate import GenerateCompleter

    return GenerateCompleter.load(model, start, templates)
