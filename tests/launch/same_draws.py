"""ttc-rl, where every completion has random numbers of its own, whichever rank draws it.

The ranks of a training draw with seeds of their own, so that two runs over different numbers of
ranks see different completions. With these draws they see the same, and may be compared.
"""

from typing import Any

import numpy as np
import torch
from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList

from ttc_rl.cli import main
from ttc_rl.ranks import rank
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.draws import draw

LENGTH = 12
generate: Any = GenerationMixin.generate
calls = iter(range(10**6))


class SeededDraws(LogitsProcessor):
    """Leaves each row the one token that its own stream of random numbers draws."""

    def __init__(self, seeds: list[int]) -> None:
        numbers_TR = np.stack(
            [np.random.default_rng(seed).random(LENGTH) for seed in seeds], axis=1
        )
        self.numbers = iter(torch.from_numpy(numbers_TR))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        token_R, _ = draw(scores, next(self.numbers), Decoding(LENGTH))
        return torch.full_like(scores, -torch.inf).scatter(1, token_R.unsqueeze(1), 0.0)


def with_own_draws(self: Any, *arguments: Any, **given: Any) -> Any:
    rows, call = len(given["input_ids"]), next(calls)
    seeds = [1000 * call + rank() * rows + row for row in range(rows)]
    draws = LogitsProcessorList([SeededDraws(seeds)])
    return generate(self, *arguments, logits_processor=draws, **given)


if __name__ == "__main__":
    GenerationMixin.generate = with_own_draws
    main()
