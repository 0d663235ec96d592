"""Weights between the base and a trained model: a dial for how much of the training is kept.

    W = W_base + alpha (W_trained - W_base)

as WiSE-FT has it (arXiv 2109.01903). Its logits' counterpart is `proxy`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ttc_rl.sampling import ModelCompleter
from ttc_rl.schema import content_hash
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.policies.base import Policy, begins_with, loaded
from ttc_rl.system.versions import model_fingerprint


def interpolation(job: Job, name: str) -> Policy:
    """Return the policy of a model whose weights lie between the base's and a trained one's."""
    alpha = job.recipe.arm(name).policy.alpha
    base, trained = starting_model(job.recipe), begins_with(job, name)
    prints = [model_fingerprint(model) for model in (base, trained)]

    def load() -> ModelCompleter:
        from ttc_rl.train.weights.mixture import interpolated

        with tempfile.TemporaryDirectory(dir=job.run.root, prefix=".between-") as folder:
            between = Path(folder) / "model"
            interpolated(base, trained, alpha, between)
            return loaded(job, between)

    return Policy(name, content_hash(["interpolation", alpha, *prints]), load)
