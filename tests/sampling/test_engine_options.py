"""What our evaluations give vLLM's engine, held by a stand-in for it."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ttc_rl.config import EngineConfig
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.engine import EngineCompleter


def test_the_recipes_options_go_to_the_engine_over_our_defaults(monkeypatch: pytest.MonkeyPatch):
    made: dict[str, Any] = {}
    monkeypatch.setitem(
        sys.modules, "vllm", SimpleNamespace(LLM=lambda **given: made.update(given))
    )
    options = {"max_num_seqs": 8, "enable_prefix_caching": False}
    config = EngineConfig(backend="vllm", max_model_len=64, options=options)
    EngineCompleter.load("m", Decoding(max_tokens=4), {}, config, dtype="float32")
    assert made["max_num_seqs"] == 8
    assert made["enable_prefix_caching"] is False
    assert (made["model"], made["max_model_len"]) == ("m", 64)
