"""ttc-rl on processes that accelerate takes for GPUs', so that it shares their weights out (FSDP2).

accelerate refuses FSDP without GPUs, PyTorch does not: its DTensors go over gloo as well. With
DRAWN in the environment they train on completions that one rank has drawn; see same_draws.py.
"""

import os
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType
from same_draws import with_same_draws
from transformers import GenerationMixin
from trl.trainer.grpo_trainer import GRPOTrainer

from ttc_rl.cli.app import main

begun, step = PartialState.__init__, GRPOTrainer.training_step


def as_on_gpus(self: Any, *given: Any, **more: Any) -> None:
    begun(self, *given, **more)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


def on_shards(self: Any, model: Any, *given: Any, **more: Any) -> Any:
    for name, parameter in model.named_parameters():
        assert type(parameter).__name__ == "DTensor", name
        assert parameter.to_local().numel() < parameter.numel(), name
    return step(self, model, *given, **more)


if __name__ == "__main__":
    PartialState.__init__ = as_on_gpus  # type: ignore[method-assign]
    GRPOTrainer.training_step = on_shards
    if "DRAWN" in os.environ:
        GenerationMixin.generate = with_same_draws
    main()
