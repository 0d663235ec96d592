"""A small validator of JSON Schema, for the words that ours uses: jsonschema is no requirement."""

import re
from collections.abc import Iterator
from typing import Any

TYPES = {"string": str, "array": list, "object": dict, "boolean": bool, "null": type(None)}
LIMITS = {
    "minimum": (int | float, lambda value, limit: value >= limit),
    "maximum": (int | float, lambda value, limit: value <= limit),
    "exclusiveMinimum": (int | float, lambda value, limit: value > limit),
    "exclusiveMaximum": (int | float, lambda value, limit: value < limit),
    "maxLength": (str, lambda value, limit: len(value) <= limit),
    "pattern": (str, lambda value, limit: re.search(limit, value)),
    "minItems": (list, lambda value, limit: len(value) >= limit),
    "maxProperties": (dict, lambda value, limit: len(value) <= limit),
    "maxItems": (list, lambda value, limit: len(value) <= limit),
    "enum": (object, lambda value, limit: value in limit),
    "const": (object, lambda value, limit: value == limit),
}
"""Word -> the values that it is about, and whether one of them keeps to it."""
SAYS_NOTHING = {"title", "description", "default", "$defs"}
INSIDE = {"then", "properties", "additionalProperties", "required", "items", "prefixItems"}


def mistakes(value: Any, schema: Any, root: Any, at: str = "") -> Iterator[str]:
    """Yield what of a value the schema refuses. Raises KeyError for a word it does not know."""
    if isinstance(schema, bool):
        schema = {} if schema else {"enum": []}
    for word, limit in schema.items():
        if word == "$ref":
            yield from mistakes(value, root["$defs"][limit.rpartition("/")[2]], root, at)
        elif word == "anyOf":
            tried = [list(mistakes(value, option, root, at)) for option in limit]
            if all(tried):
                yield from min(tried, key=len)
        elif word == "allOf":
            for part in limit:
                yield from mistakes(value, part, root, at)
        elif word == "if":
            if not any(mistakes(value, limit, root, at)):
                yield from mistakes(value, schema["then"], root, at)
        elif word == "type":
            if not _is(value, limit):
                yield f"{at}: {value!r} is no {limit}"
        elif word not in SAYS_NOTHING | INSIDE:
            about, kept = LIMITS[word]
            if isinstance(value, about) and not kept(value, limit):
                yield f"{at}: {value!r} against {word} {limit!r}"
    if isinstance(value, dict):
        yield from (f"{at}: no {key}" for key in schema.get("required", ()) if key not in value)
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for key, inner in value.items():
            yield from mistakes(inner, known.get(key, others), root, f"{at}.{key}")
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        for i, inner in enumerate(value):
            part = first[i] if i < len(first) else schema.get("items", True)
            yield from mistakes(inner, part, root, f"{at}.{i}")


def _is(value: Any, name: str) -> bool:
    if name in ("number", "integer"):
        kinds = (int, float) if name == "number" else int
        return isinstance(value, kinds) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])
