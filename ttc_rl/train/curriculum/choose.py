"""The curriculum that a recipe asks for."""

from __future__ import annotations

from collections.abc import Mapping

from ttc_rl.config import TrainConfig, is_own
from ttc_rl.config.places import Places
from ttc_rl.config.plugins import load_object
from ttc_rl.schema import UserError
from ttc_rl.train.curriculum.achievable import Achievable
from ttc_rl.train.curriculum.believing import Beta, Difficulty, Discover
from ttc_rl.train.curriculum.following import Curriculum, Following, Static
from ttc_rl.train.curriculum.gradalign import GradAlign
from ttc_rl.train.curriculum.pool import Pool
from ttc_rl.train.curriculum.static import Plan

CURRICULA: Mapping[str, type[Following]] = {
    "achievable": Achievable,
    "beta": Beta,
    "discover": Discover,
    "difficulty": Difficulty,
    "gradalign": GradAlign,
}
"""A new one is a module with its class, and a line here; `static` follows nothing."""


def own_curriculum(path: str, places: Places) -> type[Following]:
    """Return the user's class that `train.curriculum.method` names.

    Raises UserError where it is no subclass of `Following`.
    """
    where = places.named("train.curriculum.method")
    curriculum = load_object(where, path, places.folders)
    if not isinstance(curriculum, type) or not issubclass(curriculum, Following):
        raise UserError(f"{where}: {path} is no subclass of ttc_rl.train.curriculum.Following")
    return curriculum


def follow(
    train: TrainConfig, noise: float, places: Places, plan: Plan, pool: Pool | None
) -> Curriculum:
    """Return the curriculum of an arm; `pool` is None where its method is static.

    `noise` is that of its selection; `places` say where a class of the user's own is looked for.
    """
    config = train.curriculum
    if config.method == "static" or pool is None:
        return Static(plan)
    if len(pool) < train.tasks_per_step:
        raise UserError(
            f"train.curriculum: a pool of {len(pool)} tasks does not fill a step of "
            f"{train.tasks_per_step}; raise curriculum.pool"
        )
    own = is_own(config.method)
    curriculum = own_curriculum(config.method, places) if own else CURRICULA[config.method]
    every = 1 if config.method == "discover" else 10
    return curriculum(pool, config, every=every, noise=noise, passes=train.epochs)
