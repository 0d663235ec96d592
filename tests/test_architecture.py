"""The walls of the house: who may import whom, and what imports without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

import ttc_rl

ROOT = Path(__file__).parent.parent
LIGHT = ("schema", "config", "metrics", "verifiers", "selection", "run_dir")
LIGHT += ("corpus.overlap", "corpus.sources", "corpus.benchmarks")
HEAVY = ("torch", "transformers", "trl", "vllm", "datasets", "sentence_transformers", "sympy")


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
