"""The JSON schema that `ttc-rl config` prints: it accepts every recipe, and explains every key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from json_schema import mistakes
from ruamel.yaml import YAML
from typer.testing import CliRunner

from ttc_rl.cli.app import app
from ttc_rl.config import Recipe, dump_recipe, load_recipe
from ttc_rl.schema import UserError

SCHEMA = Recipe.model_json_schema()
RECIPES = sorted(
    (
        p
        for p in Path("recipes").rglob("*.yaml")
        if p.parent.name not in ("text", "grids", "discovery")
    ),
    key=str,
)


def refused(text: str) -> list[str]:
    return list(mistakes(YAML(typ="safe", pure=True).load(text), SCHEMA, SCHEMA))


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_it_accepts_every_recipe_as_written_and_as_a_run_keeps_it(path: Path):
    assert refused(path.read_text(encoding="utf-8")) == []
    assert refused(dump_recipe(load_recipe(path))) == []


@pytest.mark.parametrize(
    "change",
    ["sede: 3", "seed: one", "model: {path: 3}", "train: {epochs: 0}", "arms: [a]",
     "selection: {method: shift}", "eval: {k: [0]}", "embed: {dtype: float64}", "corpus: []",
     "track: {project: a/b}", "train: {curriculum: {band: [0.1]}}"],
)  # fmt: skip
def test_it_refuses_what_a_recipe_cannot_hold(change: str):
    assert len(refused(f"extends: paper.yaml\n{change}")) == 1


def test_only_a_recipe_with_a_parent_may_leave_out_what_each_needs():
    assert refused("extends: paper.yaml") == []
    assert refused("model: m\ncorpus: c\ntarget: t") == []
    assert len(refused("model: m\ncorpus: c")) == 1


def keys() -> Iterator[tuple[str, Any]]:
    for name, section in {**SCHEMA["$defs"], "Recipe": SCHEMA}.items():
        yield name, section
        for key, value in section["properties"].items():
            yield f"{name}.{key}", value


def test_every_section_and_every_key_says_what_it_is():
    assert [name for name, value in keys() if not value.get("description")] == []


def test_the_page_of_keys_is_what_the_command_prints():
    printed = CliRunner().invoke(app, ["config", "--markdown"]).stdout
    assert printed == Path("docs/recipe.md").read_text(encoding="utf-8")
    for name, section in keys():
        assert "properties" in section or f"| `{name.partition('.')[2]}` |" in printed


def test_the_page_of_keys_is_of_no_single_recipe():
    refusal = CliRunner().invoke(app, ["config", "recipes/quickstart.yaml", "--markdown"])
    assert isinstance(refusal.exception, UserError)
