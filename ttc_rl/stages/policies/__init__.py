"""How a model of a run answers: a policy for each one that is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ttc_rl.config import Recipe
from ttc_rl.config.places import did_you_mean
from ttc_rl.sampling import Decoding, ModelCompleter
from ttc_rl.schema import Completer, UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.own_code import own_policy
from ttc_rl.stages.policies.base import BASE, Policy, of_weights
from ttc_rl.stages.policies.demonstrations import demonstrations
from ttc_rl.stages.policies.interpolation import interpolation
from ttc_rl.stages.policies.neighbours import neighbours
from ttc_rl.stages.policies.proxy import proxy
from ttc_rl.stages.policies.trained import trained

__all__ = ["BASE", "POLICIES", "Models", "Policy", "evaluated", "policy_of"]

POLICIES: Mapping[str, Callable[[Job, str], Policy]] = {
    "trained": trained,
    "demonstrations": demonstrations,
    "neighbours": neighbours,
    "interpolation": interpolation,
    "proxy": proxy,
}
"""A new policy is a module with a function, and a line here."""


def policy_of(job: Job, name: str) -> Policy:
    """Return how `base` or an arm answers.

    Raises UserError where what it answers with is not there yet, or is no policy.
    """
    recipe = job.recipe
    if recipe.engine.backend == "endpoint":
        return of_weights(job, name, recipe.engine.served[name])
    if name == BASE:
        return of_weights(job, name, starting_model(recipe))
    arm = recipe.arm(name)
    own = own_policy(arm)
    if own is None:
        return POLICIES[arm.policy.method](job, name)
    policy = own(job, name)
    if not isinstance(policy, Policy):
        where = arm.places.named("policy.method")
        raise UserError(f"{where}: {arm.policy.method} returned no ttc_rl.stages.policies.Policy")
    return policy


class Models:
    """The policies of a run's evaluated models by name, at most one of them loaded."""

    def __init__(self, job: Job) -> None:
        self.policies = {name: policy_of(job, name) for name in evaluated(job.recipe)}
        self.loaded: tuple[str, ModelCompleter] | None = None

    def completer(self, name: str, decoding: Decoding) -> Completer:
        """Return what answers as the model of that name; another one is given up for it."""
        if self.loaded is None or self.loaded[0] != name:
            if self.loaded is not None:
                self.loaded[1].close()
            self.loaded = name, self.policies[name].load()
        return self.loaded[1].decoding_with(decoding)


def evaluated(recipe: Recipe) -> list[str]:
    """Return the names of the models to evaluate, base first. Raises UserError for a name without a
    model."""
    names = [BASE, *recipe.arm_names]
    for name in [*(recipe.eval.models or []), *recipe.engine.served]:
        if name not in names:
            raise UserError(
                f"eval.models: no model {name!r} in this run{did_you_mean(name, names)}"
            )
    models = recipe.eval.models or list(recipe.engine.served) or names
    missing = [name for name in models if recipe.engine.served and name not in recipe.engine.served]
    if missing:
        raise UserError(f"eval.engine.served: no name for {missing[0]}; say which it has there")
    return [name for name in names if name in models]
