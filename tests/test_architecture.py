"""The walls of the house: who may import whom, and what imports without torch."""

import subprocess
import sys

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

import ttc_rl

LIGHT = ("schema", "config", "metrics", "verifiers", "selection", "overlap", "sources", "run_dir")
HEAVY = ("torch", "transformers", "trl", "vllm", "datasets", "sentence_transformers", "sympy")


def test_import_contracts_hold():
    assert lint_imports() == EXIT_STATUS_SUCCESS


def test_the_core_imports_nothing_heavy():
    code = "; ".join(f"import ttc_rl.{room}" for room in LIGHT)
    code += f"; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ttc_rl.__all__)
def test_the_public_names_are_there(name: str):
    assert getattr(ttc_rl, name).__name__ == name
