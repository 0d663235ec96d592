"""What training changed: shares in bfloat16, relative norms, effective ranks."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ttc_rl.run_dir import write_json
from ttc_rl.schema import UserError
from ttc_rl.train.weights.geometry import changes, effective_rank, kind_of


def model(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    write_json(folder / "config.json", {})
    return folder


def test_each_kind_of_module_over_all_layers(tmp_path: Path):
    torch.manual_seed(0)
    weights = {
        f"model.layers.{i}.{name}.weight": torch.randn(8, 6)
        for i in range(2)
        for name in ("mlp.up_proj", "self_attn.q_proj")
    } | {"model.norm.weight": torch.ones(6)}
    after = {name: weight.clone() for name, weight in weights.items()}
    after["model.layers.1.mlp.up_proj.weight"] += torch.outer(torch.ones(8), torch.ones(6))
    after["model.layers.0.self_attn.q_proj.weight"] *= 1 + 1e-6  # below a bfloat16's eight bits
    found = {
        change.module: change
        for change in changes(model(tmp_path / "a", weights), model(tmp_path / "b", after))
    }
    assert set(found) == {"mlp.up_proj", "self_attn.q_proj", "norm", "all"}
    up = found["mlp.up_proj"]
    assert (up.weights, up.full_rank) == (96, 6)
    assert up.changed == pytest.approx(0.5, abs=0.02)
    assert up.rank == pytest.approx(1, abs=1e-3)  # the mean over those that changed
    norm = sum(
        float(weights[f"model.layers.{i}.mlp.up_proj.weight"].square().sum()) for i in (0, 1)
    )
    assert up.relative == pytest.approx((48 / norm) ** 0.5)
    query = found["self_attn.q_proj"]
    assert query.changed < 0.05  # what float32 changed, bfloat16 mostly hides
    assert query.relative == pytest.approx(1e-6 / 2**0.5, rel=0.3)
    assert (found["norm"].changed, found["norm"].rank, found["norm"].full_rank) == (0, None, None)
    assert found["all"].weights == 4 * 48 + 6
    assert found["all"].changed == pytest.approx((up.changed + query.changed) * 96 / 198)


def test_the_effective_rank_is_between_one_and_the_shorter_side():
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.ones(7, 3)) == pytest.approx(1, abs=1e-3)


def test_names_of_layers_go_by_what_they_are():
    assert kind_of("model.layers.12.mlp.up_proj.weight") == "mlp.up_proj"
    assert kind_of("transformer.h.3.attn.c_attn.bias") == "attn.c_attn.bias"
    assert kind_of("model.embed_tokens.weight") == "embed_tokens"


def test_another_model_is_refused(tmp_path: Path):
    one = model(tmp_path / "a", {"w": torch.ones(2, 2)})
    with pytest.raises(UserError, match="only one of them has v"):
        changes(one, model(tmp_path / "b", {"v": torch.ones(2, 2)}))
    with pytest.raises(UserError, match=r"is \(3, 2\), in the base \(2, 2\)"):
        changes(one, model(tmp_path / "c", {"w": torch.ones(3, 2)}))
