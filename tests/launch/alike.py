"""When two trainings on the same completions have ended with the same model."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from ttc_rl.config import load_recipe
from ttc_rl.stages.job import starting_model

TINY = Path(__file__).parent.parent / "tiny.yaml"
SHARE = 0.02
"""Of the way that training moved a tensor. Sums in another order came to 0.0002 at the most."""


def assert_trained_alike(one: Path, other: Path) -> None:
    """Compare the models of two arms: each tensor's difference with its way from the base, by norm.

    A bound for each number would not do: where a gradient is rounding, Adam makes a step of it.
    """
    base = weights(Path(starting_model(load_recipe(TINY))))
    mine, theirs = weights(one / "model"), weights(other / "model")
    assert mine.keys() == theirs.keys()
    for name, weight in mine.items():
        moved = torch.linalg.norm(weight - base[name])
        assert torch.linalg.norm(weight - theirs[name]) <= SHARE * moved, name


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = load_file(folder / "model.safetensors")
    found.pop("lm_head.weight", None)  # tied to the embedding, which FSDP2 writes twice
    return found
