"""What every section of a recipe shares: the base class, and the values that keys may take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import core_schema

from ttc_rl.config.places import did_you_mean


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class OwnOr:
    """The type of one of the names, or of a dotted path to something of the user's own."""

    names: tuple[str, ...]

    def check(self, value: str) -> str:
        if value not in self.names and not re.fullmatch(DOTTED, value):
            hint = did_you_mean(value, self.names) or f"; there are {', '.join(self.names)}"
            raise ValueError(f"no such name{hint}; of your own: my_package.my_module:name")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.names)}, {"type": "string", "pattern": DOTTED}]}


OWN = "module:name"
"""What tables of methods call every one of the user's own."""
DOTTED = r"^[\w.]+:\w+$"


def is_own(name: str) -> bool:
    """Whether a recipe names something of the user's own."""
    return ":" in name


def as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping) else value


def named(report_to: Any) -> list[str]:
    """transformers' `report_to` (nothing, "none", a name, a list of names) as a list of names."""
    given = cast(list[Any], report_to if isinstance(report_to, list) else [report_to])
    return [str(name) for name in given if name not in (None, "none")]


def nested(dotted: str, value: Any) -> dict[str, Any]:
    """`a.b`, 1 -> {"a": {"b": 1}}"""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


def with_readers(readers: Mapping[str, Sequence[str]]) -> Callable[[dict[str, Any]], None]:
    """Return what says in a section's JSON schema which methods read a key."""

    def add(schema: dict[str, Any]) -> None:
        for key, names in readers.items():
            value = schema["properties"][key]
            value["description"] += f" Read by `{'`, `'.join(names)}`."

    return add


def merge(base: Any, change: Any) -> Any:
    """`change` on top of `base`: mappings merge key by key, anything else is replaced."""
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        old, new = cast(Mapping[str, Any], base), cast(Mapping[str, Any], change)
        return {**old, **{key: merge(old.get(key), value) for key, value in new.items()}}
    return change
