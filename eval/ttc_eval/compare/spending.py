"""What an arm cost, read from its folder: num_tokens, the weights' shapes, selection's bill."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from ttc_eval.compare.equal_compute import Spending
from ttc_rl.config import PolicyConfig, Recipe, TrainConfig
from ttc_rl.run_dir import RECORD_ANEW, RunDir, check_vouched, read_json, read_jsonl
from ttc_rl.train.methods import METHODS


def arm_spending(run: RunDir, recipe: Recipe, name: str) -> Spending:
    """Return what an arm spent by its files, all experts together; not what a search for their
    mixture drew."""
    arm = recipe.arm(name)
    if not arm.policy.trains:
        return _untrained(run, recipe, arm.policy)
    parameters = num_parameters(run.arm(name, recipe).model)
    tokens, scored, flops = list[int](), 0.0, 0.0
    for part in run.parts_of(name, recipe):
        folder = run.arm(part, recipe)
        check_vouched(folder.training, RECORD_ANEW.format(folder.training), folder.metrics)
        rows = list(read_jsonl(folder.metrics, "step"))
        counted = [row["num_tokens"] for row in rows if "num_tokens" in row]
        tokens += [int(counted[-1])] if counted else []
        scored += sum(row.get("tokens/scored", 0.0) for row in rows)
        compute = read_json(folder.selection).get("compute") if folder.selection.exists() else None
        if compute:
            parameters = parameters or compute["parameters"]
            flops += float(compute["flops"])
    if not tokens:
        return Spending(parameters, None, selection_flops=flops)
    return Spending(parameters, *_passes(arm.train, sum(tokens), scored), selection_flops=flops)


def _passes(train: TrainConfig, tokens: int, scored: float) -> tuple[float, float]:
    """Return the tokens drawn or scored, and those learned from, by what TRL has counted.

    TRL's `num_tokens` are those of all rollouts, or of the examples that a method learns from: of
    as many rollouts each as there are to a task, drawn once for all epochs, and taken to be as long
    as they are. `scored` are those that a teacher read, where the method has counted them.
    """
    method = METHODS.get(train.method)
    cost = METHODS["grpo" if method is None else train.method].step_cost(train)
    if method is not None and method.examples:
        drawn = cost.drawn * tokens / cost.iterations / train.epochs
        return drawn + cost.scorings / cost.iterations * tokens, tokens
    return tokens * cost.drawn + (scored or cost.scorings * tokens), cost.iterations * tokens


def _untrained(run: RunDir, recipe: Recipe, policy: PolicyConfig) -> Spending:
    """Return what an arm spent that trains nothing itself: what the one did that it begins with."""
    before = Spending(None, 0) if policy.of is None else arm_spending(run, recipe, policy.of)
    passes = 1.0 if policy.method != "proxy" else 3.0 if policy.of is None else 2.0
    return replace(before, passes=passes)


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
