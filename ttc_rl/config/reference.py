"""Every key of a recipe as Markdown: docs/recipe.md, made from the model's JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ttc_rl.config.recipe import Recipe
from ttc_rl.config.section import DOTTED

Schema = dict[str, Any]

HEAD = """\
# The keys of a recipe

`ttc-rl config --markdown` makes this page from the code. `ttc-rl config` prints the same as a JSON
schema, for your editor. `ttc-rl config RECIPE` shows a recipe with every key filled in.

A key stands in the recipe's file, or on the command line: `selection.size=500`. Where the
default is "none", the key is left out.
"""
PLAIN = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}
LIMITS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


def reference() -> str:
    """Return the page: one table for each section, under the shortest key where it may stand."""
    schema = Recipe.model_json_schema()
    places: dict[str, list[str]] = {}
    for place, section in _sections(schema, schema, ""):
        places.setdefault(section, []).append(place)
    homes = {section: min(keys, key=_depth) for section, keys in places.items()}
    page = [HEAD, *_table(schema, homes)]
    for section in sorted(homes, key=lambda name: _order(schema, homes[name])):
        home = homes[section]
        others = [f"`{key}`" for key in places[section] if key != home]
        also = [f"The same keys stand in {', '.join(others)}.\n"] if others else []
        node = schema["$defs"][section]
        page += [f"\n## {home}\n", f"{_line(node['description'])}\n", *also, *_table(node, homes)]
    return "\n".join(page)


def _sections(node: Schema, schema: Schema, at: str) -> Iterator[tuple[str, str]]:
    """Yield each place of a section, with the section's name, in the order of the keys."""
    for key, value in node["properties"].items():
        place = f"{at}.{key}".lstrip(".")
        for section in dict.fromkeys(_named(value)):
            yield place, section
            yield from _sections(schema["$defs"][section], schema, place)


def _named(value: Any) -> Iterator[str]:
    """Yield the sections that a key may hold."""
    if not isinstance(value, dict):
        return
    node: Schema = value  # pyright: ignore[reportUnknownVariableType]
    if "$ref" in node:
        yield _name(node)
    for inner in [*node.get("anyOf", []), node.get("items"), node.get("additionalProperties")]:
        yield from _named(inner)


def _name(node: Schema) -> str:
    return str(node["$ref"]).rpartition("/")[2]


def _depth(place: str) -> int:
    return place.count(".")


def _order(schema: Schema, place: str) -> tuple[int, str]:
    """Return what sorts sections as the recipe's keys are, each before those inside it."""
    return list(schema["properties"]).index(place.partition(".")[0]), place


def _table(node: Schema, homes: dict[str, str]) -> list[str]:
    # A recipe's needed keys are those of the last form that its schema allows: without `extends`.
    needed = [node, *node.get("anyOf", [])][-1].get("required", [])
    rows = ["| key | type | default | description |", "|:--|:--|:--|:--|"]
    for key, value in node["properties"].items():
        default = "needed" if key in needed else _default(value.get("default"))
        cells = [f"`{key}`", _type(value, homes), default, _line(value["description"])]
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return rows


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if value and isinstance(value, dict):
        return "its defaults"
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def _type(node: Schema, homes: dict[str, str]) -> str:
    """Return the type of a key in words, with a link where it is a section."""
    if "$ref" in node:
        home = homes[_name(node)]
        return f"[{home}](#{home.replace('.', '')})"
    if "anyOf" in node:
        options = [_type(option, homes) for option in node["anyOf"] if option != {"type": "null"}]
        return " or ".join(dict.fromkeys(options))
    if "enum" in node or "const" in node:
        return ", ".join(f"`{name}`" for name in node.get("enum", [node.get("const")]))
    if node.get("pattern") == DOTTED:
        return "`module:name`"
    if "prefixItems" in node:
        parts = dict.fromkeys(_type(item, homes) for item in node["prefixItems"])
        return f"list of {len(node['prefixItems'])}: {', '.join(parts)}"
    if node.get("type") == "array":
        inner = _type(node["items"], homes)
        return f"list of ({inner})" if "anyOf" in node["items"] else f"list of {inner}"
    if node.get("type") == "object":
        inner = node["additionalProperties"]
        return "mapping" if inner is True else f"mapping to {_type(inner, homes)}"
    limits = [f"{sign} {node[word]}" for word, sign in LIMITS.items() if word in node]
    return " ".join([PLAIN.get(node.get("type", ""), "anything"), ", ".join(limits)]).strip()


def _line(text: str) -> str:
    return " ".join(text.split())
