from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from ttc_rl.run_dir import read_json
from ttc_rl.schema import UserError
from ttc_rl.train.weights.patches import apply_patch, gaps_of, make_patch, places_of


@given(st.sets(st.integers(0, 5000)))
def test_positions_come_back(places: set[int]):
    ordered = np.array(sorted(places), dtype=np.int64)
    assert places_of(gaps_of(ordered)).tolist() == ordered.tolist()


def folder(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    path.mkdir()
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text("{}")
    return path


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 1.0])
def test_the_model_comes_back_to_the_bit(share: float, tmp_path: Path):
    torch.manual_seed(0)
    old = {"a": torch.randn(300, 200), "b": torch.randn(7)}
    moved = {n: t + (torch.rand_like(t) < share) * torch.randn_like(t) for n, t in old.items()}
    base, model = folder(tmp_path / "base", old), folder(tmp_path / "model", moved)
    change = make_patch(base, model, tmp_path / "p.safetensors")
    apply_patch(base, tmp_path / "p.safetensors", tmp_path / "back")
    back = load_file(tmp_path / "back" / "model.safetensors")
    for name, tensor in moved.items():
        assert torch.equal(back[name], tensor.to(torch.bfloat16))
    assert read_json(tmp_path / "back" / "config.json") == {"dtype": "bfloat16"}
    assert change.weights == 60007
    assert change.changed == pytest.approx(share * 60007, rel=0.05, abs=30)
    assert change.bytes < min(2 * 60007, 7 * change.changed) + 1000


def test_a_patch_of_another_base_is_refused(tmp_path: Path):
    one = folder(tmp_path / "one", {"a": torch.zeros(4)})
    two = folder(tmp_path / "two", {"a": torch.ones(4)})
    other = folder(tmp_path / "other", {"b": torch.ones(4)})
    make_patch(one, two, tmp_path / "p.safetensors")
    with pytest.raises(UserError, match="belongs to weights"):
        apply_patch(two, tmp_path / "p.safetensors", tmp_path / "out")
    with pytest.raises(UserError, match="only one of them has a"):
        make_patch(one, other, tmp_path / "q.safetensors")


def test_a_tied_weight_that_is_written_twice_is_no_change(tmp_path: Path):
    """As FSDP leaves a model whose output layer is its embedding."""
    old, new = torch.zeros(4, 2), torch.ones(4, 2)
    base = folder(tmp_path / "base", {"model.embed_tokens.weight": old})
    both = {"model.embed_tokens.weight": new, "lm_head.weight": new.clone()}
    model = folder(tmp_path / "model", both)
    with pytest.raises(UserError, match=r"only one of them has lm_head\.weight"):
        make_patch(base, model, tmp_path / "p.safetensors")
    for path in (base, model):
        (path / "config.json").write_text('{"tie_word_embeddings": true}')
    assert make_patch(base, model, tmp_path / "p.safetensors").changed == 8
    apply_patch(base, tmp_path / "p.safetensors", tmp_path / "back")
    back = load_file(tmp_path / "back" / "model.safetensors")
    assert back.keys() == {"model.embed_tokens.weight"}
    assert back["model.embed_tokens.weight"].tolist() == new.tolist()


def test_a_trained_model_is_its_base_and_a_patch(undisturbed: Path, cache: Path, tmp_path: Path):
    base = next(
        p.parent for p in (cache / "models").glob("*/model.safetensors") if same(p, undisturbed)
    )
    model = undisturbed / "arms" / "sift" / "model"
    change = make_patch(base, model, tmp_path / "p.safetensors")
    apply_patch(base, tmp_path / "p.safetensors", tmp_path / "back")
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "back", dtype="auto")
    trained = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    assert back.dtype == torch.bfloat16
    for name, weight in trained.state_dict().items():
        assert torch.equal(back.state_dict()[name], weight)
    assert 0 < change.changed <= change.weights


def same(path: Path, run: Path) -> bool:
    """Whether this base is the one that the run began with: it has the run's shapes."""
    mine = load_file(path)
    theirs = load_file(run / "arms" / "sift" / "model" / "model.safetensors")
    return {n: t.shape for n, t in mine.items()} == {n: t.shape for n, t in theirs.items()}
