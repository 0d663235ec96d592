"""A hint that can be followed: from a checkout, and from elsewhere."""

from pathlib import Path

import pytest

from ttc_rl.system import install as module
from ttc_rl.system.install import CHECKOUT, install


def test_a_hint_names_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(CHECKOUT)
    assert install("train") == "pip install -e '.[train]'"
    monkeypatch.chdir(tmp_path)
    assert install("train") == f"pip install -e '{CHECKOUT}[train]'"
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    assert install("vllm") == "pip install -e '.[vllm]' in a checkout of ttc-rl"
