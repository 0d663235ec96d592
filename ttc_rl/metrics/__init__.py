"""What samples tell of a model: exact expectations a task, intervals over tasks. numpy alone.

draws        one task, n samples: pass@k, maj@k, weighted vote, best-of-k, G-pass@k
intervals    N tasks: a share, a paired difference, and which population each speaks of
resampling   N tasks: any other quantity
student      m seeds
families     many differences
ranks        do two lists rise together?
power        which difference could be seen at all
rating       Elo on rated problems
"""

from ttc_rl.metrics.draws import (
    Drawn,
    best_of_k,
    g_pass_at_k,
    maj_at_k,
    mg_pass_at_k,
    pass_at_k,
    weighted_maj_at_k,
)
from ttc_rl.metrics.estimate import Difference, Estimate
from ttc_rl.metrics.families import holm
from ttc_rl.metrics.intervals import mean_interval, paired_difference, same_tasks_interval
from ttc_rl.metrics.power import Spread, assumed_spread, measured_spread, resolvable_by_seeds
from ttc_rl.metrics.ranks import rank_correlation
from ttc_rl.metrics.rating import Elo, elo
from ttc_rl.metrics.resampling import bootstrap_means, resampled_means
from ttc_rl.metrics.student import t_difference, t_interval, t_quantile, t_share, t_two_sided_p

__all__ = [
    "Difference",
    "Drawn",
    "Elo",
    "Estimate",
    "Spread",
    "assumed_spread",
    "best_of_k",
    "bootstrap_means",
    "elo",
    "g_pass_at_k",
    "holm",
    "maj_at_k",
    "mean_interval",
    "measured_spread",
    "mg_pass_at_k",
    "paired_difference",
    "pass_at_k",
    "rank_correlation",
    "resampled_means",
    "resolvable_by_seeds",
    "same_tasks_interval",
    "t_difference",
    "t_interval",
    "t_quantile",
    "t_share",
    "t_two_sided_p",
    "weighted_maj_at_k",
]
