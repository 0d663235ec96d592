"""Keys that only some methods read: `selection.less`, `train.curriculum.band` and others.

Such a key beside another method would be ignored, so that it is refused. Where an arm, a child, the
command line or a sweep changes the method, the keys that the old one read are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from ttc_rl.config.places import Places
from ttc_rl.config.policy import POLICIES, POLICY_KEYS, PolicyConfig
from ttc_rl.config.section import OWN, Section, is_own, merge, nested
from ttc_rl.config.selection import SELECTION_KEYS, SELECTORS, SelectionConfig
from ttc_rl.config.train import (
    CURRICULA,
    CURRICULUM_KEYS,
    METHODS,
    TRAIN_KEYS,
    CurriculumConfig,
    TrainConfig,
)
from ttc_rl.config.trl_fields import shared_fields
from ttc_rl.schema import UserError

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Methods:
    """A section whose `method` says which of its keys are read."""

    at: str
    section: type[Section]
    names: Sequence[str]
    readers: Mapping[str, Sequence[str]]

    def read(self, key: str, methods: Sequence[str]) -> bool:
        """Whether one of the methods reads a key."""
        if key not in self.readers:
            return True
        return any((OWN if is_own(name) else name) in self.readers[key] for name in methods)

    def says_something(self, key: str, value: Any) -> bool:
        """Whether a value is another one than a key has when it is left out."""
        try:
            given = getattr(self.section.model_validate({key: value}), key)
        except ValidationError:
            return True
        return given != self.section.model_fields[key].default

    def base(self, tree: Tree) -> list[str]:
        """Return the methods that the recipe itself has, over the runs of its sweep."""
        own = str(_at(tree, self.at).get("method", self.names[0]))
        for key, values in _mapping(tree.get("sweep")).items():
            swept = [_at(nested(key, value), self.at).get("method") for value in values]
            if any(swept):
                return [str(method or own) for method in swept]
        return [own]

    def of_arm(self, tree: Tree, name: str) -> list[str]:
        """Return the methods that an arm has."""
        method = _at(tree, f"arms.{name}.{self.at}").get("method")
        return [str(method)] if method else self.base(tree)

    def used(self, tree: Tree) -> list[str]:
        """Return the methods that are run: those of the arms where there are any."""
        arms = _arms(tree)
        return [m for name in arms for m in self.of_arm(tree, name)] if arms else self.base(tree)


ALL = (
    Methods("selection", SelectionConfig, SELECTORS, SELECTION_KEYS),
    Methods("train.curriculum", CurriculumConfig, CURRICULA, CURRICULUM_KEYS),
    Methods("train", TrainConfig, METHODS, TRAIN_KEYS),
    Methods("policy", PolicyConfig, POLICIES, POLICY_KEYS),
)


def without_unread(tree: Tree) -> dict[str, Any]:
    """Return a recipe's tree without the keys that none of its methods reads."""
    for methods in ALL:
        for at, used in _sections(tree, methods):
            for key in _at(tree, at):
                if not methods.read(key, used):
                    tree = _dropped(tree, f"{at}.{key}".split("."))
    return dict(tree)


def arm_tree(plain: Tree, change: Tree) -> dict[str, Any]:
    """Return an arm's tree. Of `train.trl` an arm with another method inherits what every method's
    config has, such as learning_rate, and not what belongs to the old one's."""
    method, inherited = _at(change, "train").get("method"), _at(plain, "train")
    if method and method != inherited.get("method"):
        given = _at(inherited, "trl")
        shared: Tree = {key: given[key] for key in given if key in shared_fields()}
        plain = {**plain, "train": {**inherited, "trl": shared}}
    return without_unread(merge(plain, change))


def check_unread(tree: Tree, layers: Sequence[Tree], places: Places) -> None:
    """Raise UserError for a key that was written beside a method that does not read it.

    `layers` are what `tree` was merged from: the parent, the child, the command line. A key of an
    earlier layer than its method's is inherited, and no mistake.
    """
    for methods in ALL:
        for at, used in _sections(tree, methods):
            since = _chosen(methods, layers, at)
            for key, value in _at(tree, at).items():
                beside = _written(layers, at, key) >= since
                if beside and not methods.read(key, used) and methods.says_something(key, value):
                    raise _refusal(methods, f"{at}.{key}", used, places)
        for key, value in _cells(tree):
            _check_cell(methods, tree, key, value, places)


def unread_in_schema() -> Iterator[dict[str, Any]]:
    """Yield what refuses a key beside a method that does not read it, as JSON schema."""
    alone = {"extends": False, "arms": {"maxProperties": 0}, "sweep": {"maxProperties": 0}}
    for methods in ALL:
        for key in methods.readers:
            others = [name for name in methods.names if not methods.read(key, [name])]
            beside = {"properties": {"method": {"enum": others}}, "required": ["method"]}
            yield {
                "if": merge(_inner(methods.at, beside), {"properties": alone}),
                "then": _inner(methods.at, {"properties": {key: False}}),
            }


def _inner(dotted: str, schema: Tree) -> Tree:
    """Return the JSON schema of what holds a value at a dotted key."""
    for part in reversed(dotted.split(".")):
        schema = {"properties": {part: schema}, "required": [part]}
    return schema


def _check_cell(methods: Methods, tree: Tree, key: str, value: Any, places: Places) -> None:
    cell = _at(nested(key, value), methods.at)
    used = methods.used(tree)
    if "method" in cell:
        own = [_at(tree, f"arms.{name}.{methods.at}") for name in _arms(tree)]
        used = [str(cell["method"]), *(str(arm["method"]) for arm in own if "method" in arm)]
    for name in cell:
        if not methods.read(name, used):
            raise _refusal(methods, f"{methods.at}.{name}", used, places, f"sweep.{key}")


def _refusal(
    methods: Methods, key: str, used: Sequence[str], places: Places, at: str | None = None
) -> UserError:
    readers = " and ".join(methods.readers[key.rpartition(".")[2]])
    others = ", ".join(dict.fromkeys(used))
    return UserError(
        f"{places.of(at or key)}: {at or key}: belongs to {methods.at}.method {readers}; "
        f"{others} would ignore it: leave it out"
    )


def _sections(tree: Tree, methods: Methods) -> Iterator[tuple[str, list[str]]]:
    """Yield where the section stands, in the recipe and in each arm, and the methods there."""
    yield methods.at, methods.used(tree)
    for name in _arms(tree):
        yield f"arms.{name}.{methods.at}", methods.of_arm(tree, name)


def _chosen(methods: Methods, layers: Sequence[Tree], at: str) -> int:
    """Return the number of the last layer that says which method is used there; -1 for none."""
    return max((n for n, layer in enumerate(layers) if _chooses(methods, layer, at)), default=-1)


def _chooses(methods: Methods, layer: Tree, at: str) -> bool:
    if "method" in _at(layer, at) or "method" in _at(layer, methods.at):
        return True
    if any("method" in _at(nested(*cell), methods.at) for cell in _cells(layer)):
        return True
    arms = _mapping(layer.get("arms")).values() if at == methods.at else ()
    return any(arm is None or "method" in _at(arm, methods.at) for arm in arms)


def _arms(tree: Tree) -> list[str]:
    """Return the names of the arms; one that is null is left out."""
    return [name for name, change in _mapping(tree.get("arms")).items() if change is not None]


def _cells(tree: Tree) -> Iterator[tuple[str, Any]]:
    """Yield each key of a sweep with each of its values."""
    for key, values in _mapping(tree.get("sweep")).items():
        if isinstance(values, list):
            yield from ((key, value) for value in cast(list[Any], values))


def _written(layers: Sequence[Tree], at: str, key: str) -> int:
    """Return the number of the last layer that has a key."""
    return max((n for n, layer in enumerate(layers) if key in _at(layer, at)), default=-1)


def _at(tree: Any, dotted: str) -> Tree:
    """Return the mapping at a dotted key; an empty one where there is none."""
    for part in filter(None, dotted.split(".")):
        tree = _mapping(tree).get(part)
    return _mapping(tree)


def _dropped(tree: Tree, path: Sequence[str]) -> Tree:
    """Return the tree without one key."""
    first, *rest = path
    if not rest:
        return {key: value for key, value in tree.items() if key != first}
    return {**tree, first: _dropped(tree[first], rest)}


def _mapping(node: Any) -> Tree:
    return cast(Tree, node) if isinstance(node, Mapping) else {}
