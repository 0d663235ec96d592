"""Training or voting, on one axis: FLOPs. Does the base model get there with more samples?

2 FLOPs a parameter and token forward, 4 back (ttc_rl/metrics/flops.py): a sample of t tokens costs
2 P t; a token that is learned from costs 6 P an update, one that is drawn or scored 2 P. Of the
prompts of the evaluation, which all k samples of a task share, only what an arm reads more than the
base is counted: demonstrations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttc_eval.records import ArmCompute, Compute, Curve, Point, Refused
from ttc_rl.metrics import maj_at_k
from ttc_rl.metrics.flops import BACKWARD, FORWARD


@dataclass(frozen=True)
class Spending:
    """What an arm cost before its first query; None where the run folder does not say."""

    parameters: int | None
    read: float | None
    """Prompt and completion tokens drawn or scored for training, each as often as that."""
    learned: float = 0.0
    """Those of the updates, each as often as it was learned from."""
    selection_flops: float = 0.0
    passes: float = 1.0
    """Models that a token of an answer passes through."""

    @property
    def training_flops(self) -> float | None:
        if self.read == self.learned == 0:
            return 0.0
        if self.parameters is None or self.read is None:
            return None
        return self.parameters * (FORWARD * self.read + (FORWARD + BACKWARD) * self.learned)


def equal_compute(
    models: Mapping[str, Sequence[Mapping[str, Any]]],
    samples: int,
    mean_tokens: Mapping[str, float | None],
    spending: Mapping[str, Spending],
) -> Compute | Refused:
    """Return maj@k over FLOPs of answering all tasks once, and where an arm's training pays off."""
    sizes = [s.parameters for s in spending.values() if s.parameters is not None]
    if not sizes:
        return Refused(refused="no weights of this run tell the number of parameters")
    if "base" not in models or mean_tokens.get("base") is None:
        return Refused(refused="the base model's samples are needed, with their numbers of tokens")
    parameters, tasks = sizes[0], len(models["base"])
    passes = {arm: spent.passes for arm, spent in spending.items()}
    query = {
        m: FORWARD * parameters * t * passes.get(m, 1.0)
        for m, t in mean_tokens.items()
        if m in models and t
    }
    base = _curve(models["base"], samples, query["base"] * tasks, 0.0)
    arms: dict[str, ArmCompute | Refused] = {}
    for arm, spent in spending.items():
        if arm not in query:
            continue
        training = spent.training_flops
        if training is None:
            missing = "num_tokens in metrics.jsonl" if spent.read is None else "weights to count"
            arms[arm] = Refused(refused=f"no {missing}: what training cost is not known")
            continue
        before = training + spent.selection_flops
        more = FORWARD * parameters * spent.passes * _longer(models[arm], models["base"])
        curve = _curve(models[arm], samples, query[arm] * tasks, before + more * tasks)
        vote, queries = break_even(base, curve[0].value, before, query["base"], query[arm] + more)
        arms[arm] = ArmCompute(
            training_flops=training,
            selection_flops=spent.selection_flops,
            curve=curve,
            equal_vote=vote,
            break_even_queries=queries,
        )
    return Compute(parameters=parameters, base=Curve(curve=base), arms=arms)


def _longer(rows: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]]) -> float:
    """Return the tokens by which prompts are longer than the base's, mean over tasks; 0 where a
    file does not say."""
    lengths = [[row.get("prompt_tokens") for row in side] for side in (rows, base)]
    if any(length is None for side in lengths for length in side):
        return 0.0
    mine, theirs = (float(np.mean([length or 0 for length in side])) for side in lengths)
    return max(0.0, mine - theirs)


def _curve(
    rows: Sequence[Mapping[str, Any]], samples: int, flops_of_one: float, before: float
) -> list[Point]:
    """Return maj@k for k = 1, 2, 4, ... n; maj@1 is pass@1."""
    points = []
    for k in curve_points(samples):
        values = [_maj(row, samples, k) for row in rows]
        flops = before + k * flops_of_one
        points.append(Point(k=k, flops=flops, value=float(np.mean(values))))
    return points


def curve_points(samples: int) -> list[int]:
    """Return the k of a curve over k: 1, 2, 4, ... and the number of samples itself."""
    return sorted({*(2**i for i in range(samples.bit_length())), samples})


def _maj(row: Mapping[str, Any], samples: int, k: int) -> float:
    if k == 1:
        return row["correct"] / samples
    if f"maj@{k}" in row:
        return row[f"maj@{k}"]
    votes = row["votes"]
    sizes, right = [size for size, _ in votes], [is_right for _, is_right in votes]
    return maj_at_k(sizes, right, samples - sum(sizes), k)


def break_even(
    base: Sequence[Point],
    reached: float,
    before: float,
    base_query: float,
    arm_query: float,
) -> tuple[int | None, int | None]:
    """Return the base model's vote that is as often right as one sample of the trained model, and
    the queries from which that one sample is cheaper.

    The vote is the smallest on the curve, k samples of `base_query` FLOPs.
    """
    vote = next((point.k for point in base if point.value >= reached), None)
    if vote is None:
        return None, None
    saved = vote * base_query - arm_query
    queries = int(np.ceil(before / saved)) if saved > 0 else None
    return vote, queries
