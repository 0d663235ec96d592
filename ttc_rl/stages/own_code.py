"""The user's own code that a recipe names: verifiers, selector, reward, curriculum, method.

A stage loads it at its beginning and hands it on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ttc_rl.config import Recipe, is_own
from ttc_rl.config.plugins import load_function
from ttc_rl.config.prompts import PLACE
from ttc_rl.run_dir import cache_dir
from ttc_rl.schema import Completer, Task, UserError
from ttc_rl.selection import Selector
from ttc_rl.system.endpoint import Unreachable
from ttc_rl.train.curriculum.choose import own_curriculum
from ttc_rl.train.methods import method_of
from ttc_rl.train.own_reward import own_reward
from ttc_rl.verifiers import Graders
from ttc_rl.verifiers.judge import Judge, from_completer, from_config

JUDGE_TOKENS = 1024
"""The most a judge in this process may write before its verdict."""


def own_selector(recipe: Recipe) -> Selector | None:
    """Return the user's function that `selection.method` names; None where it names one of ours."""
    path = recipe.selection.method
    if not is_own(path):
        return None
    where = recipe.places.named("selection.method")
    return load_function(where, path, "problem", recipe.places.folders)


def check_own_code(recipe: Recipe) -> None:
    """Raise UserError where something of the user's own that an arm names cannot be imported."""
    with_own_kinds(recipe)
    for arm in map(recipe.arm, recipe.arm_names):
        own_selector(arm)
        own_reward(arm.train.reward, arm.places)
        method_of(arm)
        own_policy(arm)
        if is_own(arm.train.curriculum.method):
            own_curriculum(arm.train.curriculum.method, arm.places)


def own_policy(recipe: Recipe) -> Callable[..., Any] | None:
    """Return the user's function that `policy.method` names; None where it names one of ours."""
    path, places = recipe.policy.method, recipe.places
    if not is_own(path):
        return None
    return load_function(places.named("policy.method"), path, "job, name", places.folders)


def graders_of(recipe: Recipe) -> Graders:
    """Return the built-in kinds, the recipe's own, and its judge.

    Raises UserError, with the place in the recipe, where one of its own cannot be imported.
    """
    return with_own_kinds(recipe, _judge(recipe))


def graders_for(recipe: Recipe, tasks: Iterable[Task]) -> Graders:
    """Return those of the recipe, its judge among them only where a task needs one."""
    judged = any(task.kind == "judge" for task in tasks)
    return graders_of(recipe) if judged else with_own_kinds(recipe)


def with_own_kinds(recipe: Recipe, judge: Judge | None = None) -> Graders:
    """Return the same with another judge; without one, tasks of kind `judge` are not graded."""
    try:
        return Graders.of(recipe.verifiers, judge, recipe.places.folders)
    except UserError as error:
        raise UserError(f"{recipe.places.named('verifiers')}: {error}") from None


def _judge(recipe: Recipe) -> Judge | None:
    if recipe.judge is None:
        return None
    return _local_judge(recipe) if recipe.judge.endpoint is None else from_config(recipe.judge)


def _local_judge(recipe: Recipe) -> Judge:
    """Return the recipe's judge as a model in this process. It is loaded when the first verdict is
    due."""
    config = recipe.judge
    assert config is not None

    @functools.cache
    def judge_model() -> Completer:
        from ttc_rl.sampling import Decoding, load_completer

        loaded = load_completer(config.model, {"judge": PLACE}, recipe.train.engine)
        return loaded.decoding_with(Decoding(JUDGE_TOKENS, temperature=0))

    def ask(prompts: Sequence[str]) -> list[str | Unreachable]:
        step = config.concurrency
        parts = (prompts[start : start + step] for start in range(0, len(prompts), step))
        return [reply for part in parts for reply in from_completer(judge_model())(part)]

    return Judge(ask, config.model, cache_dir() / "judge")
