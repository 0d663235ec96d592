"""What the model had to do, in tokens and FLOPs: 2 a parameter and token forward, 4 back.

The backward figure is that of training all parameters; with LoRA it is an upper bound. Padding,
attention's own products, the embedding of prompts and the verifiers are not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ttc_rl.schema import UserError

FORWARD, BACKWARD = 2, 4
"""FLOPs a parameter and token."""


@dataclass
class Spent:
    """Tokens, counted up while they are spent."""

    parameters: int
    completions: int = 0
    generated: int = 0
    forwarded: int = 0
    """Every token that went through the model, whether to draw or to take a gradient."""
    backpropagated: int = 0
    prompt_tokens: int = 0
    """Of the prompts drawn for, once a completion."""

    def drawn(self, prompt_tokens: int, reply_tokens: int) -> None:
        """Count one completion, its prompt read anew."""
        self.completions += 1
        self.generated += reply_tokens
        self.prompt_tokens += prompt_tokens
        self.forwarded += prompt_tokens + reply_tokens

    def differentiated(self, tokens: int) -> None:
        """Count tokens of sequences that a gradient was taken of."""
        self.forwarded += tokens
        self.backpropagated += tokens

    @property
    def flops(self) -> int:
        """Return 2 P forwarded + 4 P backpropagated."""
        return self.parameters * (FORWARD * self.forwarded + BACKWARD * self.backpropagated)

    def as_dict(self) -> dict[str, Any]:
        """Return what selection.json holds under `compute`."""
        tokens = self.prompt_tokens + self.generated
        return {
            "parameters": self.parameters,
            "completions": self.completions,
            "generated_tokens": self.generated,
            "forwarded_tokens": self.forwarded,
            "backpropagated_tokens": self.backpropagated,
            "flops": self.flops,
            "tokens_a_rollout": tokens / self.completions if self.completions else None,
        }


def charged_steps(
    steps: int, rollouts_per_step: int, updates: int, compute: dict[str, Any] | None
) -> int:
    """Return the training steps that remain when selection's FLOPs are taken off those of `steps`.

    floor((steps F - spent) / F), F = rollouts T P (2 + 6 updates): each rollout of T tokens is
    drawn once and differentiated `updates` times. T, prompt and reply, is the mean of what
    selection drew from the same model. Raises UserError where not one step is left.
    """
    if not compute or not compute["flops"]:
        return steps
    of_token = FORWARD + (FORWARD + BACKWARD) * updates
    of_step = rollouts_per_step * compute["tokens_a_rollout"] * compute["parameters"] * of_token
    steps_left = math.floor(steps - compute["flops"] / of_step)
    if steps_left < 1:
        raise UserError(
            f"train.charge_selection: selection spent {compute['flops']:.3g} FLOPs, the "
            f"{steps} steps of training cost {steps * of_step:.3g}: none is left; lower "
            "selection's pool or samples, or raise selection.size or train.epochs"
        )
    return steps_left
