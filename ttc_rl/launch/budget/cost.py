"""FLOPs, seconds, money, and how many votes of the base model the same FLOPs would buy.

FLOPs follow ttc_rl/metrics/flops.py: 2 P a token forward, 4 P back, with P the parameters that a
token passes through: of a mixture of experts, those that it uses. A token of a method that draws
is drawn once; each is scored `scorings` times more and differentiated `iterations` times
(`Method.step_cost`):

    F = P tokens (2 + 2 scorings + 6 iterations)

Drawing is bound by memory bandwidth: a step of decoding reads the weights once for all sequences
under way, and every sequence's own cache; so a token of b sequences of mean length T takes
    (2 P / b + cache T) / bandwidth seconds.
Both ideals are divided by the shares of them that are reached, which are assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass

from ttc_rl.launch.budget.models import Gpu, ModelShape
from ttc_rl.metrics.flops import BACKWARD, FORWARD
from ttc_rl.train.methods import StepCost

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


def cost(
    shape: ModelShape,
    step: StepCost,
    gpu: Gpu,
    *,
    gpus: int,
    steps: int,
    tokens: int,
    prompt_tokens: int,
    cached_tokens: int | None,
) -> Cost:
    """Price a training of `steps` steps, each of whose sequences has `tokens` tokens."""
    parameters, length = shape.active, prompt_tokens + tokens
    rollouts = steps * step.sequences
    every = rollouts * length
    drawing = float(FORWARD * parameters * every) if step.drawn else 0.0
    of_token = FORWARD * step.scorings + (FORWARD + BACKWARD) * step.iterations
    training = float(of_token * parameters * every)
    at_once = max(step.sequences // gpus, 1)
    if cached_tokens is not None:
        at_once = max(min(at_once, UNTIL_FULL, cached_tokens // length), 1)
    mean_length = prompt_tokens + tokens / 2
    of_one = (2 * shape.parameters / at_once + shape.cache_bytes * mean_length) / gpu.bandwidth
    drawn = rollouts * tokens * of_one if step.drawn else 0.0
    trained = training / gpu.flops
    hours = [
        (drawn / bandwidth + trained / peak) / 3600
        for bandwidth, peak in zip(DRAWING_SHARE, TRAINING_SHARE, strict=True)
    ]
    return Cost(rollouts, tokens, drawing, training, (hours[0], hours[1]))


def equal_votes(shape: ModelShape, flops: float, target_tasks: int, vote_tokens: int) -> int:
    """Return the votes a target task that the base model could cast for the same FLOPs: F / (2 P t
    tasks)."""
    return int(flops / (FORWARD * shape.active * vote_tokens * target_tasks))
