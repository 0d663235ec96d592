"""What a resumed run may change: keys that say how the work is done and not what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ttc_rl.config.recipe import Recipe

FREE = (
    "train.watchdog",
    "train.max_infra_errors",
    "train.micro_batch",
    "train.save_steps",
    "train.vllm.gpu_memory_utilization",
    "train.vllm.sleep",
    "eval.batch",
    "eval.engine.processes",
    "eval.engine.gpu_memory_utilization",
    "eval.engine.concurrency",
    "eval.engine.timeout",
    "judge.concurrency",
    "judge.timeout",
    "track.hub",
    "experts.processes",
)
"""Dotted keys, of the recipe and of each arm. `train.micro_batch` and `eval.batch` change a result
by its rounding alone: a run that changes them is no longer the same bit for bit."""

UNSET = "unset"


def differences(old: Recipe, new: Recipe) -> list[tuple[str, Any, Any]]:
    """Return the dotted keys in which two recipes differ, with both values; FREE ones left out."""
    return [
        (key, before, after)
        for key, before, after in _differences("", old.model_dump(), new.model_dump())
        if not is_free(key)
    ]


def _differences(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if old == new:
        return
    trees: list[Mapping[str, Any]] = [v if isinstance(v, Mapping) else {} for v in (old, new)]
    leaves = [value for value in (old, new) if not isinstance(value, Mapping)]
    if any(trees) and all(value in (None, UNSET) for value in leaves):
        for name in {**trees[0], **trees[1]}:
            place = f"{key}.{name}" if key else str(name)
            yield from _differences(place, *(tree.get(name, UNSET) for tree in trees))
    else:
        yield key, old, new


def is_free(key: str) -> bool:
    parts = key.split(".")
    parts = parts[2:] if parts[0] == "arms" else parts
    return any(parts[: name.count(".") + 1] == name.split(".") for name in FREE)
