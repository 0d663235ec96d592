"""ttc-rl, where every completion has random numbers of its own, whichever rank draws it.

The ranks of a training draw with seeds of their own, so that two runs over different numbers of
ranks see different completions. With these draws they see the same, and may be compared.
"""

from typing import Any

from transformers import GenerationMixin, LogitsProcessorList

from ttc_rl.cli import main
from ttc_rl.ranks import rank
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.generate import _SeededDraws

LENGTH = 12
generate: Any = GenerationMixin.generate
calls = iter(range(10**6))


def with_own_draws(self: Any, *arguments: Any, **given: Any) -> Any:
    if "logits_processor" in given:  # the base model's own evaluation, which has such draws
        return generate(self, *arguments, **given)
    rows, call = len(given["input_ids"]), next(calls)
    seeds = [1000 * call + rank() * rows + row for row in range(rows)]
    draws = LogitsProcessorList([_SeededDraws(seeds, Decoding(LENGTH), LENGTH)])
    return generate(self, *arguments, logits_processor=draws, **given)


if __name__ == "__main__":
    GenerationMixin.generate = with_own_draws
    main()
