"""Checks before a run: files, config and tokenizer of each model, TRL's settings.

Whatever is wrong there would end the run later, after its selection or amid its training. Each
message begins with the place of the key in the recipe.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ttc_rl.config import Recipe
from ttc_rl.config.places import did_you_mean
from ttc_rl.config.prompts import RESERVED
from ttc_rl.corpus.benchmarks import check_target
from ttc_rl.corpus.sources import check_source
from ttc_rl.embed.encoders import POLICY, check_encoder
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import UserError
from ttc_rl.stages.holdout import TARGET
from ttc_rl.stages.inputs import NEEDS_MODEL
from ttc_rl.stages.own_code import check_own_code, graders_of
from ttc_rl.system.model_files import check_folder, check_place
from ttc_rl.train.packaged import packaged_model
from ttc_rl.verifiers.kinds import KINDS

if TYPE_CHECKING:
    from torch.nn import Module

    from ttc_rl.sampling.inspect_model import Inspected

Stage = Literal["select", "train", "eval"]
EVERY: tuple[Stage, ...] = ("select", "train", "eval")
ALL_LINEAR = "all-linear"


def check_files(recipe: Recipe) -> None:
    """Raise UserError where a file or folder that the recipe names is not there, or not whole.

    The user's own code is imported. Takes no time besides: nothing heavy of ours is imported,
    and the hub is not asked.
    """
    check_own_code(recipe)
    for arm in _arms(recipe):
        for kind in arm.prompts:
            if kind not in (known := (*RESERVED, *KINDS, *arm.verifiers)):
                hint = did_you_mean(kind, known) or f"; there are {', '.join(known)}"
                raise UserError(f"{arm.places.named(f'prompts.{kind}')}: no kind of task{hint}")
        if arm.model.path is not None:
            with _at(arm, "model.path"):
                _check_local(arm.model.path)
        if arm.embed.model != POLICY:
            with _at(arm, "embed.model"):
                check_place(arm.embed.model)
        if arm.train.mask is not None and not Path(arm.train.mask).is_file():
            where = arm.places.named("train.mask")
            raise UserError(f"{where}: {arm.train.mask}: no such file; `ttc-rl patch` makes one")
    if recipe.judge and recipe.judge.endpoint is None:
        with _at(recipe, "judge.model"):
            _check_local(recipe.judge.model)


def check_sources(recipe: Recipe) -> None:
    """Raise UserError where a source or benchmark of the recipe has no such name or file.

    The hub is not asked. A stage finds the same, where it reads them; a finished one does without.
    """
    sources = {"corpus": recipe.corpus}
    if recipe.model.warmup and recipe.model.warmup.source:
        sources["model.warmup.source"] = [recipe.model.warmup.source]
    for arm in _arms(recipe):
        dev = arm.train.dev.source if arm.train.dev else None
        sources["train.dev.source"] = [dev] if dev and dev != TARGET else []
        sources["selection.less.dev"] = [arm.selection.less.dev] if arm.selection.less.dev else []
        for key, entries in sources.items():
            for entry in entries:
                with _at(arm, key):
                    check_source(entry, recipe.data)
    targets = {
        "target": recipe.targets,
        "eval.benchmarks": recipe.eval.benchmarks,
        "eval.retention": recipe.eval.retention or [],
    }
    for key, names in targets.items():
        for name in names:
            with _at(recipe, key):
                check_target(name, recipe.data)


def check_run(recipe: Recipe, run: RunDir, stages: Iterable[Stage] = EVERY) -> None:
    """Raise UserError for whatever config and tokenizer tell of these stages; loads no weights."""
    stages = tuple(stages)
    check_files(recipe)
    graders_of(recipe)
    inspected: dict[str, Inspected] = {}
    for name, arm in zip(recipe.arm_names, _arms(recipe), strict=True):
        if "select" in stages:
            with _at(arm, "embed.model"):
                check_encoder(arm.embed)
        if _uses_model(arm, stages):
            _check_model(arm, stages, inspected)
        if "train" in stages and arm.policy.trains:
            from ttc_rl.train.methods import method_of
            from ttc_rl.train.methods.trl_config import check_config

            if config := method_of(arm).config:
                check_config(arm, config(arm, 1, run.arm(name, recipe), False))
            _check_adapter(arm, inspected)
    if recipe.judge and recipe.judge.endpoint is None:
        from ttc_rl.sampling.inspect_model import inspect_model

        with _at(recipe, "judge.model"):
            inspect_model(recipe.judge.model)


def _arms(recipe: Recipe) -> list[Recipe]:
    return [recipe.arm(name) for name in recipe.arm_names]


@contextmanager
def _at(recipe: Recipe, key: str) -> Iterator[None]:
    """Have errors begin with the place of a key."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{recipe.places.named(key)}: {error}") from None


def _check_local(path: str) -> None:
    check_place(path)
    if Path(path).is_dir():
        check_folder(Path(path))


def _uses_model(recipe: Recipe, stages: tuple[Stage, ...]) -> bool:
    """Return whether one of the stages loads the recipe's model; a folder is checked in any
    case."""
    path = recipe.model.path
    if path is None or importlib.util.find_spec("transformers") is None:
        return False
    asks = recipe.selection.method in NEEDS_MODEL or recipe.selection.variants is not None
    selecting = asks or recipe.embed.model == POLICY
    drawn = recipe.eval.models is None or "base" in recipe.eval.models or recipe.experts
    uses = {
        "select": selecting or recipe.preflight or recipe.model.warmup,
        "train": True,
        "eval": drawn and recipe.engine.backend != "endpoint",
    }
    return Path(path).is_dir() or any(uses[stage] for stage in stages)


def _check_model(
    recipe: Recipe, stages: tuple[Stage, ...], inspected: dict[str, Inspected]
) -> None:
    from ttc_rl.sampling.inspect_model import inspect_model

    path = recipe.model.path
    assert path is not None
    with _at(recipe, "model.path"):
        model = inspected[path] = inspected.get(path) or inspect_model(packaged_model(path) or path)
        model.check_tokens(recipe.prompts)
    limits = {
        "train.max_completion_tokens": recipe.train.max_completion_tokens,
        "eval.max_tokens": recipe.eval.max_tokens,
    }
    for key, limit in limits.items():
        if key.partition(".")[0] in stages and limit and model.context and limit >= model.context:
            raise UserError(
                f"{recipe.places.named(key)}: {limit} tokens of completion leave no room for a "
                f"prompt: {path} reads {model.context} in all; lower it"
            )


def _check_adapter(recipe: Recipe, inspected: dict[str, Inspected]) -> None:
    """Raise UserError for a name of `target_modules` that no module of the model has."""
    adapter = recipe.train.adapter
    if adapter is None or adapter.target_modules == ALL_LINEAR:
        return
    named, model = adapter.target_modules, _skeleton(recipe, inspected)
    modules = [name for name, _ in model.named_modules()]
    with _at(recipe, f"train.{'lora' if recipe.train.lora else 'svf'}.target_modules"):
        for target in [named] if isinstance(named, str) else named:
            if not any(map(_matcher(target, pattern=isinstance(named, str)), modules)):
                last = {name.rpartition(".")[2] for name in modules}
                hint = did_you_mean(target, last) or f"; {ALL_LINEAR} names every linear map"
                raise UserError(f"the model has no {target!r}{hint}")


def _matcher(target: str, *, pattern: bool) -> Callable[[str], bool]:
    """Return peft's rule for names: a text is a pattern of whole names, a list holds names or their
    ends."""
    if pattern:
        try:
            return lambda name, rule=re.compile(target): rule.fullmatch(name) is not None
        except re.error as error:
            raise UserError(f"{target!r} is no pattern: {error}") from None
    return lambda name: name == target or name.endswith(f".{target}")


def _skeleton(recipe: Recipe, inspected: dict[str, Inspected]) -> Module:
    if recipe.model.path is not None:
        return inspected[recipe.model.path].skeleton
    from ttc_rl.sampling.inspect_model import skeleton
    from ttc_rl.train.tiny_model import PAD_ID, architecture

    assert recipe.model.pretrain is not None
    return skeleton(architecture(recipe.model.pretrain, PAD_ID + 2))
