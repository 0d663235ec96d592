"""Which results are pooled as seeds of one experiment: those of recipes that differ in the seed.

Recipes that differ in anything that can change a result make variants. A variant's name is the keys
in which it differs, `sift [selection.size=10]`; a name that would be long is a letter, and a legend
says what it stands for.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ttc_rl.config import Recipe
from ttc_rl.config.resuming import is_free
from ttc_rl.corpus.benchmarks import target_name

ELSEWHERE = ("target", "seed", "arms", "sweep", "data", "track", "eval.benchmarks",
             "eval.retention", "eval.perturbed")  # fmt: skip
"""Keys that say for which test, where the data lies, or what else is evaluated. The tasks are
compared by their ids."""
SILENT = ("sweep", "data", "track")
"""Keys that change no result."""
LEARNING = ("selection", "train", "embed", "overlap", "experts", "preflight", "corpus")
"""Sections that the base model does not go through."""
LONG = 32
"""Characters; a longer name becomes a letter."""

Names = list[dict[str, str]]
"""For each run: model -> the name of its variant, empty where all runs agree."""


def variants(
    recipes: Sequence[Recipe], models: Sequence[Collection[str]], folders: Sequence[str]
) -> tuple[Names, dict[str, str]]:
    """Name the variant of each run's models; the legend says what the letters stand for.

    Runs that agree in the seed too are told apart by their folders.
    """
    shared = [_shared(recipe) for recipe in recipes]
    differing = _differing(shared)
    names: Names = [{} for _ in recipes]
    for model in dict.fromkeys(name for own in models for name in own):
        having = [i for i, own in enumerate(models) if model in own]
        arms = {i: _own(recipes[i], model) for i in having}
        keys = [key for key in differing if model != "base" or _reaches_base(key, recipes)]
        keys += _differing(list(arms.values()))
        for i in having:
            both = shared[i] | arms[i]
            names[i][model] = ", ".join(f"{key}={both.get(key)}" for key in keys)
    slots = [
        {(model, name, target_name(recipe.targets), recipe.seed) for model, name in own.items()}
        for recipe, own in zip(recipes, names, strict=True)
    ]
    taken = Counter(slot for own in slots for slot in own)
    for own, slot, folder in zip(names, slots, folders, strict=True):
        repeated = {model for model, *_ in (s for s in slot if taken[s] > 1)} - {"base"}
        own.update(dict.fromkeys(repeated, folder))
    return _shortened(names)


def recipe_differences(recipes: Sequence[Recipe]) -> dict[str, list[str]]:
    """Return the keys in which the recipes differ, and that can change a result -> each one's
    value."""
    leaves = [
        {k: v for k, v in _leaves(recipe.model_dump()) if not (_within(k, SILENT) or is_free(k))}
        for recipe in recipes
    ]
    return {key: [_text(keys, key) for keys in leaves] for key in _differing(leaves)}


def _text(keys: Mapping[str, Any], key: str) -> str:
    value = keys.get(key)
    return "not set" if value is None else str(value)


def _shared(recipe: Recipe) -> dict[str, Any]:
    """Return the keys that count for every model of a run."""
    leaves = dict(_leaves(recipe.model_dump()))
    if not recipe.arms:
        del leaves["selection.method"]  # the arm's name
    return {k: v for k, v in leaves.items() if not (_within(k, ELSEWHERE) or is_free(k))}


def _own(recipe: Recipe, model: str) -> dict[str, Any]:
    arm = model.partition("/")[0]
    leaves = _leaves(recipe.arms.get(arm, {}), f"arms.{arm}.")
    return {key: value for key, value in leaves if not is_free(key)}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _differing(of_runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values differ, or that only some recipes have."""
    every = dict.fromkeys(key for keys in of_runs for key in keys)
    return [key for key in every if len({repr(keys.get(key)) for keys in of_runs}) > 1]


def _reaches_base(key: str, recipes: Sequence[Recipe]) -> bool:
    """Return whether a key changes the base model: a warm-up without tasks of its own learns from
    the corpus."""
    warmups = (recipe.model.warmup for recipe in recipes)
    learns = any(warmup is not None and warmup.source is None for warmup in warmups)
    return not _within(key, LEARNING) or (learns and _within(key, ("corpus",)))


def _within(key: str, sections: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in sections)


def _shortened(names: Names) -> tuple[Names, dict[str, str]]:
    texts = dict.fromkeys(name for own in names for name in own.values() if name)
    if all(len(text) <= LONG for text in texts):
        return names, {}
    letters = {text: _letter(i) for i, text in enumerate(texts)}
    short = [{model: letters.get(name, "") for model, name in own.items()} for own in names]
    return short, {letter: text for text, letter in letters.items()}


def _letter(number: int) -> str:
    """Return the letters of a number: A to Z, then A1 to Z1, A2 ..."""
    turn, place = divmod(number, len(string.ascii_uppercase))
    return f"{string.ascii_uppercase[place]}{turn or ''}"
