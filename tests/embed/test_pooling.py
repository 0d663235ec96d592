"""vLLM's pooling runner: what it is asked, through a stand-in; its vectors, where it is there."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ttc_rl.config import EmbedConfig, PretrainConfig
from ttc_rl.embed import embed
from ttc_rl.schema import Task, UserError
from ttc_rl.train.tiny_model import base_model

TASKS = [Task("math", "2 + 3"), Task("code", "sort the words of a line by their length")]
HAS_VLLM = importlib.util.find_spec("vllm") is not None


def quiet(_: str) -> None:
    pass


class StandInLLM:
    """Knows of vLLM 0.31's LLM what the engine uses; a vector is (length, 1), not of unit norm."""

    made: list["StandInLLM"] = []  # noqa: RUF012

    def __init__(self, **arguments: Any) -> None:
        self.arguments, self.asked, self.closed = arguments, [], False
        self.model_config = SimpleNamespace(max_model_len=6)
        core = SimpleNamespace(shutdown=lambda: setattr(self, "closed", True))
        self.llm_engine = SimpleNamespace(engine_core=core)
        self.made.append(self)

    def embed(self, prompts: list[Any], *, use_tqdm: bool, tokenization_kwargs: dict[str, Any]):
        self.asked.append((prompts, tokenization_kwargs))
        lengths = [len(p if isinstance(p, str) else p["prompt_token_ids"]) for p in prompts]
        outputs = [SimpleNamespace(embedding=[float(n), 1.0]) for n in lengths]
        return [SimpleNamespace(outputs=output) for output in outputs]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[StandInLLM]:
    monkeypatch.setenv("TTC_RL_CACHE", str(tmp_path / "cache"))
    vllm, config = ModuleType("vllm"), ModuleType("vllm.config")
    vllm.LLM, config.PoolerConfig = StandInLLM, SimpleNamespace  # pyright: ignore
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.config", config)
    monkeypatch.setattr(StandInLLM, "made", [])
    return StandInLLM.made


def test_a_sentence_encoder_gets_prompt_and_text_and_cuts_what_is_too_long(engine):
    rows = embed(TASKS, EmbedConfig(backend="vllm", prompt="q: ", dtype="float32"))
    [llm] = engine
    assert llm.arguments["runner"] == "pooling"
    assert "pooler_config" not in llm.arguments
    [(prompts, cut)] = llm.asked
    assert prompts == ["q: " + task.prompt for task in TASKS]
    assert cut == {"truncate_prompt_tokens": -1}
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1])
    assert rows[0, 0] / rows[0, 1] == pytest.approx(len(prompts[0]))
    assert llm.closed


def test_a_policy_gets_token_ids_and_last_token_pooling(engine, tmp_path: Path):
    base = base_model(PretrainConfig(skills=None, layers=1), 0, {})
    embed(TASKS, EmbedConfig(backend="vllm", model="policy"), policy=base)
    [llm] = engine
    assert llm.arguments["model"] == str(base)
    assert llm.arguments["convert"] == "embed"
    assert llm.arguments["pooler_config"].pooling_type == "LAST"
    [(prompts, _)] = llm.asked
    assert [len(prompt["prompt_token_ids"]) for prompt in prompts] == [5, 6]  # bytes, cut at 6


def test_its_vectors_have_a_cache_of_their_own(engine):
    ours = embed(TASKS, EmbedConfig())
    assert embed(TASKS, EmbedConfig(backend="vllm")).shape != ours.shape


@pytest.mark.skipif(HAS_VLLM, reason="vLLM is installed")
def test_without_vllm_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("TTC_RL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"embed\.backend vllm needs vLLM: pip install"):
        embed(TASKS, EmbedConfig(backend="vllm"))


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_VLLM, reason="needs vLLM")
def test_real_vllm_gives_sentence_transformers_vectors(tmp_path, monkeypatch):
    monkeypatch.setenv("TTC_RL_CACHE", str(tmp_path / "cache"))
    expected = embed(TASKS, EmbedConfig(dtype="float32"))
    rows = embed(TASKS, EmbedConfig(dtype="float32", backend="vllm"))
    assert rows == pytest.approx(expected, abs=1e-2)
