"""A budget as rows to print: what, how much, and from which formula or assumption."""

from __future__ import annotations

from ttc_rl.config import Recipe
from ttc_rl.launch.budget import Assumed, Budget, budget
from ttc_rl.launch.budget.cost import DRAWING_SHARE, TRAINING_SHARE, scorings

Row = tuple[str, str, str]
HOW = {
    "weights": "bytes of the dtype a parameter; TRL loads float32 unless told",
    "gradients": "the same again, of trained parameters",
    "optimiser": "two states of AdamW",
    "activations": "(2 L + 34) b T h: checkpoints, and one layer recomputed",
    "logits": "8 b T V: bf16, their gradient, a float32 copy",
    "vllm": "gpu_memory_utilization x memory",
}
GB = 1e9


def arm_rows(recipe: Recipe, assumed: Assumed) -> list[tuple[str, list[Row]]]:
    """Names of arms that cost the same, and what; `charge_selection` is not foreseen."""
    groups: dict[tuple[Row, ...], list[str]] = {}
    for name in recipe.arm_names:
        arm = recipe.arm(name)
        groups.setdefault(tuple(rows(arm, budget(arm, assumed))), []).append(name)
    return [
        (f"{'arm' if len(names) == 1 else 'each of arms'} {', '.join(names)}", list(found))
        for found, names in groups.items()
    ]


def rows(recipe: Recipe, made: Budget) -> list[Row]:
    return [*_work(recipe, made), *_memory(made), *_time(recipe, made), *_rival(made)]


def _work(recipe: Recipe, made: Budget) -> list[Row]:
    train = recipe.train
    per_pass = f"{made.micro_batch} completions a pass on each of {made.assumed.gpus} GPUs"
    found = [
        *_experts(recipe, made),
        ("steps", f"{made.steps:,}", f"{made.padding} slots of the last filled from the start"),
        ("updates", f"{made.updates:,}", f"{train.updates} a step, {per_pass}"),
        ("rollouts", f"{made.most.rollouts:,}", f"{train.rollouts_per_step:,} a step"),
        (
            "tokens, at most",
            f"{made.most.rollouts * made.most.tokens:,}",
            f"rollouts x {made.most.tokens:,}, and prompts of {made.assumed.prompt_tokens} "
            "(--prompt-tokens)",
        ),
    ]
    if made.expected:
        told = f"rollouts x {made.expected.tokens:,} (--tokens)"
        expected = made.expected.rollouts * made.expected.tokens
        found.append(("tokens, expected", f"{expected:,}", told))
    return found


def _experts(recipe: Recipe, made: Budget) -> list[Row]:
    if recipe.experts is None:
        return []
    count = "one a target" if made.experts is None else f"{made.experts:,}"
    return [("experts", count, "one after another; what follows is of each of them")]


def _memory(made: Budget) -> list[Row]:
    over, sharding = made.assumed.gpus, made.assumed.sharding
    shared = f"; {sharding} over {over}" if sharding != "none" and over > 1 else ""
    found = [("model", f"{made.shape.parameters:,} parameters", "")]
    for name, size in made.memory.parts.items():
        split = shared if name in ("weights", "gradients", "optimiser") else ""
        found.append((f"memory: {name}", f"{size / GB:,.2f} GB", HOW[name] + split))
    verdict = "fits" if made.fits else "DOES NOT FIT"
    slept = "vLLM sleeps while gradients are taken; " if made.memory.sleeps else ""
    told = f"{verdict} in {made.gpu.memory_gb} GB ({made.assumed.gpu}); {slept}no overheads counted"
    found.append(("memory: all, a GPU", f"{made.memory.total / GB:,.2f} GB", told))
    if made.memory.cached_tokens is not None:
        at_limit = made.assumed.prompt_tokens + made.most.tokens
        held = made.memory.cached_tokens // at_limit
        told = f"{made.shape.cache_bytes:,} bytes a token: {held} completions at their limit"
        found.append(("KV cache", f"{made.memory.cached_tokens:,} tokens", told))
    return found


def _time(recipe: Recipe, made: Budget) -> list[Row]:
    cost = made.cost
    length = "at the limit" if made.expected is None else "expected"
    passes = 2 * scorings(recipe.train) + 6 * recipe.train.trl.get("num_iterations", 1)
    best, worst = cost.gpu_hours
    found = [
        (f"FLOPs, {length}", f"{cost.flops:.3g}", f"P x tokens x (2 drawing + {passes} training)"),
        (
            f"GPU hours, {length}",
            f"{best:,.1f} to {worst:,.1f}",
            f"assumed, not measured: {DRAWING_SHARE[0]:.0%} to {DRAWING_SHARE[1]:.0%} of the "
            f"bandwidth when drawing, {TRAINING_SHARE[0]:.0%} to {TRAINING_SHARE[1]:.0%} of the "
            f"peak when training; {made.gpu.source}",
        ),
        (
            "hours",
            f"{best / made.assumed.gpus:,.1f} to {worst / made.assumed.gpus:,.1f}",
            f"on {made.assumed.gpus} GPUs, evaluation and start-up not counted",
        ),
    ]
    if made.price is None:
        found.append(("price", "-", "not known here; --price of a GPU hour gives it"))
    else:
        told = f"at {made.assumed.price:g} a GPU hour (--price)"
        found.append(("price", f"{made.price[0]:,.2f} to {made.price[1]:,.2f}", told))
    return [*found, *_of_all_experts(made)]


def _of_all_experts(made: Budget) -> list[Row]:
    count = made.experts
    if count is None or count == 1:
        return []
    best, worst = (count * hours for hours in made.cost.gpu_hours)
    found = [("all experts: GPU hours", f"{best:,.1f} to {worst:,.1f}", f"{count} times the above")]
    if made.price is not None:
        low, high = (count * price for price in made.price)
        found.append(("all experts: price", f"{low:,.2f} to {high:,.2f}", ""))
    return found


def _rival(made: Budget) -> list[Row]:
    if made.equal_votes is None:
        told = "the target's size is not known before it is read; --target-tasks tells it"
        return [("equal-compute rival", "-", told)]
    told = (
        f"the base model's vote on all {made.assumed.target_tasks} target tasks for the same "
        f"FLOPs, {made.vote_tokens:,} tokens a vote"
    )
    return [("equal-compute rival", f"maj@{made.equal_votes:,}", told)]
