"""What an arm cost, read from its folder: num_tokens, the weights' shapes, selection's bill."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ttc_eval.compare.equal_compute import Spending
from ttc_rl.config import Recipe
from ttc_rl.run_dir import RECORD_ANEW, RunDir, check_vouched, read_json, read_jsonl


def arm_spending(run: RunDir, recipe: Recipe, name: str) -> Spending:
    """Return what an arm spent by its files, all experts together; not what a search for their
    mixture drew. TRL's `num_tokens` counts prompts and completions of all rollouts."""
    arm, parameters = recipe.arm(name), num_parameters(run.arm(name, recipe).model)
    tokens, flops = list[int](), 0.0
    for part in run.parts_of(name, recipe):
        folder = run.arm(part, recipe)
        check_vouched(folder.training, RECORD_ANEW.format(folder.training), folder.metrics)
        counted = [r["num_tokens"] for r in read_jsonl(folder.metrics, "step") if "num_tokens" in r]
        tokens += [int(counted[-1])] if counted else []
        compute = read_json(folder.selection).get("compute") if folder.selection.exists() else None
        if compute:
            parameters = parameters or compute["parameters"]
            flops += float(compute["flops"])
    return Spending(
        parameters,
        sum(tokens) if tokens else None,
        updates=arm.train.trl.get("num_iterations", 1),
        reference=bool(arm.train.trl.get("beta", 0.0)),
        selection_flops=flops,
    )


def num_parameters(model: Path) -> int | None:
    """Return the parameters of the safetensors files in a folder, from their headers; None where
    there are no such files.

    A header is its length in 8 bytes, then JSON: name -> {dtype, shape, data_offsets}. An adapter
    alone does not tell the size of the model it belongs to.
    """
    files = sorted(model.glob("model*.safetensors"))
    return sum(map(_in_file, files)) if files else None


def _in_file(path: Path) -> int:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(t["shape"]) for name, t in header.items() if name != "__metadata__")
