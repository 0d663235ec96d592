"""Training methods: ways to change weights. Only these modules import TRL."""

from __future__ import annotations

from collections.abc import Mapping

from ttc_rl.config import Recipe, is_own
from ttc_rl.config.plugins import load_object
from ttc_rl.schema import UserError
from ttc_rl.train.methods import dpo, grpo, sdpo, sft
from ttc_rl.train.methods.base import Method, Setup, StepCost

__all__ = ["METHODS", "Method", "Setup", "StepCost", "method_of"]

METHODS: Mapping[str, Method] = {
    "grpo": grpo.METHOD,
    "sft": sft.METHOD,
    "dpo": dpo.METHOD,
    "sdpo": sdpo.METHOD,
}
"""A new method is a module with its `METHOD`, and a line here."""


def method_of(recipe: Recipe) -> Method:
    """Return the method that `train.method` names: one of ours, or the user's own.

    Raises UserError where the user's cannot be imported, or is no `Method`.
    """
    path = recipe.train.method
    if not is_own(path):
        return METHODS[path]
    where = recipe.places.named("train.method")
    method = load_object(where, path, recipe.places.folders)
    if not isinstance(method, Method):
        raise UserError(f"{where}: {path} is no ttc_rl.train.methods.Method; make it one")
    return method
