"""Facts about a base model that is not simply the hub's: its weights, its warm-up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


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
