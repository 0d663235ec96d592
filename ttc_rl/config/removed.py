"""Keys that recipes had once, and the constants that stand for them now.

A recipe or a run folder that holds such a key still opens where its value is the constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ttc_rl.config.places import Places
from ttc_rl.schema import UserError

Tree = dict[str, Any]

REMOVED: Mapping[str, Any] = {
    "model.pretrain.heads": 2,
    "model.pretrain.batch": 64,
    "model.pretrain.eval_every": 25,
    "model.pretrain.seed": None,
    "model.warmup.batch": 8,
    "model.warmup.seed": None,
    "selection.difficulty.prior": [1.0, 1.0],
    "selection.less.warmup_share": 0.05,
    "selection.less.warmup_epochs": 4,
    "selection.less.warmup_batch": 32,
    "selection.less.lora_rank": None,
    "preflight.max_truncated": 0.5,
    "preflight.max_flat": 0.9,
    "preflight.max_refused_golds": 0.02,
    "preflight.max_uncovered": 0.6,
    "train.watchdog.window": 20,
    "train.watchdog.collapse": 0.5,
    "train.watchdog.zero_variance": 0.95,
    "train.watchdog.undecided": 0.1,
    "train.ttrl.band": [0.0, 1.0],
    "train.curriculum.prior": 0.5,
    "train.curriculum.decay": 0.95,
    "train.curriculum.reach": 0.05,
    "train.curriculum.novelty": 1.0,
    "train.curriculum.rate": 0.1,
    "train.guard.full_at": 0.5,
    "overlap.leave_nearest": 0,
}
"""Dotted key -> the value that is now a constant beside the code; null where it was left out."""


def without_removed(tree: Tree, places: Places) -> Tree:
    """Return a recipe's tree without the keys of REMOVED, in its arms and its sweep too.

    Raises UserError where one has another value than its constant.
    """
    tree = _without(tree, "", places)
    arms, sweep = tree.get("arms"), tree.get("sweep")
    if isinstance(arms, Mapping):
        changes = cast(Mapping[str, Any], arms)
        tree["arms"] = {
            name: _without(change, f"arms.{name}.", places) for name, change in changes.items()
        }
    if isinstance(sweep, Mapping):
        tree["sweep"] = dict(_swept(cast(Mapping[str, Any], sweep), places))
    return tree


def _swept(sweep: Mapping[str, Any], places: Places) -> Iterator[tuple[str, Any]]:
    for key, values in sweep.items():
        if not isinstance(values, list):
            yield key, values
            continue
        cells = cast(list[Any], values)
        for value in cells:
            if key in REMOVED:
                _check(key, value, f"sweep.{key}", places)
        if key not in REMOVED:
            yield key, [_inside(value, key, f"sweep.{key}", places) for value in cells]


def _without(node: Any, at: str, places: Places) -> Any:
    """Return a recipe's tree, or an arm's, without removed keys; `at` is where it stands."""
    if not isinstance(node, Mapping):
        return node
    tree = cast(Mapping[str, Any], node)
    return {key: _inside(value, key, f"{at}{key}", places) for key, value in tree.items()}


def _inside(node: Any, key: str, at: str, places: Places) -> Any:
    """Return the value of a key without the removed keys inside it."""
    if not any(name.startswith(f"{key}.") for name in REMOVED) or not isinstance(node, Mapping):
        return node
    kept: Tree = {}
    for name, value in cast(Mapping[str, Any], node).items():
        inner = f"{key}.{name}"
        if inner in REMOVED:
            _check(inner, value, f"{at}.{name}", places)
        else:
            kept[name] = _inside(value, inner, f"{at}.{name}", places)
    return kept


def _check(key: str, value: Any, at: str, places: Places) -> None:
    constant = REMOVED[key]
    if value != constant:
        now = "left out" if constant is None else f"always {constant}"
        raise UserError(
            f"{places.of(at)}: {at}: was removed, and is {now} (got {value!r}); leave it out, "
            "CHANGELOG.md says why"
        )
