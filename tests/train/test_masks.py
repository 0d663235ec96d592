"""A mask from one run's patch: another run moves those weights and no other."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ttc_rl.config import TrainConfig, load_recipe
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.run import select, train
from ttc_rl.train.weights.patches import make_patch, places_in

TINY = Path(__file__).parents[1] / "tiny.yaml"


def job(folder: Path, *overrides: str) -> Job:
    recipe = load_recipe(TINY, ["arms.random=null", *overrides])
    made = Job(recipe, RunDir.open(folder, recipe))
    select(made)
    return made


@pytest.fixture(scope="module")
def first(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The base, and the patch of a run at a rate at which bfloat16 hides many changes."""
    folder = tmp_path_factory.mktemp("mask")
    made = job(folder / "first", "train.trl.learning_rate=1e-5")
    train(made)
    base, patch = Path(starting_model(made.recipe)), folder / "p.safetensors"
    make_patch(base, made.arm("sift")[1].model, patch)
    return base, patch


def test_only_what_the_other_run_changed_is_moved(first: tuple[Path, Path], tmp_path: Path):
    base, patch = first
    before = load_file(base / "model.safetensors")
    allowed = places_in(patch)
    made = job(tmp_path / "second", "train.trl.learning_rate=1e-3", f"train.mask={patch}")
    train(made)
    after = load_file(made.arm("sift")[1].model / "model.safetensors")
    free = moved = 0
    for name, weight in after.items():
        may = torch.zeros(weight.numel(), dtype=torch.bool)
        if name in allowed:
            places = allowed[name]
            may[slice(None) if places is None else places] = True
        differs = (weight != before[name]).flatten()
        assert not differs[~may].any(), name
        free += int(may.sum())
        moved += int(differs.sum())
    total = sum(weight.numel() for weight in after.values())
    assert 0.05 * total < free < 0.95 * total
    assert moved > 0.9 * free


def test_a_mask_that_does_not_fit_is_said(first: tuple[Path, Path], tmp_path: Path):
    other = tmp_path / "other.safetensors"
    save_file({"a.b.whole": torch.zeros(2, dtype=torch.bfloat16)}, other)
    made = job(tmp_path / "run", f"train.mask={other}")
    with pytest.raises(UserError, match=r"names a\.b, which this model does not have"):
        train(made)
    with pytest.raises(UserError, match="no file of `ttc-rl patch`"):
        places_in(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="decay would move the others"):
        TrainConfig.model_validate({"mask": "p", "trl": {"weight_decay": 0.1}})
