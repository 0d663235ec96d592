"""Real golds in other dress and with small changes; tests/benchmarks/mutants.py runs over all."""

import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOLDS = 500
FILES = ("math_12k", "college_math", "orz_subset", "deepscaler_subset", "quasar_mix")


def test_real_golds_accept_every_dressing_and_refuse_every_change(data: Path):
    """A fixed slice of the golds that are no plain numbers."""
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "tests/benchmarks/mutants.py")
    assert spec is not None
    assert spec.loader is not None
    mutants = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = mutants
    spec.loader.exec_module(mutants)
    paths = [data / "corpus" / f"{name}.jsonl.gz" for name in FILES]
    if not all(path.exists() for path in paths):
        pytest.skip("the corpora are not here")
    golds = {gold for path in paths for some in mutants.golds_of(path).values() for gold in some}
    formulas = [gold for gold in golds if not mutants.is_number(gold)]
    formulas.sort(key=lambda gold: hashlib.sha256(gold.encode()).digest())
    found = mutants.try_golds(formulas[:GOLDS])
    assert found.golds > 400
    assert len(found.accepted) <= 0.001 * found.changes, found.accepted[:20]
    assert len(found.refused) <= 0.02 * found.dressings, found.refused[:20]
