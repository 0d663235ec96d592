"""Blocks of a recipe that are handed on as they stand: to vLLM's engine, and to peft's LoraConfig.

Their keys are held against the installed package's own names, read from its source. Without vLLM
they are taken as written: a machine that only prepares a run need not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ttc_rl.config.places import Places, did_you_mean
from ttc_rl.config.recipe import Recipe
from ttc_rl.config.section import nested
from ttc_rl.config.trl_fields import class_fields
from ttc_rl.schema import UserError

OF_EVERY_ENGINE = {
    "model": "is the model of the run; leave it out",
    "seed": "set `seed` instead",
    "generation_config": "the end tokens are those of the model's own file; leave it out",
}
OF_ADAPTERS = "the experts of a run set it; leave it out"
EVALUATING = OF_EVERY_ENGINE | {
    "dtype": "set model.dtype instead",
    "tensor_parallel_size": "set eval.engine.tensor_parallel_size instead",
    "gpu_memory_utilization": "set eval.engine.gpu_memory_utilization instead",
    "max_model_len": "set eval.engine.max_model_len instead",
    **dict.fromkeys(("enable_lora", "max_lora_rank", "max_loras", "max_cpu_loras"), OF_ADAPTERS),
}
"""Argument of vLLM's engine -> why `eval.engine.options` does not take it."""
TRAINING = OF_EVERY_ENGINE | {
    "tensor_parallel_size": "set train.vllm.tensor_parallel_size instead",
    "gpu_memory_utilization": "set train.vllm.gpu_memory_utilization instead",
    "max_model_len": "set train.trl.vllm_max_model_length instead",
    "enable_sleep_mode": "set train.vllm.sleep instead",
    "model_impl": "set train.trl.vllm_model_impl instead",
    "trust_remote_code": "set train.trl.trust_remote_code instead",
    "quantization": "TRL takes it from train.lora.load_in_4bit; leave it out",
    "enable_lora": "TRL merges an adapter before it hands weights over; leave it out",
    "distributed_executor_backend": "TRL runs the engine in the training's process; leave it out",
    "weight_transfer_config": "TRL's trainer needs its own; leave it out",
    "logprobs_mode": "TRL corrects by processed log-probabilities; leave it out",
    "max_logprobs": "TRL's trainer needs its own; leave it out",
}
"""Argument of vLLM's engine -> why `train.vllm.engine` does not take it."""
BY_TRAINER = "the training sets it; leave it out"
OTHER_MODEL = (
    "the adapter is merged into the base as it lies on disk, which this changes; leave it out"
)
LORA = {
    "r": "set train.lora.rank instead",
    "lora_alpha": "set train.lora.alpha instead",
    "lora_dropout": "set train.lora.dropout instead",
    "target_modules": "set train.lora.target_modules instead",
    **dict.fromkeys(
        ("task_type", "peft_type", "base_model_name_or_path", "revision", "inference_mode",
         "auto_mapping", "peft_version"),
        BY_TRAINER,
    ),
    "layer_replication": OTHER_MODEL,
    "lora_bias": "a layer without a bias cannot take one from an adapter; leave it out",
    "alora_invocation_tokens": "such an adapter cannot be merged into a model; leave it out",
}  # fmt: skip
"""Field of peft's LoraConfig -> why `train.lora.peft` does not take it."""
FIRST_WEIGHTS = (True, False, "gaussian", "orthogonal")
"""Of `init_lora_weights`: the other ways move the base's weights, or look at data first."""
OF_WEIGHTS = (
    "use_rslora", "rank_pattern", "alpha_pattern", "exclude_modules", "layers_to_transform",
    "layers_pattern", "init_lora_weights", "fan_in_fan_out",
)  # fmt: skip
"""Fields under which an adapter is a change of its layers' weights, and of nothing else."""


def engine_arguments() -> Mapping[str, frozenset[str]]:
    """Return the arguments of the installed vLLM's engine; nothing without vLLM."""
    return class_fields("vllm", "engine/arg_utils.py", "EngineArgs")


def lora_fields() -> Mapping[str, frozenset[str]]:
    """Return the fields of the installed peft's LoraConfig; nothing without peft."""
    return {
        **class_fields("peft", "config.py", "PeftConfigMixin"),
        **class_fields("peft", "config.py", "PeftConfig"),
        **class_fields("peft", "tuners/lora/config.py", "LoraConfig"),
    }


@dataclass(frozen=True)
class HandedOn:
    """A block of a recipe, and what it may hold."""

    at: str
    known: Callable[[], Mapping[str, frozenset[str]]]
    of: str
    refused: Mapping[str, str]


BLOCKS = (
    HandedOn("train.vllm.engine", engine_arguments, "vLLM's engine has no such argument", TRAINING),
    HandedOn("eval.engine.options", engine_arguments, "vLLM's engine has no such argument",
             EVALUATING),
    HandedOn("train.lora.peft", lora_fields, "peft's LoraConfig has no such field", LORA),
)  # fmt: skip


def check_handed_on(recipe: Recipe, places: Places) -> None:
    """Raise UserError for a key that is unknown there, or said in another place."""
    trees: list[tuple[str, Any]] = [("", recipe.model_dump(exclude={"arms", "sweep"}))]
    trees += [(f"arms.{name}.", change) for name, change in recipe.arms.items()]
    cells = [(key, value) for key, values in recipe.sweep.items() for value in values]
    trees += [("sweep.", nested(key, value)) for key, value in cells]
    for block in BLOCKS:
        for prefix, tree in trees:
            for key, value in _at(tree, block.at).items():
                if problem := _problem(block, key, value):
                    at = f"{prefix}{block.at}.{key}"
                    raise UserError(f"{places.of(at)}: {at}: {problem}")
    for name in recipe.arm_names:
        _check_mix(recipe.arm(name))


def _problem(block: HandedOn, key: str, value: Any) -> str | None:
    known = block.known()
    if key in block.refused:
        return block.refused[key]
    if known and key not in known:
        return f"{block.of}{did_you_mean(key, known)}"
    if block.refused is not LORA:
        return None
    if key == "init_lora_weights" and value not in FIRST_WEIGHTS:
        return f"{OTHER_MODEL}, or take gaussian or orthogonal (got {value!r})"
    types = " ".join(known.get(key, ()))
    return "takes an object of peft's, which no recipe can hold" if _is_object(types) else None


def _is_object(types: str) -> bool:
    return "Config" in types and "dict" not in types


def _check_mix(recipe: Recipe) -> None:
    """Raise UserError where a mixture of experts would leave out some of what they learned."""
    lora, experts = recipe.train.lora, recipe.experts
    if lora is None or experts is None or experts.mix is None:
        return
    for key in lora.peft:
        if key not in OF_WEIGHTS:
            raise UserError(
                f"{recipe.places.named(f'train.lora.peft.{key}')}: `experts.mix` adds up changes "
                "of layers' weights, and would leave out what this trains besides; leave it out"
            )


def _at(tree: Any, dotted: str) -> Mapping[str, Any]:
    for part in dotted.split("."):
        tree = cast(Mapping[str, Any], tree).get(part) if isinstance(tree, Mapping) else None
    return cast(Mapping[str, Any], tree) if isinstance(tree, Mapping) else {}
