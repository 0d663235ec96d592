"""What our trainers use of TRL beyond its documented interface, all in this one file.

`USES` lists each private method that we override or call and each attribute that we read, with the
signature that we count on. `check_trl` holds the list against TRL's sources before a trainer is
made. The functions below it reach into TRL for what it has no argument for: the engine's seed
(TRL #7040 describes the gap), more of the engine's arguments, a seed for each request, and an
evaluation between two steps.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Any

from ttc_rl.schema import UserError, sample_seed
from ttc_rl.system.install import install

AT_ONCE = 64
"""Requests under way: the connections that TRL's client keeps."""
ROLLOUTS = "rollouts"
"""Set apart from tasks' ids in `sample_seed`."""


@dataclass(frozen=True)
class Use:
    """A class of TRL's and what we use of it."""

    file: str
    owner: str
    overrides: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    """Method -> its parameters, and the method that has to call it; None where transformers'
    Trainer does."""
    calls: Mapping[str, str] = field(default_factory=dict)
    """Method -> parameters that we pass by name; it may have others."""
    attributes: str = ""
    """Attributes that its methods set."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Method -> keys and variables in it that we count on."""


REWARDED = (
    "self inputs prompts completions completion_ids_list",
    "_generate_and_score_completions",
)
ENGINE = (
    Use(
        "generation/vllm_generation.py",
        "VLLMGeneration",
        calls={"sync_weights": "self"},
        attributes=(
            "llm vllm_client mode enable_sleep_mode tensor_parallel_size _llm_weights_sleeping"
        ),
        words={"_init_vllm": "LLM seed"},
    ),
    Use(
        "generation/vllm_client.py",
        "VLLMClient",
        calls={"generate": "prompts features n generation_kwargs"},
    ),
)
USES: Mapping[str, tuple[Use, ...]] = {
    "grpo": (
        Use(
            "trainer/grpo_trainer.py",
            "GRPOTrainer",
            overrides={
                "_generate_and_score_completions": ("self inputs", "_prepare_inputs"),
                "_generate": ("self prompts", "_generate_and_score_completions"),
                "_calculate_rewards": REWARDED,
                "_save_checkpoint": ("self model trial", None),
            },
            attributes="_metrics vllm_generation eos_token_ids _last_loaded_step",
            words={
                "_calculate_rewards": "trainer_state log_metric completion_ids",
                "_generate_and_score_completions": "advantages",
            },
        ),
        *ENGINE,
    ),
    "sdpo": (
        Use(
            "experimental/sdpo/sdpo_trainer.py",
            "SDPOTrainer",
            overrides={
                "sample_rollouts": ("self inputs", "_prepare_training_batch"),
                "_calculate_rewards": (REWARDED[0], "_prepare_training_batch"),
            },
            attributes=(
                "_metrics vllm_generation eos_token_ids teacher_context_builder teacher_model "
                "num_generations"
            ),
            words={"sample_rollouts": "prompt_mask raw_completion_lengths"},
        ),
        Use(
            "experimental/sdpo/sdpo_trainer.py",
            "SuccessfulRolloutTeacherContextBuilder",
            overrides={"build": ("self output prompts rewards feedbacks", None)},
            attributes="trainer last_metrics",
            words={"build": "teacher_attention_mask"},
        ),
        *ENGINE,
    ),
    "sft": (
        Use(
            "trainer/sft_trainer.py",
            "DataCollatorForLanguageModeling",
            words={"torch_call": "input_ids labels"},
        ),
    ),
    "dpo": (
        Use(
            "trainer/dpo_trainer.py",
            "DPOTrainer",
            overrides={
                "_prepare_dataset": ("self dataset processing_class args dataset_name", "__init__")
            },
        ),
        Use(
            "trainer/dpo_trainer.py",
            "DataCollatorForPreference",
            words={"torch_call": "prompt_ids chosen_ids rejected_ids"},
        ),
    ),
}
"""Method of training -> what its trainer uses."""
COMPLETION_IDS, COMPLETIONS = 1, 3
"""Where they stand in what GRPOTrainer's `_generate` returns."""
RETURNS = {COMPLETION_IDS: "completion_ids", COMPLETIONS: "completions"}


# --------------------------------------------------------------------------- the check


def check_trl(method: str) -> None:
    """Raise UserError where the installed TRL lacks something that a method's trainer uses."""
    for problem in missing(_installed(), method):
        raise UserError(
            f"trl {metadata.version('trl')}: {problem}; train.method {method} was written for "
            f"another version: {install('train')}"
        )


def missing(trl: Path, method: str) -> Iterator[str]:
    """Yield what a copy of TRL's package lacks of what a method's trainer uses."""
    for use in USES[method]:
        if not (trl / use.file).is_file():
            yield f"there is no trl/{use.file}"
            continue
        owner = _class(ast.parse((trl / use.file).read_text(encoding="utf-8")), use.owner)
        if owner is None:
            yield f"trl/{use.file} has no class {use.owner}"
            continue
        yield from _missing_of(owner, use)


def _installed() -> Path:
    spec = util.find_spec("trl")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"training needs TRL: {install('train')}")
    return Path(spec.submodule_search_locations[0])


def _class(tree: ast.Module, name: str) -> ast.ClassDef | None:
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return next((node for node in classes if node.name == name), None)


def _missing_of(owner: ast.ClassDef, use: Use) -> Iterator[str]:
    methods = {node.name: node for node in owner.body if isinstance(node, ast.FunctionDef)}
    for name, (parameters, caller) in use.overrides.items():
        if name not in methods:
            yield f"{use.owner} has no {name}"
        elif _parameters(methods[name]) != parameters.split():
            yield (
                f"{use.owner}.{name} takes ({', '.join(_parameters(methods[name]))}), not "
                f"({', '.join(parameters.split())})"
            )
        if caller and name not in _words(methods.get(caller)):
            yield f"{use.owner}.{caller} does not call {name}"
    for name, parameters in use.calls.items():
        there = _parameters(methods[name]) if name in methods else []
        yield from (
            f"{use.owner}.{name} takes no {parameter}"
            for parameter in parameters.split()
            if parameter not in there
        )
    every = _words(owner)
    yield from (
        f"{use.owner} has no attribute {name}"
        for name in use.attributes.split()
        if name not in every
    )
    for name, words in use.words.items():
        there = _words(methods.get(name))
        yield from (
            f"{use.owner}.{name} has no {word}" for word in words.split() if word not in there
        )
    if use.owner == "GRPOTrainer" and "_generate" in methods:
        yield from _misplaced(methods["_generate"])


def _misplaced(generate: ast.FunctionDef) -> Iterator[str]:
    """Yield what does not stand where `RETURNS` says."""
    returned = [node.value for node in ast.walk(generate) if isinstance(node, ast.Return)]
    names = [ast.unparse(part) for part in getattr(returned[-1], "elts", [])] if returned else []
    for place, name in RETURNS.items():
        if names[place : place + 1] != [name]:
            there = ", ".join(names)
            yield f"GRPOTrainer._generate returns ({there}), {name} not as number {place}"


def _parameters(function: ast.FunctionDef) -> list[str]:
    return [item.arg for item in (*function.args.args, *function.args.kwonlyargs)]


def _words(node: ast.AST | None) -> set[str]:
    """Return the attributes, names, keyword arguments and texts in a piece of source."""
    found = set[str]()
    for part in ast.walk(node) if node else ():
        match part:
            case ast.Attribute(attr=word) | ast.Name(id=word) | ast.keyword(arg=str(word)):
                found.add(word)
            case ast.Constant(value=str(word)):
                found.add(word)
            case _:
                pass
    return found


# --------------------------------------------------------------------------- the engine


@contextmanager
def engine_made_with(seed: int, options: Mapping[str, Any]) -> Iterator[None]:
    """Have TRL make vLLM's engine, inside the block, with our seed and more arguments.

    TRL seeds it by the process alone, so that every seed of a recipe would draw the same rollouts.
    Processes that share an engine are given one seed by TRL, and keep one.
    """
    from trl.generation import vllm_generation

    generation: Any = vllm_generation
    plain = getattr(generation, "LLM", None)  # not there without vLLM, as TRL will say
    if plain is None:
        yield
        return

    def engine(**arguments: Any) -> Any:
        own = sample_seed(seed, ROLLOUTS, arguments["seed"])
        return plain(**{**arguments, **options, "seed": own})

    generation.LLM = engine
    try:
        yield
    finally:
        generation.LLM = plain


def send_weights(trainer: Any) -> None:
    """Give vLLM the weights of this step, as TRL does before a step's rollouts."""
    generation = trainer.vllm_generation
    asleep = generation.mode == "colocate" and getattr(generation, "_llm_weights_sleeping", False)
    if asleep or trainer.state.global_step != trainer._last_loaded_step:
        generation.sync_weights()
        trainer._last_loaded_step = trainer.state.global_step


@contextmanager
def awake(generation: Any) -> Iterator[Any]:
    """Give the colocated engine, ready to draw, and put it to sleep again as TRL does."""
    if generation.enable_sleep_mode:
        generation.llm.wake_up(tags=["kv_cache"])
    try:
        yield generation.llm
    finally:
        if generation.enable_sleep_mode:
            generation.llm.sleep(level=2)
            generation._llm_weights_sleeping = True


def seed_requests(trainer: Any, seed: int) -> None:
    """Have each request of a trainer to vLLM's server carry a seed: of the recipe's, the update,
    the time in it and the prompt's place.

    A request is then one prompt with all its completions, to which vLLM gives seed, seed + 1 and so
    on. One for all prompts would draw them with the same random numbers.
    """
    client = getattr(getattr(trainer, "vllm_generation", None), "vllm_client", None)
    if client is None:  # no vLLM, colocated, or not the rank that speaks with the server
        return
    plain, times = client.generate, Counter[int]()

    def generate(
        prompts: list[Any],
        features: list[Any] | None = None,
        n: int = 1,
        generation_kwargs: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> dict[str, list[Any] | None]:
        update = trainer.state.global_step
        times[update] += 1
        name = f"{ROLLOUTS} {update} {times[update]}"

        def one(place: int) -> dict[str, list[Any] | None]:
            return plain(
                prompts=[prompts[place]],
                features=features and [features[place]],
                n=n,
                generation_kwargs={
                    **(generation_kwargs or {}), "seed": sample_seed(seed, name, place * n),
                },
                **parameters,
            )  # fmt: skip

        with ThreadPoolExecutor(min(AT_ONCE, len(prompts))) as pool:
            parts = list(pool.map(one, range(len(prompts))))
        return {key: _joined([part[key] for part in parts]) for key in parts[0]}

    client.generate = generate


def _joined(lists: list[list[Any] | None]) -> list[Any] | None:
    """Return the lists in a row; None where there are none, as of log-probabilities not asked."""
    if any(part is None for part in lists):
        return None
    return [item for part in lists if part is not None for item in part]
