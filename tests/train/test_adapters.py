"""LoRA: what is trained, what is left, and that a kill changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from ttc_rl.config import AdapterConfig, load_recipe
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.run import select, train
from ttc_rl.train.weights.adapters import loading, peft_config

TINY = Path(__file__).parents[1] / "tiny.yaml"
LORA = ["train.lora={rank: 3}", "train.trl.learning_rate=1e-2"]


def job(folder: Path, *overrides: str) -> Job:
    recipe = load_recipe(TINY, [*LORA, *overrides])
    return Job(recipe, RunDir.open(folder, recipe, resume=True))


@pytest.fixture(scope="module")
def trained(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    made = job(tmp_path_factory.mktemp("lora") / "run")
    select(made)
    train(made)
    return made


def test_the_model_left_is_the_base_plus_the_adapter(trained: Job):
    assert_base_plus_adapter(trained)


def assert_base_plus_adapter(trained: Job) -> None:
    folder = trained.arm("sift")[1]
    base = load_file(Path(starting_model(trained.recipe)) / "model.safetensors")
    whole = load_file(folder.model / "model.safetensors")
    adapter = load_file(folder.adapter / "adapter_model.safetensors")
    assert whole.keys() == base.keys()
    changed = 0
    for name, weight in whole.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        expected = base[name]
        if f"{stem}.lora_A.weight" in adapter:
            a, b = (adapter[f"{stem}.lora_{letter}.weight"].float() for letter in "AB")
            assert a.shape[0] == b.shape[1] == 3
            expected = base[name] + 2.0 * b @ a
            changed += 1
            assert not torch.equal(weight, base[name])
        assert torch.allclose(weight, expected, atol=1e-6)
    assert changed == 2 * 7  # layers x linear maps
    assert len(list(read_jsonl(folder.metrics))) == 8


def test_the_same_recipe_trains_the_same_adapter(trained: Job, tmp_path: Path):
    again = job(tmp_path / "again")
    select(again)
    train(again)
    one, two = (j.arm("sift")[1].adapter / "adapter_model.safetensors" for j in (trained, again))
    assert one.read_bytes() == two.read_bytes()


def test_a_base_in_four_bits_is_trained_beside_and_left_as_it_was(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """QLoRA: layers hold packed weights, the model left is the base on disk plus the adapter."""
    from bitsandbytes.nn import Linear4bit
    from trl.trainer.grpo_trainer import GRPOTrainer

    held: list[torch.dtype] = []
    step = GRPOTrainer.training_step

    def looking(self: Any, model: Any, *given: Any, **more: Any) -> Any:
        held.extend(m.weight.dtype for m in model.modules() if isinstance(m, Linear4bit))
        return step(self, model, *given, **more)

    monkeypatch.setattr(GRPOTrainer, "training_step", looking)
    made = job(tmp_path / "run", "train.lora.load_in_4bit=true", "arms.random=null")
    select(made)
    train(made)
    assert len(held) == 8 * 2 * 7  # steps x layers x linear maps
    assert set(held) == {torch.uint8}
    assert_base_plus_adapter(made)


def test_what_peft_is_given(monkeypatch: pytest.MonkeyPatch):
    config: Any = peft_config(AdapterConfig(rank=4, dropout=0.1, target_modules=["q_proj"]))
    assert (config.r, config.lora_alpha, config.lora_dropout) == (4, 8, 0.1)
    assert config.target_modules == {"q_proj"}
    assert peft_config(None) is None
    assert loading(AdapterConfig()) == {}
    quantised = loading(AdapterConfig(load_in_4bit=True))["quantization_config"]
    assert (quantised.load_in_4bit, quantised.bnb_4bit_quant_type) == (True, "nf4")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="load_in_4bit needs bitsandbytes"):
        loading(AdapterConfig(load_in_4bit=True))


def test_the_cards_are_ours_and_not_pefts(trained: Job):
    folder = trained.arm("sift")[1]
    adapter, model = (ModelCard.load(p / "README.md") for p in (folder.adapter, folder.model))
    assert (adapter.data.library_name, model.data.library_name) == ("peft", "transformers")
    assert "lora" in (adapter.data.tags or [])
    assert "LoRA adapter for" in adapter.text
    assert "Model Card for Model ID" not in adapter.text
    assert "its LoRA adapter merged in" in model.text
    assert "Not evaluated yet." in model.text
