"""A recipe file, its parent and the command line to one checked `Recipe`."""

from __future__ import annotations

import functools
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ttc_rl.config.handed_on import check_handed_on
from ttc_rl.config.methods import check_unread, without_unread
from ttc_rl.config.mistakes import explain, near_file
from ttc_rl.config.places import Places, did_you_mean
from ttc_rl.config.recipe import Recipe
from ttc_rl.config.removed import without_removed
from ttc_rl.config.section import merge, named, nested
from ttc_rl.config.trl_fields import (
    GONE,
    LOGGING,
    SAID_ELSEWHERE,
    config_fields,
    config_name,
    integrations,
    unfit,
)
from ttc_rl.schema import UserError

Tree = dict[str, Any]
MOST_VALUES = 100_000
DATA = "TTC_RL_DATA"
"""Variable that `data` is taken from where a recipe leaves it out."""


def load_recipe(path: Path | str, overrides: Sequence[str] = (), *, of_run: bool = False) -> Recipe:
    """Read a recipe, fold in its parent and `a.b=value` overrides, and check every key.

    `of_run`: it is what a run keeps, and may hold keys that its method has always ignored.
    Raises UserError with file, line, key, and what to do.
    """
    return _resolved(*_with_parent(Path(path)), overrides, of_run=of_run)


def make_recipe(tree: Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """The same from a tree that no file holds."""
    return _resolved([dict(tree)], Places("command line", {}), overrides)


def _resolved(
    layers: list[Tree], places: Places, overrides: Sequence[str], *, of_run: bool = False
) -> Recipe:
    tree: Tree = functools.reduce(merge, layers)
    said: Tree = {}
    for override in overrides:
        key, value = _parse_override(override)
        if f"{key}:=" in override:
            tree = _without_key(tree, key.split("."))
        tree, said = merge(tree, nested(key, value)), merge(said, nested(key, value))
        places.at[key] = f"command line, {override}"
    layers = [*layers, said]
    if not of_run and "data" not in tree and os.environ.get(DATA):
        tree["data"], places.at["data"] = os.environ[DATA], f"the variable {DATA}"
    tree = without_removed(_expanded(tree, "", places), places)
    _checked(tree, places)
    if not of_run:
        check_unread(tree, layers, places)
    tree = without_unread(tree)
    recipe = _checked(tree, places)
    for name, change in recipe.arms.items():
        _check_arm_keys(name, change, places)
        _checked(merge(_without(tree, "arms", "sweep"), change), places, f"arms.{name}.")
    for name in recipe.arms:
        _check_policy(name, recipe, places)
    if recipe.policy.of is not None and not recipe.arms:
        raise UserError(f"{places.named('policy.of')}: names an arm; the recipe has no `arms:`")
    for key, values in recipe.sweep.items():
        for value in values:
            cell = merge(_without(tree, "sweep"), nested(key, value))
            _checked(cell, places, at=f"sweep.{key}")
    _check_trl_keys(recipe, places)
    check_handed_on(recipe, places)
    return recipe.placed(places)


ARM_KEYS = ("selection", "train", "experts", "policy", "seed")
"""Top-level keys in which arms of one run can differ; all else is done once for all of them."""


def _check_arm_keys(name: str, change: Mapping[str, Any], places: Places) -> None:
    for key in change:
        if key in Recipe.model_fields and key not in ARM_KEYS:
            at = f"arms.{name}.{key}"
            raise UserError(
                f"{places.of(at)}: {at}: arms of one run share it, so it would be ignored here; "
                f"arms differ in {', '.join(ARM_KEYS)}, and `sweep:` makes a run for each {key}"
            )


def _check_policy(name: str, recipe: Recipe, places: Places) -> None:
    """Raise UserError where an arm answers with the weights of one that has none, or is told how to
    train and trains nothing."""
    policy = recipe.arm(name).policy
    others = [arm for arm in recipe.arms if recipe.arm(arm).policy.trains]
    if policy.of is not None and policy.of not in others:
        hint = did_you_mean(policy.of, others) or f"; trained are {', '.join(others) or 'none'}"
        at = places.of_arm(name).named("policy.of")
        raise UserError(f"{at}: there is no trained arm {policy.of!r}{hint}")
    for key in ("train", "experts"):
        if not policy.trains and recipe.arms[name].get(key):
            at = f"arms.{name}.{key}"
            raise UserError(
                f"{places.of(at)}: {at}: the arm answers by policy.method {policy.method} and "
                "trains nothing: leave it out"
            )


def with_keys(recipe: Recipe, keys: Mapping[str, Any]) -> Recipe:
    """The recipe with dotted keys set, checked anew. A mapping replaces the one there."""
    tree: Any = recipe.model_dump()
    for key, value in keys.items():
        *path, last = key.split(".")
        node = tree
        for part in path:
            node = node[part]
        node[last] = value
    return Recipe.model_validate(without_unread(tree)).placed(recipe.places)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML that `load_recipe` reads back to an equal one."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    yaml.width = 100
    out = io.StringIO()
    shown = _shown(recipe)
    yaml.dump(shown if recipe.arms or recipe.sweep else without_unread(shown), out)  # pyright: ignore[reportUnknownMemberType]
    return out.getvalue()


def _shown(node: Any) -> Any:
    """Every key with its value, but for those that are null by default and null now."""
    if isinstance(node, BaseModel):
        fields = type(node).model_fields
        return {
            name: _shown(getattr(node, name))
            for name, info in fields.items()
            if getattr(node, name) is not None or info.default is not None
        }
    if isinstance(node, list):
        return [_shown(item) for item in cast(list[Any], node)]
    if isinstance(node, dict):
        return {key: _shown(value) for key, value in cast(Tree, node).items()}
    return node


# --------------------------------------------------------------------------- reading


def _with_parent(path: Path, children: Sequence[Path] = ()) -> tuple[list[Tree], Places]:
    """Return the trees of the parents, the eldest first, and the file's own."""
    if path.resolve() in children:
        raise UserError(f"{path}: extends itself, through {children[-1]}")
    tree, places = _read(path)
    parent_name = tree.pop("extends", None)
    if parent_name is None:
        return [tree], places
    older, inherited = _with_parent(path.parent / str(parent_name), [*children, path.resolve()])
    return [*older, tree], Places(places.file, inherited.at | places.at)


def read_tree(path: Path) -> Tree:
    """Return what a YAML file holds. Raises UserError where it is none."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Tree, Places]:
    """The tree of a YAML file, and the line of each of its keys."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such recipe{near_file(path)}") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: cannot be read as a recipe ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 ({error}); save it as that") from None
    try:
        loaded: Any = YAML(typ="rt").load(text)  # pyright: ignore[reportUnknownMemberType]
    except MarkedYAMLError as error:
        mark = cast("Any", error).problem_mark
        problem = str(cast("Any", error).problem)
        raise UserError(f"{path}:{mark.line + 1}: not valid YAML: {problem}") from None
    except (YAMLError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, Mapping):
        kind = type(loaded).__name__
        raise UserError(f"{path}: a recipe is a mapping of keys to values, got {kind}")
    _check_size(str(path), loaded)
    places = Places(str(path), {})
    return _plain(loaded, "", places), places


def _check_size(where: str, loaded: Any) -> None:
    """Raise UserError where anchors that name each other unfold to more than a recipe can hold."""
    todo, count = [loaded], 0
    while todo:
        node = todo.pop()
        inside = list(cast("Mapping[Any, Any]", node).values()) if isinstance(node, Mapping) else []
        inside += cast("list[Any]", node) if isinstance(node, list) else []
        count += len(inside)
        if count > MOST_VALUES:
            raise UserError(
                f"{where}: unfolds to more than {MOST_VALUES:,} values; write fewer anchors (&, *)"
            )
        todo += inside


def _plain(node: Any, prefix: str, places: Places) -> Any:
    """Ordinary dicts, lists and scalars; notes the line of every key on the way."""
    if isinstance(node, Mapping):
        mapping = cast("Any", node)
        for key in mapping:
            places.at[f"{prefix}{key}"] = f"{places.file}:{mapping.lc.key(key)[0] + 1}"
        return {str(k): _plain(v, f"{prefix}{k}.", places) for k, v in mapping.items()}
    if isinstance(node, list):
        items = cast(list[Any], node)
        return [_plain(item, f"{prefix}{i}.", places) for i, item in enumerate(items)]
    for scalar in (bool, int, float, str):
        if isinstance(node, scalar):
            return scalar(node)
    return node


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    key = key.removesuffix(":")
    if not equals or not re.fullmatch(r"[\w.-]+", key):
        raise UserError(f"{text!r} is not an override; write key=value, e.g. selection.size=500")
    try:
        loaded: Any = YAML(typ="safe", pure=True).load(value) if value else None  # pyright: ignore[reportUnknownMemberType]
    except (YAMLError, RecursionError):
        raise UserError(f"{text[:200]!r}: the value is not valid YAML") from None
    _check_size(key, loaded)
    return key, loaded


def parsed_overrides(texts: Sequence[str]) -> Iterator[Tree]:
    """Yield the tree of each `a.b=value`. Raises UserError for what is none."""
    for text in texts:
        yield nested(*_parse_override(text))


def _without_key(tree: Tree, path: Sequence[str]) -> Tree:
    """Return the tree without what stands at a dotted key, for `key:=value` to replace."""
    first, *rest = path
    if not rest or not isinstance(tree.get(first), dict):
        return _without(tree, first)
    return {**tree, first: _without_key(tree[first], rest)}


def _without(tree: Tree, *keys: str) -> Tree:
    return {key: value for key, value in tree.items() if key not in keys}


def _expanded(node: Any, key: str, places: Places) -> Any:
    """`${NAME}` and `${NAME:-default}` in any string, as in a shell."""
    if isinstance(node, dict):
        tree = cast(Tree, node)
        return {k: _expanded(v, f"{key}.{k}".strip("."), places) for k, v in tree.items()}
    if isinstance(node, list):
        return [_expanded(item, key, places) for item in cast(list[Any], node)]
    if not isinstance(node, str):
        return node

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if name not in os.environ and default is None:
            raise UserError(f"{places.of(key)}: {key}: the variable {name} is not set")
        return os.environ.get(name, default or "")

    return re.sub(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}", value, node)


# --------------------------------------------------------------------------- checking


def _checked(tree: Tree, places: Places, prefix: str = "", at: str | None = None) -> Recipe:
    """The tree as a Recipe; `prefix` and `at` say where its keys stand, if not at the top."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise explain(error, places, prefix, at) from None


def _check_trl_keys(recipe: Recipe, places: Places) -> None:
    method = recipe.train.method
    blocks = [("train.trl", recipe.train.trl, method)]
    for name, change in recipe.arms.items():
        train = change.get("train", {})
        own = train.get("method", method)
        blocks.append((f"arms.{name}.train.trl", train.get("trl", {}), own))
    for key, values in recipe.sweep.items():
        if key == "train.trl":
            blocks += [("sweep.train.trl", value, method) for value in values]
        elif (field := key.removeprefix("train.trl.")) != key:
            blocks += [("sweep.train.trl", {field: value}, method) for value in values]
    for prefix, block, method in blocks:
        known = config_fields(method)
        for key in block:
            at = f"{places.of(f'{prefix}.{key}')}: {prefix}.{key}"
            if key in SAID_ELSEWHERE:
                raise UserError(f"{at}: set {SAID_ELSEWHERE[key]} instead")
            if key in GONE and key not in known:
                raise UserError(f"{at}: {GONE[key]}")
            if key in LOGGING:
                raise UserError(
                    f"{at}: every step is logged, for metrics.jsonl and the watchdog; leave it out"
                )
            if known and key not in known:
                hint = did_you_mean(key, known)
                raise UserError(f"{at}: TRL's {config_name(method)} has no such field{hint}")
            if problem := unfit(key, block[key], method):
                raise UserError(f"{at}: {problem}")
            if key == "generation_kwargs" and "seed" in (block[key] or {}):
                raise UserError(
                    f"{at}: seed: one for all requests draws a group's completions alike; they are "
                    "made from the recipe's `seed`; leave it out"
                )
            if key == "report_to":
                _check_report_to(named(block[key]), at)


def _check_report_to(names: Sequence[str], at: str) -> None:
    known = integrations()
    for name in names:
        if name == "wandb":
            raise UserError(f"{at}: set track.wandb instead")
        if known and name not in known:
            hint = did_you_mean(name, known) or "; tensorboard, for example"
            raise UserError(f"{at}: transformers has no integration {name!r}{hint}")
