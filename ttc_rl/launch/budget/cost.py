"""FLOPs, seconds, money, and how many votes of the base model the same FLOPs would buy.

FLOPs follow ttc_rl/metrics/flops.py: 2 P a token forward, 4 P back. A rollout's token is drawn
once, scored `scorings` times more and differentiated `iterations` times:

    F = P tokens (2 + 2 scorings + 6 iterations)

Drawing is bound by memory bandwidth: a step of decoding reads the weights once for all sequences
under way, and every sequence's own cache; so a token of b sequences of mean length T takes
    (2 P / b + cache T) / bandwidth seconds.
Both ideals are divided by the shares of them that are reached, which are assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass

from ttc_rl.config import TrainConfig
from ttc_rl.launch.budget.models import Gpu, ModelShape
from ttc_rl.metrics.flops import BACKWARD, FORWARD

DRAWING_SHARE = 0.7, 0.2
"""Of the memory bandwidth, at best and at worst. An assumption, not a measurement: the long tail of
completions leaves an engine half empty."""
TRAINING_SHARE = 0.45, 0.2
"""Of the peak FLOP/s, at best and at worst. An assumption, not a measurement."""
UNTIL_FULL = 1024
"""Sequences that one engine decodes at a time, at most: vLLM's own limit for large GPUs."""


@dataclass(frozen=True)
class Cost:
    """Of training on `rollouts` completions of `tokens` each; pairs are at best, at worst."""

    rollouts: int
    tokens: int
    """Completion tokens of one rollout."""
    drawing_flops: float
    training_flops: float
    gpu_hours: tuple[float, float]

    @property
    def flops(self) -> float:
        return self.drawing_flops + self.training_flops


def scorings(train: TrainConfig) -> int:
    """Return TRL's forward passes besides the update's own: old log-probabilities, a reference
    model's.

    TRL takes old log-probabilities where vLLM drew (unless its correction is off), or where a
    generation lasts longer than one update.
    """
    corrected = train.trl.get("vllm_importance_sampling_correction", True)
    old = train.updates > 1 or (train.vllm is not None and corrected)
    return int(old) + int(bool(train.trl.get("beta", 0.0)))


def cost(
    shape: ModelShape,
    train: TrainConfig,
    gpu: Gpu,
    *,
    gpus: int,
    rollouts: int,
    tokens: int,
    prompt_tokens: int,
    cached_tokens: int | None,
) -> Cost:
    parameters, length = shape.parameters, prompt_tokens + tokens
    every = rollouts * length
    drawing = float(FORWARD * parameters * every)
    iterations = train.trl.get("num_iterations", 1)
    of_token = FORWARD * scorings(train) + (FORWARD + BACKWARD) * iterations
    training = float(of_token * parameters * every)
    at_once = max(train.rollouts_per_step // gpus, 1)
    if cached_tokens is not None:
        at_once = max(min(at_once, UNTIL_FULL, cached_tokens // length), 1)
    mean_length = prompt_tokens + tokens / 2
    of_one = (2 * parameters / at_once + shape.cache_bytes * mean_length) / gpu.bandwidth
    drawn, trained = rollouts * tokens * of_one, training / gpu.flops
    hours = [
        (drawn / bandwidth + trained / peak) / 3600
        for bandwidth, peak in zip(DRAWING_SHARE, TRAINING_SHARE, strict=True)
    ]
    return Cost(rollouts, tokens, drawing, training, (hours[0], hours[1]))


def equal_votes(shape: ModelShape, flops: float, target_tasks: int, vote_tokens: int) -> int:
    """Return the votes a target task that the base model could cast for the same FLOPs: F / (2 P t
    tasks)."""
    return int(flops / (FORWARD * shape.parameters * vote_tokens * target_tasks))
