"""Which task when: the picks in their order, or a choice that follows what the model can do."""

from ttc_rl.train.curriculum.choose import follow
from ttc_rl.train.curriculum.following import Curriculum, Following, Static
from ttc_rl.train.curriculum.pool import Pool, read_pool, write_pool
from ttc_rl.train.curriculum.static import (
    Plan,
    arithmetic,
    charged,
    micro_batch,
    plan,
    read_curriculum,
    steps_and_padding,
)

__all__ = [
    "Curriculum",
    "Following",
    "Plan",
    "Pool",
    "Static",
    "arithmetic",
    "charged",
    "follow",
    "micro_batch",
    "plan",
    "read_curriculum",
    "read_pool",
    "steps_and_padding",
    "write_pool",
]
