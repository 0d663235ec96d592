"""Tasks in, completions out: transformers, vLLM or an endpoint, as `schema.Completer`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from ttc_rl.config import EngineConfig
from ttc_rl.schema import Completer


@dataclass(frozen=True)
class Decoding:
    """How the next token is drawn. `temperature` 0 is greedy."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0


def confidence(logprob: float, tokens: int) -> float | None:
    """Return exp(logprob / tokens) in three digits, so that it does not show how a batch was
    shaped."""
    return float(f"{math.exp(logprob / tokens):.3g}") if tokens else None


class ModelCompleter(Completer, Protocol):
    """A completer around a loaded model, whose sampling parameters can be changed."""

    def decoding_with(self, decoding: Decoding) -> Self: ...

    def close(self) -> None:
        """Give back the memory of the model, so that another one can be loaded."""
        ...


def load_completer(
    model: Path | str,
    templates: Mapping[str, str],
    engine: EngineConfig,
    *,
    dtype: str | None = None,
) -> ModelCompleter:
    """Return a completer for a model id or folder, or for a model of that name at an endpoint.

    `dtype` is the recipe's `model.dtype`; an endpoint has its own.

    Raises UserError where an extra is missing.
    """
    start = Decoding(max_tokens=1)
    if engine.backend == "endpoint":
        from ttc_rl.sampling.served import ServedCompleter

        return ServedCompleter.connect(str(model), start, templates, engine)
    if engine.backend == "vllm":
        from ttc_rl.sampling.engine import EngineCompleter

        return EngineCompleter.load(model, start, templates, engine, dtype=dtype)
    from ttc_rl.sampling.generate import GenerateCompleter

    return GenerateCompleter.load(model, start, templates, dtype)
