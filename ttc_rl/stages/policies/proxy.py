"""A model steered while it writes, by what training changed in another one (arXiv 2401.08565).

    logits = base + alpha (expert - antiexpert)

With `policy.of` the two are an arm's trained model and the base: a dial for how much of the
training is kept. With `policy.expert` and `policy.antiexpert` they are a small model after and
before its training, for a base that is too large to train.
"""

from __future__ import annotations

from ttc_rl.sampling import ModelCompleter
from ttc_rl.schema import UserError, content_hash
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.policies.base import Policy, trained_model
from ttc_rl.system.versions import model_fingerprint


def proxy(job: Job, name: str) -> Policy:
    """Return the policy of the base model with an expert's change in its logits.

    Raises UserError for an engine that gives no logits.
    """
    config, recipe = job.recipe.arm(name).policy, job.recipe
    if recipe.engine.backend != "transformers":
        raise UserError(
            f"policy.method proxy: adds logits of several models, which {recipe.engine.backend} "
            "does not give; eval.engine.backend: transformers does"
        )
    base = starting_model(recipe)
    expert = config.expert if config.of is None else trained_model(job, config.of)
    assert expert is not None
    antiexpert = base if config.antiexpert is None else config.antiexpert
    models = base, expert, antiexpert

    def load() -> ModelCompleter:
        from ttc_rl.sampling.proxy import load_proxy

        return load_proxy(*models, config.alpha, recipe.prompts, recipe.model.dtype)

    prints = [model_fingerprint(model) for model in models]
    return Policy(name, content_hash(["proxy", config.alpha, *prints]), load)
