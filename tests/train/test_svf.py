"""Singular-value fine-tuning against torch's own decomposition, and a run that trains with it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ttc_rl.config import SvfConfig, TrainConfig, load_recipe
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.run import select, train
from ttc_rl.train.callbacks import Progress
from ttc_rl.train.weights.adapters import peft_config
from ttc_rl.train.weights.svf import SvfLayer, SvfPeftConfig

TINY = Path(__file__).parents[1] / "tiny.yaml"
SHAPES = [(7, 4), (4, 7), (5, 5)]


def layer(out: int, into: int, *, form: str = "paper", bias: bool = True) -> SvfLayer:
    torch.manual_seed(out * 10 + into)
    base = nn.Linear(into, out, bias=bias)
    return SvfLayer(base, "default", SvfPeftConfig(form=form))


def rebuilt(weight: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    u, s, vt = torch.linalg.svd(weight.detach().double(), full_matrices=False)
    return (u * (s * z.double())) @ vt


@pytest.mark.parametrize(("out", "into"), SHAPES)
@pytest.mark.parametrize("form", ["paper", "released"])
def test_training_begins_at_the_base(out: int, into: int, form: str):
    made, x = layer(out, into, form=form), torch.randn(3, into)
    expected = made.base_layer(x)
    if form == "paper":
        assert torch.equal(made(x), expected)
    assert torch.allclose(made(x), expected, atol=1e-6)


@pytest.mark.parametrize(("out", "into"), SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_is_the_matrix_with_other_singular_values(out: int, into: int, bias: bool):
    made, x = layer(out, into, bias=bias), torch.randn(3, into)
    z = torch.rand(min(out, into)) + 0.5
    made.svf_z["default"].data = z
    whole = rebuilt(made.base_layer.weight, z).float()
    expected = nn.functional.linear(x, whole, made.base_layer.bias)
    assert torch.allclose(made(x), expected, atol=1e-5)
    before = made.base_layer.weight.detach().clone()
    made.merge()
    assert torch.allclose(made.base_layer.weight, whole, atol=1e-5)
    assert torch.allclose(made(x), expected, atol=1e-5)
    made.unmerge()
    assert torch.equal(made.base_layer.weight, before)


def test_the_released_form_learns_emphasis_and_not_scale():
    made = layer(6, 4, form="released")
    gates = torch.tensor([0.3, -1.0, 2.0, 0.1])
    made.svf_z["default"].data = gates
    s = torch.linalg.svdvals(made.base_layer.weight.detach())
    gate = torch.sigmoid(gates)
    assert torch.allclose(made.scale("default"), gate * s.sum() / (s * gate).sum(), atol=1e-5)
    assert (s * made.scale("default")).sum().item() == pytest.approx(s.sum().item(), rel=1e-5)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")
def test_only_the_scales_are_trained():
    from peft import get_peft_model
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=1, head_dim=8,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    model: Any = get_peft_model(Qwen3ForCausalLM(config), peft_config(SvfConfig()))
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    assert all(".svf_z." in name for name in trained)
    assert sum(trained.values()) == 16 + 8 + 8 + 16 + 3 * 16  # q k v o, gate up down


def job(folder: Path, *overrides: str) -> Job:
    keys = ["train.svf={}", "train.trl.learning_rate=2e-2", "arms.random=null", *overrides]
    recipe = load_recipe(TINY, keys)
    made = Job(recipe, RunDir.open(folder, recipe, resume=True))
    select(made)
    return made


def test_a_run_leaves_the_merged_model_and_goes_on_after_a_stop(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, stopped = job(tmp_path / "whole"), job(tmp_path / "stopped")
    train(whole)
    log = Progress.on_log

    def stop_at_five(self: Any, args: Any, state: Any, *given: Any, **more: Any) -> None:
        log(self, args, state, *given, **more)
        if state.global_step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "on_log", stop_at_five)
        with pytest.raises(KeyboardInterrupt):
            train(stopped)
    train(stopped)
    one, other = (made.arm("sift")[1] for made in (whole, stopped))
    assert [row["step"] for row in read_jsonl(other.metrics)] == [*range(1, 9)]
    for name in ("adapter/adapter_model.safetensors", "model/model.safetensors"):
        assert (one.root / name).read_bytes() == (other.root / name).read_bytes()
    base = load_file(Path(starting_model(whole.recipe)) / "model.safetensors")
    model, adapter = (load_file(next(p.glob("*.safetensors"))) for p in (one.model, one.adapter))
    assert model.keys() == base.keys()
    for name, weight in model.items():
        z = adapter.get(f"base_model.model.{name.removesuffix('.weight')}.svf_z")
        assert torch.equal(weight, base[name]) == (z is None)
        if z is not None:
            assert torch.allclose(weight, rebuilt(base[name], z).float(), atol=1e-5)


def test_what_cannot_be_scaled_is_said():
    packed = nn.Linear(4, 4)
    packed.weight = nn.Parameter(torch.zeros(8, 1, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(UserError, match="whole weights"):
        SvfLayer(packed, "default", SvfPeftConfig())
    with pytest.raises(ValueError, match="lora and svf: what is trained is one of them"):
        TrainConfig.model_validate({"lora": {}, "svf": {}})
