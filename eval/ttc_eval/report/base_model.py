"""What the base model is called, and facts about one that is not simply the hub's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ttc_rl.config import Recipe


def shown_name(model: str, recipe: Recipe) -> str:
    """Return a model's name for a reader: `base (SmolLM2-135M-Instruct)`; an arm keeps its own."""
    if model != "base":
        return model
    short = recipe.model.name.rpartition("/")[2] if recipe.model.path else "made here"
    return f"base ({short})"


def base_facts(versions: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each thing that versions.json says of the base model."""
    base = versions.get("base") or {}
    if origin := base.get("origin"):
        yield f"{origin['model']}: {origin['note']} ({origin['file']}, {origin['version']})."
    if warmup := base.get("warmup"):
        compute = warmup["compute"]
        yield (
            f"Warm-up: the base model was trained on {warmup['tasks']:,} labelled tasks before "
            f"anything else ({compute['backpropagated_tokens']:,} tokens, "
            f"{compute['flops']:.2g} FLOPs). `base` and every arm start from there."
        )
