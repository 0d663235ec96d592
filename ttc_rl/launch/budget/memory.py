"""What lies in the memory of one GPU while training, by part, from formulas that are printed.

    weights, gradients, optimiser     4, 4 and 8 bytes a parameter: TRL loads float32 unless told
                                      another dtype, and AdamW keeps two states of that dtype; with
                                      an adapter the latter two are of its parameters alone
    vLLM, colocated                   gpu_memory_utilization x memory: its bf16 weights and the rest
                                      as KV cache
    activations                       2 b T h L (what checkpointing keeps) + 34 b T h (one layer
                                      recomputed; arXiv 2205.05198, with attention not stored)
    logits                            8 b T V: bf16 logits, their gradient, one float32 copy

b completions of a micro-batch, T tokens of prompt and completion at their limit, L layers, h
hidden, V vocabulary. Not counted: the CUDA context, fragmentation, buffers of communication.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ttc_rl.config import TrainConfig
from ttc_rl.launch.budget.models import Gpu, ModelShape
from ttc_rl.train.curriculum import micro_batch

Parallel = Literal["single", "ddp", "fsdp2"]
"""What `ttc-rl launch --parallel` calls it; fsdp2 alone shares out memory."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
FOUR_BIT = 0.5
ADAM_STATES = 2
KEPT, RECOMPUTED, LOGITS = 2, 34, 8
GB = 1e9


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU; `cached_tokens` fit vLLM's KV cache there, None without vLLM."""

    parts: dict[str, float]
    cached_tokens: int | None
    sleeps: bool = False
    """vLLM gives its memory back while gradients are taken."""

    @property
    def total(self) -> float:
        """Return the most at any time."""
        if not self.sleeps:
            return sum(self.parts.values())
        rest = sum(self.parts[name] for name in ("weights", "gradients", "optimiser"))
        return rest + max(self.parts["vllm"], self.parts["activations"] + self.parts["logits"])


def memory(
    shape: ModelShape,
    train: TrainConfig,
    gpu: Gpu,
    *,
    gpus: int,
    parallel: Parallel,
    prompt_tokens: int,
) -> Memory:
    """Return the memory of a training by part. Raises UserError where a step's completions do not
    divide over the GPUs."""
    width = BYTES.get(str((train.trl.get("model_init_kwargs") or {}).get("dtype")), 4)
    each = width if train.adapter is None else BYTES["float32"]
    trained = each * trained_parameters(shape, train)
    bases = width * sum(min(map_) ** 2 for map_ in linear_maps(shape)) if train.svf else 0
    if train.lora is not None and train.lora.load_in_4bit:
        width = FOUR_BIT
    over = gpus if parallel == "fsdp2" else 1
    parts = {
        "weights": width * shape.parameters / over + bases,
        "gradients": trained / over,
        "optimiser": ADAM_STATES * trained / over,
    }
    batch, tokens = micro_batch(train, gpus), prompt_tokens + train.max_completion_tokens
    layers_kept = KEPT * shape.layers + RECOMPUTED
    parts["activations"] = layers_kept * batch * tokens * shape.hidden
    parts["logits"] = LOGITS * batch * tokens * shape.vocabulary
    if train.vllm is None or train.vllm.mode == "server":
        return Memory(parts, None)
    reserved = train.vllm.gpu_memory_utilization * gpu.memory_gb * GB
    parts["vllm"] = reserved
    engine = 2 * shape.parameters / train.vllm.tensor_parallel_size
    cache = shape.cache_bytes / train.vllm.tensor_parallel_size
    return Memory(parts, int(max(reserved - engine, 0) / cache), train.vllm.sleep)


def trained_parameters(shape: ModelShape, train: TrainConfig) -> int:
    """Return the number of trained parameters: all of them, or for each linear map that
    `all-linear` adapts, r (in + out) of LoRA and min(in, out) of SVF.

    Where the recipe names modules of its own, this is an upper bound.
    """
    if train.lora is not None:
        return sum(train.lora.rank * (a + b) for a, b in linear_maps(shape))
    if train.svf is not None:
        return sum(min(map_) for map_ in linear_maps(shape))
    return shape.parameters


def linear_maps(shape: ModelShape) -> list[tuple[int, int]]:
    """Return in and out of every linear map of all layers; the output layer is not among them."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = [(shape.hidden, queries), (queries, shape.hidden), *[(shape.hidden, keys)] * 2]
    return shape.layers * [*attention, *[(shape.hidden, shape.mlp)] * 2, (shape.mlp, shape.hidden)]
