"""The least that makes a training fit the memory of a GPU: keys of the recipe, or options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from pydantic import ValidationError

from ttc_rl.config import Recipe
from ttc_rl.config.loading import with_keys
from ttc_rl.launch.budget import Assumed, Budget, budget
from ttc_rl.schema import UserError

MOST_GPUS = 64
Change = tuple[str, dict[str, object], dict[str, object]]
"""As it is written, keys of the recipe, and what is assumed otherwise."""


def fitting(recipe: Recipe, assumed: Assumed) -> str | None:
    """Return the fewest changes that make it fit, the mildest first: `train.micro_batch=1`; None
    where nothing that is known does."""
    changes = list(_changes(recipe, assumed))
    for count in range(1, len(changes) + 1):
        for some in combinations(changes, count):
            made = _with(recipe, assumed, some)
            if made is not None and made.fits:
                return " ".join(written for written, _, _ in some)
    gpus = assumed.gpus * 2
    while gpus <= MOST_GPUS:
        more = (f"--gpus {gpus} --parallel fsdp2", {}, {"gpus": gpus, "parallel": "fsdp2"})
        made = _with(recipe, assumed, (more,))
        if made is not None and made.fits:
            return more[0]
        gpus *= 2
    return None


def _changes(recipe: Recipe, assumed: Assumed) -> Iterator[Change]:
    """Yield single changes, those that leave the outcome as it is first."""
    train = recipe.train
    if train.micro_batch != 1:
        yield "train.micro_batch=1", {"train.micro_batch": 1}, {}
    if assumed.gpus > 1 and assumed.parallel != "fsdp2":
        yield "--parallel fsdp2", {}, {"parallel": "fsdp2"}
    if train.vllm is not None and train.vllm.mode == "colocate" and not train.vllm.sleep:
        yield "train.vllm.sleep=true", {"train.vllm.sleep": True}, {}
    if train.vllm is not None and train.vllm.gpu_memory_utilization > LESS:
        key = "train.vllm.gpu_memory_utilization"
        yield f"{key}={LESS}", {key: LESS}, {}
    if train.adapter is None:
        yield "train.lora={rank: 16}", {"train.lora": {"rank": 16}}, {}
    if train.svf is None and (train.lora is None or not train.lora.load_in_4bit):
        rank = train.lora.rank if train.lora else 16
        whole = {"rank": rank, "load_in_4bit": True}
        yield f"train.lora={{rank: {rank}, load_in_4bit: true}}", {"train.lora": whole}, {}


LESS = 0.2
"""Share of a GPU that a colocated engine can still work with."""


def _with(recipe: Recipe, assumed: Assumed, changes: tuple[Change, ...]) -> Budget | None:
    keys = {key: value for _, of_recipe, _ in changes for key, value in of_recipe.items()}
    options = {key: value for _, _, of_launch in changes for key, value in of_launch.items()}
    try:
        return budget(with_keys(recipe, keys), replace(assumed, **options))  # pyright: ignore[reportArgumentType]
    except (UserError, ValidationError):
        return None  # these do not go together
