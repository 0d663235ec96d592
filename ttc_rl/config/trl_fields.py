"""The field names of TRL's GRPOConfig, without importing TRL."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path

SAID_ELSEWHERE = {
    "num_generations": "train.rollouts_per_task",
    "max_completion_length": "train.max_completion_tokens",
    "per_device_train_batch_size": "train.micro_batch",
    "gradient_accumulation_steps": "train.micro_batch",
    "generation_batch_size": "train.tasks_per_step",
    "steps_per_generation": "train.updates_per_step",
    "num_train_epochs": "train.epochs",
    "max_steps": "train.epochs and selection.size",
    "save_steps": "train.save_steps",
    "save_strategy": "train.save_steps",
    "save_total_limit": "train.save_steps",
    "shuffle_dataset": "the curriculum's order, which is kept",
    "output_dir": "--run-dir",
    "seed": "seed",
    "data_seed": "seed",
    "use_vllm": "train.vllm",
    "vllm_mode": "train.vllm.mode",
    "vllm_enable_sleep_mode": "train.vllm.sleep",
    "vllm_gpu_memory_utilization": "train.vllm.gpu_memory_utilization",
    "vllm_tensor_parallel_size": "train.vllm.tensor_parallel_size",
    "vllm_server_base_url": "train.vllm.server_base_url",
}
"""Fields that a recipe says in another place: two places for one thing would drift apart."""


@functools.cache
def integrations() -> frozenset[str]:
    """What transformers can report to, read from its source; empty without transformers."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    source = Path(spec.submodule_search_locations[0]) / "integrations" / "integration_utils.py"
    for node in ast.parse(source.read_text()).body if source.exists() else []:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if names == ["INTEGRATION_TO_CALLBACK"]:
                return frozenset(k.value for k in node.value.keys if isinstance(k, ast.Constant))  # pyright: ignore
    return frozenset()


@functools.cache
def grpo_config_fields() -> frozenset[str]:
    """Field names of the installed TRL's GRPOConfig, read from its source; empty without TRL.

    Importing GRPOConfig takes many seconds; a misspelt key should be told in a fraction of one.
    """
    fields: set[str] = set()
    for package, file in (
        ("trl", "trainer/grpo_config.py"),
        ("trl", "trainer/base_config.py"),
        ("transformers", "training_args.py"),
    ):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return frozenset()
        source = Path(spec.submodule_search_locations[0]) / file
        if source.exists():
            fields |= {
                item.target.id
                for node in ast.parse(source.read_text()).body
                if isinstance(node, ast.ClassDef)
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            }
    return frozenset(fields)
