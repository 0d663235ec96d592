"""The weights that training left: of one model, or of several experts."""

from __future__ import annotations

from ttc_rl.stages.job import Job
from ttc_rl.stages.policies.base import Policy, of_weights, trained_model
from ttc_rl.stages.policies.experts import routed


def trained(job: Job, name: str) -> Policy:
    """Return the policy of an arm's training. Raises UserError where it is not trained yet."""
    experts = job.recipe.arm(name).experts
    if experts is not None and experts.mix is None:
        return routed(job, name)
    return of_weights(job, name, trained_model(job, name))
