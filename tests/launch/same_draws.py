"""ttc-rl, where several ranks train on the completions that one rank has drawn.

The ranks of a training draw with seeds of their own. Even with the same seeds they would not draw
the same: batches of other shapes round differently, and now and then that turns a draw. So one rank
alone keeps what it draws in the folder $DRAWN. Several ranks read it there, each its own rows, and
check that the prompts are theirs and that their weights find every token as likely.
"""

import os
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationMixin

from ttc_rl.cli.app import main
from ttc_rl.system.ranks import rank, world

CLOSE = 1e-2
"""Nats that rounding may move a token's log-probability by; 2e-3 was the most seen."""
generate: Any = GenerationMixin.generate
calls = iter(range(int(os.environ.get("FIRST", "0")), 10**6))
"""A training that goes on begins with the draw that its first step had."""


def with_same_draws(self: Any, *arguments: Any, **given: Any) -> Any:
    call, prompts = next(calls), given["input_ids"]
    file = Path(os.environ["DRAWN"]) / f"{call}.pt"
    if world() == 1:
        output = generate(self, *arguments, **given)
        completions = output[:, prompts.shape[1] :]
        file.parent.mkdir(exist_ok=True)
        torch.save((unpadded(given), completions, logprobs(self, given, completions)), file)
        return output
    first = rank() * len(prompts)
    theirs, completions, likely = (rows[first : first + len(prompts)] for rows in torch.load(file))
    assert unpadded(given) == theirs
    gap = (logprobs(self, given, completions) - likely).abs().max()
    assert gap < CLOSE, f"call {call}: {gap} nats apart"
    return torch.cat([prompts, completions], dim=1)


def unpadded(given: Any) -> list[list[int]]:
    pairs = zip(given["input_ids"], given["attention_mask"], strict=True)
    return [ids[mask.bool()].tolist() for ids, mask in pairs]


def logprobs(model: Any, given: Any, completions: torch.Tensor) -> torch.Tensor:
    """Of every token of the completions, under the model as it is."""
    ids = torch.cat([given["input_ids"], completions], dim=1)
    mask = torch.cat([given["attention_mask"], torch.ones_like(completions)], dim=1)
    logits = model(input_ids=ids, attention_mask=mask).logits[:, -completions.shape[1] - 1 : -1]
    return logits.log_softmax(dim=-1).gather(2, completions.unsqueeze(2)).squeeze(2)


if __name__ == "__main__":
    GenerationMixin.generate = with_same_draws
    main()
