"""The walls of the house: who may import whom, and what imports without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ttc_rl

ROOT = Path(__file__).parent.parent
LIGHT = ("schema", "config", "metrics", "verifiers", "selection", "run_dir")
LIGHT += ("corpus.overlap", "corpus.sources", "corpus.benchmarks")
HEAVY = ("torch", "transformers", "trl", "vllm", "datasets", "sentence_transformers", "sympy")


WHOLE = ("cli", "config", "stages")
"""Rooms where the whole recipe is known."""
STILL_WHOLE = {
    "ttc_rl.launch", "ttc_rl.run_dir", "ttc_rl.tracking", "ttc_rl.train.loop",
    "ttc_rl.train.methods", "ttc_eval",
}  # fmt: skip
"""Modules and rooms where functions are still handed the whole recipe: none may join them."""


def test_a_function_takes_its_section_and_not_the_recipe():
    holding: set[str] = set()
    for package in (ROOT / "ttc_rl", ROOT / "eval" / "ttc_eval"):
        for path in package.rglob("*.py"):
            parts = path.relative_to(package.parent).with_suffix("").parts
            names = {node.id for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                     if isinstance(node, ast.Name)}  # fmt: skip
            if parts[1] not in WHOLE and "Recipe" in names:
                holding.add(".".join(parts))
    homes = {home: {name for name in holding if f"{name}.".startswith(f"{home}.")}
             for home in STILL_WHOLE}  # fmt: skip
    assert holding - set().union(*homes.values()) == set()
    assert [home for home, names in homes.items() if not names] == []  # then take it off the list


def test_import_contracts_hold():
    """In a process of its own: here, tests/eval would be taken for eval."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_core_imports_nothing_heavy():
    code = "; ".join(f"import ttc_rl.{room}" for room in LIGHT)
    code += f"; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ttc_rl.__all__)
def test_the_public_names_are_there(name: str):
    assert getattr(ttc_rl, name).__name__ == name
