"""A wrong recipe explained in one line: where it stands, what is wrong, what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ttc_rl.config.handed_on import lora_fields
from ttc_rl.config.places import Places, did_you_mean
from ttc_rl.config.recipe import Recipe
from ttc_rl.config.trl_fields import config_fields
from ttc_rl.schema import UserError

ASYNC = (
    "TRL's AsyncGRPOTrainer learns from groups in the order in which they arrive, so that a "
    "curriculum's order, its steps and a resumed run's sameness are lost; leave it out"
)
"""Why there is no such key."""


def explain(error: ValidationError, places: Places, prefix: str, at: str | None) -> UserError:
    """The most telling of pydantic's complaints, as one line."""
    problem = min(error.errors(), key=_rank)
    loc = [str(part) for part in problem["loc"] if not _is_union_tag(part)]
    message = problem["msg"].removeprefix("Value error, ")
    if not loc:  # of the recipe as a whole: the message begins with the key that is to change
        at_key, _, message = message.partition(": ")
        loc = at_key.split(".")
    key = prefix + ".".join(loc)
    where = places.of(at or key)
    if problem["type"] == "extra_forbidden" and key.endswith("train.async"):
        return UserError(f"{where}: {at or key}: {ASYNC}")
    if problem["type"] == "extra_forbidden":
        return UserError(f"{where}: {at or key}: unknown key{_meant(loc)}")
    if problem["type"] == "missing":
        return UserError(f"{where}: {key}: missing, and it has no default")
    given: Any = problem["input"]
    shown = "" if isinstance(given, dict | BaseModel) else f" (got {given!r})"
    return UserError(f"{where}: {key}: {message}{shown}")


def _rank(problem: Any) -> int:
    """A misspelt key explains the rest, so it comes first; a mapping that "should be a string"
    is about the member of a union that was not meant, so it comes last."""
    if problem["type"] == "extra_forbidden":
        return 0
    return 2 if problem["type"] == "string_type" and isinstance(problem["input"], dict) else 1


def near_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f", and no folder {path.parent}"
    return did_you_mean(path.name, [other.name for other in path.parent.glob("*.yaml")])


def _meant(loc: Sequence[str]) -> str:
    """A near key at the same place, or the same word elsewhere, in the same section if it is."""
    keys = list(_all_keys(Recipe, ""))
    siblings = [key.split(".")[-1] for key in keys if key.split(".")[:-1] == list(loc[:-1])]
    word = {"lr": "learning_rate"}.get(loc[-1], loc[-1])
    hint = did_you_mean(loc[-1], siblings) if word == loc[-1] else ""
    if hint:
        return hint
    elsewhere = [key for key in keys if key.split(".")[-1] == word]
    if word in config_fields():
        elsewhere.append(f"train.trl.{word}")
    if word in lora_fields():
        elsewhere.append(f"train.lora.peft.{word}")
    if elsewhere:
        section = ".".join(loc[:-1])
        nearest = max(elsewhere, key=lambda key: bool(section) and key.startswith(f"{section}."))
        return f"; did you mean {nearest}?"
    return f"; known here: {', '.join(siblings)}" if siblings else ""


def _all_keys(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, info in section.model_fields.items():
        yield prefix + name
        for inner in _sections_in(info.annotation):
            yield from _all_keys(inner, f"{prefix}{name}.")


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)


def _is_union_tag(part: str | int) -> bool:
    """pydantic names the member of a union that it tried; a recipe's author did not write it."""
    return isinstance(part, str) and (part in ("str", "SourceConfig") or "[" in part)
