"""The fields of TRL's configs and what they take, without importing TRL."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ttc_rl.config.places import did_you_mean

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
    "chat_template_kwargs": "prompts.template, which evaluation obeys too,",
}
"""Fields that a recipe says in another place: two places for one thing would drift apart."""
GONE = {
    "max_prompt_length": "TRL has dropped it: no prompt is cut, and one that leaves no room for a "
    "completion is told of before training; leave it out",
}
"""Fields of older scripts -> what became of them."""
LOGGING = ("logging_steps", "logging_strategy")
"""Fields that would thin what metrics.jsonl and the watchdog are made of."""


@functools.cache
def integrations() -> frozenset[str]:
    """What transformers can report to, read from its source; empty without transformers."""
    tree = _parsed("transformers", "integrations/integration_utils.py")
    for node in tree.body if tree else []:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if names == ["INTEGRATION_TO_CALLBACK"]:
                return frozenset(k.value for k in node.value.keys if isinstance(k, ast.Constant))  # pyright: ignore
    return frozenset()


@functools.cache
def vllm_window() -> tuple[str, str] | None:
    """Return the oldest and the newest vLLM that the installed TRL supports, read from the check
    that it makes itself; None without TRL or without such a check."""
    tree = _parsed("trl", "import_utils.py")
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Compare) and "_vllm" in ast.unparse(node):
            ends = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            if len(ends) == 2:
                return str(ends[0]), str(ends[1])
    return None


PARENT_FILES = ("transformers", "training_args.py"), ("trl", "trainer/base_config.py")
"""Where the parents of TRL's configs are."""
CONFIGS = {"grpo": "GRPOConfig", "sft": "SFTConfig", "dpo": "DPOConfig", "sdpo": "SDPOConfig"}
"""Method -> TRL's config; a method of the user's own is given GRPO's fields to check."""
EXPERIMENTAL = ("sdpo",)
"""Methods whose files TRL keeps apart."""
ENUM_FILES = (("transformers", "trainer_utils.py"), ("transformers", "training_args.py"))
NUMBERS = {"bool": "true or false", "int": "a whole number", "float": "a number", "None": "null"}


def config_fields(method: str = "grpo") -> frozenset[str]:
    """Field names of the installed TRL's config of a method; empty without TRL."""
    return frozenset(_annotations(_known(method)))


def shared_fields() -> frozenset[str]:
    """Field names that every method's config has: those of transformers' TrainingArguments."""
    return frozenset(_declared(PARENT_FILES))


def config_name(method: str) -> str:
    return CONFIGS[_known(method)]


def _file(method: str, what: str) -> tuple[str, str]:
    """Return the package and the file of a method's config or trainer."""
    folder = f"experimental/{method}" if method in EXPERIMENTAL else "trainer"
    return "trl", f"{folder}/{method}_{what}.py"


def _known(method: str) -> str:
    return method if method in CONFIGS else "grpo"


def unfit(field: str, value: Any, method: str = "grpo") -> str | None:
    """Return what a field of a method's config takes, where `value` is nothing of the kind.

    GRPOConfig itself lets `learning_rate: 1e-6x` and `loss_type: grop` pass; the trainer fails on
    them at its first step. Numbers, flags and names are looked at; None means that nothing is
    known to be wrong.
    """
    method = _known(method)
    types = _annotations(method).get(field, frozenset())
    if types and types <= NUMBERS.keys() and not _is_of(value, types):
        taken = " or ".join(text for name, text in NUMBERS.items() if name in types)
        return f"takes {taken} (got {value!r})"
    if not isinstance(value, str):
        return None
    known = _names(method).get(field) or next((_enums()[t] for t in types if t in _enums()), None)
    if known and value not in known:
        hint = did_you_mean(value, known) or f"; one of {', '.join(sorted(known))}"
        return f"there is no {value!r}{hint}"
    return None


def _is_of(value: Any, types: frozenset[str]) -> bool:
    if value is None or isinstance(value, bool):
        return ("None" if value is None else "bool") in types
    if isinstance(value, int):
        return bool(types & {"int", "float"})
    return isinstance(value, float) and ("float" in types or value.is_integer())


# --------------------------------------------------------------------------- from the sources
#
# Importing GRPOConfig takes many seconds; a wrong key or value should be told in a fraction of one.


def _parsed(package: str, file: str) -> ast.Module | None:
    """A source file of an installed package; None without it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    source = Path(spec.submodule_search_locations[0]) / file
    return ast.parse(source.read_text()) if source.exists() else None


@functools.cache
def _annotations(method: str) -> Mapping[str, frozenset[str]]:
    """Field -> names of the types that its annotation joins; empty without TRL."""
    return _declared((*PARENT_FILES, _file(method, "config")))


@functools.cache
def class_fields(package: str, file: str, name: str) -> Mapping[str, frozenset[str]]:
    """Return field -> types, of one class in a file of a package; nothing without the package."""
    tree = _parsed(package, file)
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef)] if tree else []
    return {field: types for node in classes if node.name == name for field, types in _fields(node)}


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, frozenset[str]]]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            types = ast.unparse(item.annotation).split("|")
            yield item.target.id, frozenset(part.strip() for part in types)


@functools.cache
def _declared(files: tuple[tuple[str, str], ...]) -> Mapping[str, frozenset[str]]:
    """Field -> types, of the classes in these files, parents first; empty without TRL."""
    if importlib.util.find_spec("trl") is None:
        return {}
    return {
        field: types
        for package, file in files
        for node in getattr(_parsed(package, file), "body", [])
        if isinstance(node, ast.ClassDef)
        for field, types in _fields(node)
    }


@functools.cache
def _enums() -> Mapping[str, frozenset[str]]:
    """transformers' class of names -> those names."""
    return {
        node.name: frozenset(
            str(item.value.value)
            for item in node.body
            if isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant)
        )
        for package, file in ENUM_FILES
        for node in getattr(_parsed(package, file), "body", [])
        if isinstance(node, ast.ClassDef) and "ExplicitEnum" in map(ast.unparse, node.bases)
    }


@functools.cache
def _names(method: str) -> Mapping[str, frozenset[str]]:
    """Field -> names that the trainer takes: those it asks for before it gives up with an error."""
    tree = _parsed(*_file(method, "trainer"))
    found: dict[str, frozenset[str]] = {}
    nodes: Iterable[ast.AST] = ast.walk(tree) if tree else ()
    for node in nodes:
        field, names, last = _cases(node)
        if field and any(isinstance(statement, ast.Raise) for statement in last):
            found.setdefault(field, names)
    return found


def _cases(node: ast.AST) -> tuple[str | None, frozenset[str], list[ast.stmt]]:
    """Of `if self.FIELD == "a": ... elif self.FIELD in ["b", "c"]: ... else: ...` the field, the
    names, and what is done with any other name."""
    field, names, last = None, set[str](), list[ast.stmt]()
    while isinstance(node, ast.If):
        test = node.test
        if not (isinstance(test, ast.Compare) and isinstance(test.left, ast.Attribute)):
            return None, frozenset(), []
        if field not in (None, test.left.attr) or not isinstance(test.ops[0], ast.Eq | ast.In):
            return None, frozenset(), []
        field = test.left.attr
        asked = ast.walk(test.comparators[0])
        names |= {str(part.value) for part in asked if isinstance(part, ast.Constant)}
        last = node.orelse
        node = last[0] if len(last) == 1 else ast.Pass()
    return field, frozenset(names), last
