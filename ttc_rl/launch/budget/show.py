"""A budget as rows to print: what, how much, and from which formula or assumption."""

from __future__ import annotations

from ttc_rl.config import Recipe
from ttc_rl.launch.budget import Assumed, Budget, budget
from ttc_rl.launch.budget.cost import DRAWING_SHARE, TRAINING_SHARE
from ttc_rl.launch.budget.fitting import fitting
from ttc_rl.train.methods import method_of

Row = tuple[str, str, str]
HOW = {
    "weights": "bytes of the dtype a parameter; TRL loads float32 by default",
    "gradients": "the same again, of trained parameters",
    "optimiser": "two states of AdamW",
    "activations": "(2 L + 34) b T h: checkpoints, and one layer recomputed",
    "logits": "8 b T V: bf16, their gradient, a float32 copy",
    "vllm": "gpu_memory_utilization x memory",
}
GB = 1e9


def arm_rows(recipe: Recipe, assumed: Assumed) -> list[tuple[str, list[Row]]]:
    """Return names of arms that cost the same, with their rows; `charge_selection` is not
    foreseen, and arms that train nothing cost nothing before they answer."""
    groups: dict[tuple[Row, ...], list[str]] = {}
    for name in recipe.arm_names:
        arm = recipe.arm(name)
        if not arm.policy.trains:
            continue
        groups.setdefault(tuple(rows(arm, budget(arm, assumed))), []).append(name)
    return [
        (f"{'arm' if len(names) == 1 else 'each of arms'} {', '.join(names)}", list(lines))
        for lines, names in groups.items()
    ]


def rows(recipe: Recipe, budget: Budget) -> list[Row]:
    parts = _work(recipe, budget), _memory(recipe, budget), _time(recipe, budget), _rival(budget)
    return [row for part in parts for row in part]


def _work(recipe: Recipe, budget: Budget) -> list[Row]:
    train = recipe.train
    of_step = method_of(recipe).step_cost(train)
    per_pass = f"{budget.micro_batch} completions a pass on each of {budget.assumed.gpus} GPUs"
    rows = [
        *_experts(recipe, budget),
        ("steps", f"{budget.steps:,}", f"{budget.padding} slots of the last filled from the start"),
        ("updates", f"{budget.updates:,}", f"{train.updates} a step, {per_pass}"),
        ("rollouts", f"{budget.most.rollouts:,}", f"{of_step.sequences:,} a step"),
        (
            "tokens, at most",
            f"{budget.most.rollouts * budget.most.tokens:,}",
            f"rollouts x {budget.most.tokens:,}, and prompts of {budget.assumed.prompt_tokens} "
            "(--prompt-tokens)",
        ),
    ]
    if budget.expected:
        how = f"rollouts x {budget.expected.tokens:,} (--tokens)"
        expected = budget.expected.rollouts * budget.expected.tokens
        rows.append(("tokens, expected", f"{expected:,}", how))
    return rows


def _experts(recipe: Recipe, budget: Budget) -> list[Row]:
    if recipe.experts is None:
        return []
    count = "one a target" if budget.experts is None else f"{budget.experts:,}"
    return [("experts", count, "one after another; what follows is of each of them")]


def _memory(recipe: Recipe, budget: Budget) -> list[Row]:
    over, parallel = budget.assumed.gpus, budget.assumed.parallel
    shared = f"; {parallel} over {over}" if parallel == "fsdp2" and over > 1 else ""
    shape = budget.shape
    used = f"; a token passes through {shape.active:,}" if shape.used < shape.experts else ""
    how = "" if shape.exact else "about: by the formula of Llama, transformers is not at hand"
    rows = [("model", f"{shape.parameters:,} parameters", f"{how}{used}".removeprefix("; "))]
    for name, size in budget.memory.parts.items():
        split = shared if name in ("weights", "gradients", "optimiser") else ""
        rows.append((f"memory: {name}", f"{size / GB:,.2f} GB", HOW[name] + split))
    verdict = "fits" if budget.fits else "DOES NOT FIT"
    slept = "vLLM sleeps while gradients are taken; " if budget.memory.sleeps else ""
    where = f"{budget.gpu.memory_gb} GB ({budget.assumed.gpu})"
    how = f"{verdict} in {where}; {slept}no overheads counted"
    rows.append(("memory: all, a GPU", f"{budget.memory.total / GB:,.2f} GB", how))
    if not budget.fits:
        found = fitting(recipe, budget.assumed)
        how = "the mildest change that makes it fit, of those that are known here"
        rows.append(("fits with", found or "-", how if found else "no key that is known here"))
    if budget.memory.cached_tokens is not None:
        at_limit = budget.assumed.prompt_tokens + budget.most.tokens
        held = budget.memory.cached_tokens // at_limit
        how = f"{budget.shape.cache_bytes:,} bytes a token: {held} completions at their limit"
        rows.append(("KV cache", f"{budget.memory.cached_tokens:,} tokens", how))
    return rows


def _time(recipe: Recipe, budget: Budget) -> list[Row]:
    cost = budget.cost
    length = "at the limit" if budget.expected is None else "expected"
    step = method_of(recipe).step_cost(recipe.train)
    passes = 2 * step.scorings + 6 * step.iterations
    factors = f"2 drawing + {passes} training" if step.drawn else f"{passes} training"
    best, worst = cost.gpu_hours
    rows = [
        (f"FLOPs, {length}", f"{cost.flops:.3g}", f"P x tokens x ({factors})"),
        (
            f"GPU hours, {length}",
            f"{best:,.1f} to {worst:,.1f}",
            f"assumed, not measured: {DRAWING_SHARE[0]:.0%} to {DRAWING_SHARE[1]:.0%} of the "
            f"bandwidth when drawing, {TRAINING_SHARE[0]:.0%} to {TRAINING_SHARE[1]:.0%} of the "
            f"peak when training; {budget.gpu.source}",
        ),
        (
            "hours",
            f"{best / budget.assumed.gpus:,.1f} to {worst / budget.assumed.gpus:,.1f}",
            f"on {budget.assumed.gpus} GPUs, evaluation and start-up not counted",
        ),
    ]
    if budget.price is None:
        rows.append(("price", "-", "not known here; --price of a GPU hour gives it"))
    else:
        how = f"at {budget.assumed.price:g} a GPU hour (--price)"
        rows.append(("price", f"{budget.price[0]:,.2f} to {budget.price[1]:,.2f}", how))
    return [*rows, *_of_all_experts(budget)]


def _of_all_experts(budget: Budget) -> list[Row]:
    count = budget.experts
    if count is None or count == 1:
        return []
    best, worst = (count * hours for hours in budget.cost.gpu_hours)
    rows = [("all experts: GPU hours", f"{best:,.1f} to {worst:,.1f}", f"{count} times the above")]
    if budget.price is not None:
        low, high = (count * price for price in budget.price)
        rows.append(("all experts: price", f"{low:,.2f} to {high:,.2f}", ""))
    return rows


def _rival(budget: Budget) -> list[Row]:
    if budget.equal_votes is None:
        how = "the target's size is not known before it is read; --target-tasks tells it"
        return [("equal-compute rival", "-", how)]
    how = (
        f"the base model's vote on all {budget.assumed.target_tasks} target tasks for the same "
        f"FLOPs, {budget.vote_tokens:,} tokens a vote"
    )
    return [("equal-compute rival", f"maj@{budget.equal_votes:,}", how)]
