"""What the documents show: links that lead somewhere, YAML that loads, commands that exist."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from ttc_rl.cli.app import app
from ttc_rl.config import make_recipe

DOCS = sorted(Path("docs").glob("*.md"))
MINIMAL = {"model": "m", "corpus": ["c"], "target": "t"}
GUIDES = [Path("docs") / name for name in ("faq.md", "troubleshooting.md", "prompts.md", "data.md")]


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def headings(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {anchor(line.lstrip("#")) for line in lines if line.startswith("#")}


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.exists(), target
        assert not heading or heading in headings(path), target


@pytest.mark.parametrize("page", GUIDES, ids=lambda path: path.name)
def test_yaml_that_is_shown_is_a_recipes(page: Path):
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        make_recipe({**MINIMAL, **YAML(typ="safe", pure=True).load(block)})


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(page: Path):
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in re.findall(r"ttc-rl ([a-z]+[^`\n]*)", page.read_text(encoding="utf-8")):
        name, *words = line.split()
        if name not in commands:
            continue  # a sentence, not a command
        known = {option for parameter in commands[name].params for option in parameter.opts}
        for word in words:
            if word.startswith("--") and re.fullmatch(r"--[a-z-]+", word):
                assert word in known | {"--help"}, line


def test_every_page_stands_in_the_index():
    index = Path("docs/index.md").read_text(encoding="utf-8")
    for page in DOCS:
        assert page.name == "index.md" or f"({page.name})" in index, page


@pytest.mark.parametrize("script", sorted(Path("tests/benchmarks").glob("*.py")), ids=str)
def test_names_that_a_benchmark_imports_from_the_tool_exist(script: Path):
    """The scripts behind the documents' figures are seldom run: a moved name would go unseen."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ttc_"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                inner = (
                    importlib.util.find_spec(f"{node.module}.{name.name}")
                    if hasattr(module, "__path__")
                    else None
                )
                assert hasattr(module, name.name) or inner, f"{node.module}.{name.name}"
