"""A policy, and the models that one may begin with: the base, or what an arm's training left."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ttc_eval.report.model_card import CARD, RECIPE
from ttc_rl.run_dir import check_vouched
from ttc_rl.sampling import ModelCompleter, load_completer
from ttc_rl.schema import Task, UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.system.versions import model_fingerprint

BASE = "base"
"""Name of the untrained model among the evaluated ones."""


@dataclass(frozen=True)
class Policy:
    """How one model of a run answers."""

    name: str
    fingerprint: str
    """Which weights, and whatever else an answer depends on: samples of others are not gone on
    with."""
    load: Callable[[], ModelCompleter]


def of_weights(job: Job, name: str, model: Path | str) -> Policy:
    """Return the policy of a model's weights as they are."""
    return Policy(name, model_fingerprint(model), functools.partial(loaded, job, model))


def loaded(job: Job, model: Path | str) -> ModelCompleter:
    """Return what the run's engine makes of a model."""
    recipe = job.recipe
    return load_completer(model, recipe.prompts, recipe.engine, dtype=recipe.model.dtype)


def trained_model(job: Job, arm: str) -> Path:
    """Return the folder of what an arm's training left.

    Raises UserError where there is nothing yet, where it was changed, or for several experts.
    """
    folder = job.arm(arm)[1]
    if job.recipe.arm(arm).experts is not None and not folder.model.exists():
        raise UserError(f"policy.of: {arm} is several experts, not one model")
    if not folder.model.exists():
        raise UserError(f"{folder.model}: no model there yet; `ttc-rl train RECIPE` makes it")
    again = f"delete {folder.model}, and `ttc-rl train RECIPE` trains it again"
    # Its card and recipe are written anew by every report.
    files = [path for path in sorted(folder.model.iterdir()) if path.name not in (CARD, RECIPE)]
    check_vouched(folder.training, again, *files)
    return folder.model


def begins_with(job: Job, name: str) -> Path | str:
    """Return the model that an arm's policy begins with: that of `policy.of`, or the base."""
    of = job.recipe.arm(name).policy.of
    return starting_model(job.recipe) if of is None else trained_model(job, of)


def embedded(job: Job, tasks: Sequence[Task]) -> np.ndarray:
    """Return vectors of tasks as selection has them; shape (N, D)."""
    from ttc_rl.embed import POLICY, embed

    config = job.recipe.embedding
    policy = starting_model(job.recipe) if config.model == POLICY else None
    return np.asarray(embed(tasks, config, policy=policy)[:])
