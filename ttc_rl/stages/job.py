"""One run to do: its recipe, its folder, its observers, and the model it starts from."""

from __future__ import annotations

import functools
import importlib.util
import logging
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ttc_rl.config import Recipe
from ttc_rl.config.marks import with_marks
from ttc_rl.run_dir import ArmDir, RunDir
from ttc_rl.schema import UserError, content_hash
from ttc_rl.stages.own_code import graders_of
from ttc_rl.system.install import install
from ttc_rl.train.packaged import packaged_model
from ttc_rl.verifiers import Graders

if TYPE_CHECKING:
    from ttc_rl.train.methods.supervised import Reply

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    recipe: Recipe
    run: RunDir

    @functools.cached_property
    def graders(self) -> Graders:
        """Return the graders of this run's tasks. Imports the recipe's plug-ins."""
        return graders_of(self.recipe)

    def arm(self, name: str) -> tuple[Recipe, ArmDir]:
        return self.recipe.arm(name), self.run.arm(name, self.recipe)

    @property
    def parts(self) -> list[str]:
        """Return the names of what is trained separately: arms, and experts as ARM/EXPERT."""
        return self.run.parts(self.recipe)

    def parts_of(self, arm: str) -> list[str]:
        return self.run.parts_of(arm, self.recipe)

    def trained(self, name: str) -> bool:
        """Return whether training of an arm, or of one expert, came to its end, or is not owed."""
        recipe, folder = self.arm(name)
        if not recipe.policy.trains:
            return True
        if recipe.experts is None:
            return folder.model.exists()
        if "/" in name:
            return (folder.adapter if recipe.train.adapter else folder.patch).exists()
        if recipe.experts.mix:
            return folder.model.exists()
        return folder.experts.exists() and all(map(self.trained, self.parts_of(name)))


def check_extras(recipe: Recipe) -> None:
    """Raise at once what would otherwise stop the run halfway: an extra that is not installed."""
    needed = {"trl": "train", "datasets": "train", "sentence_transformers": "embed"}
    if recipe.track.wandb:
        needed["wandb"] = "wandb"
    if recipe.train.vllm or recipe.embed.backend == "vllm":
        needed["vllm"] = "vllm"
    _check_integrations(recipe)
    for module, extra in needed.items():
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{module} is not installed: {install(extra)}")


MODULES = {"tensorboard": ("tensorboard", "tensorboardX"), "azure_ml": ("azureml",)}
"""Of an integration, where they are not called as it is."""


def _check_integrations(recipe: Recipe) -> None:
    for arm in recipe.arm_names:
        for name in recipe.arm(arm).train.report_to:
            if not any(map(importlib.util.find_spec, MODULES.get(name, (name,)))):
                raise UserError(f"train.trl.report_to: {name} is not installed: pip install {name}")


def starting_model(recipe: Recipe) -> str | Path:
    """Return the model that training starts from: an id or a folder.

    One trained from scratch, read out of a package, or warmed up is made now, if it is not cached.
    """
    model = recipe.model
    if model.dtype == "bfloat16":
        _say_slow()
    base = _unwarmed(recipe)
    if model.warmup is None:
        return base
    from ttc_rl.train.methods.supervised import warmed_up

    key = content_hash(recipe.model_dump(include=MAKES_WARMUP))
    if key not in _warmed:
        replies = _warmup_replies(recipe)
        _warmed[key] = warmed_up(
            base, replies, model.warmup, recipe.seed, recipe.prompts, dtype=model.dtype
        )
    return _warmed[key]


MAKES_WARMUP = {
    "model", "corpus", "data", "target", "seed", "prompts", "overlap", "answer_marks", "verifiers",
}  # fmt: skip
"""Keys of a recipe from which its warmed-up model is made."""
_warmed: dict[str, Path] = {}
"""Those that this process has asked for: their tasks are read once."""


@functools.cache
def _say_slow() -> None:
    from ttc_rl.system.processor import has_bfloat16

    if not has_bfloat16():
        logger.info(
            "model.dtype bfloat16: this processor has no instructions for it; float32 is faster"
        )


def _unwarmed(recipe: Recipe) -> str | Path:
    model = recipe.model
    if model.path is not None:
        return packaged_model(model.path) or model.path
    assert model.pretrain is not None
    import torch

    from ttc_rl.train.tiny_model import base_model

    # Matrices this small run slower on two threads than on one, and one thread repeats exactly.
    torch.set_num_threads(1)
    return base_model(model.pretrain, recipe.seed, recipe.prompts)


def _warmup_replies(recipe: Recipe) -> list[Reply]:
    """Return right replies to tasks of the warm-up's source, none of which overlaps a target."""
    from ttc_rl.corpus.benchmarks import resolve_targets, together
    from ttc_rl.corpus.overlap.cleaning import clean
    from ttc_rl.corpus.sources import load_corpus
    from ttc_rl.selection.less.examples import gold_reply
    from ttc_rl.train.methods.supervised import Reply

    config = recipe.model.warmup
    assert config is not None
    entries = recipe.corpus if config.source is None else [config.source]
    tasks = with_marks(
        load_corpus(entries, recipe.data, recipe.verifiers).tasks, recipe.answer_marks
    )
    order = random.Random(f"warm-up {recipe.seed}").sample(tasks, len(tasks))[: config.tasks]
    targets = together(resolve_targets(recipe.target_sources)).tasks
    clean_tasks = clean(order, targets, recipe.overlap).tasks
    graders = graders_of(recipe)
    return [Reply(task, gold_reply(task, graders)) for task in clean_tasks]
