"""What a recipe will take, before anything is loaded: steps, tokens, memory, GPU hours, price."""

from __future__ import annotations

from dataclasses import dataclass

from ttc_rl.config import Recipe
from ttc_rl.launch.budget.cost import Cost, cost, equal_votes
from ttc_rl.launch.budget.memory import Memory, Parallel, memory
from ttc_rl.launch.budget.models import Gpu, ModelShape, gpu, known_gpus, shape_of
from ttc_rl.schema import UserError
from ttc_rl.train.curriculum import micro_batch, steps_and_padding
from ttc_rl.train.methods import method_of

__all__ = ["Assumed", "Budget", "Parallel", "budget", "known_gpus", "shape_of"]


@dataclass(frozen=True)
class Assumed:
    """What the recipe does not say; each is printed beside what follows from it."""

    gpu: str = "h100"
    gpus: int = 1
    parallel: Parallel = "single"
    prompt_tokens: int = 256
    tokens: int | None = None
    """Mean completion; the limit stands in where it is not known."""
    price: float | None = None
    """Of a GPU hour, in whatever currency."""
    target_tasks: int | None = None


@dataclass(frozen=True)
class Budget:
    """Of training one arm, or one expert of it."""

    shape: ModelShape
    gpu: Gpu
    assumed: Assumed
    steps: int
    updates: int
    padding: int
    micro_batch: int
    memory: Memory
    most: Cost
    """Every completion at its limit."""
    expected: Cost | None
    """At the assumed mean length."""
    experts: int | None
    """Trained one after another, each at this cost; None where their number is not known."""
    vote_tokens: int
    equal_votes: int | None
    """maj@k of the base model on the whole target costs as much; None for an unknown target."""

    @property
    def cost(self) -> Cost:
        return self.expected or self.most

    @property
    def fits(self) -> bool:
        return self.memory.total <= self.gpu.memory_gb * 1e9

    @property
    def price(self) -> tuple[float, float] | None:
        if self.assumed.price is None:
            return None
        best, worst = self.cost.gpu_hours
        return best * self.assumed.price, worst * self.assumed.price


def budget(recipe: Recipe, assumed: Assumed) -> Budget:
    """Return the budget of one arm's training. Loads nothing, and reads nothing of the corpus.

    Raises UserError for a model or GPU whose size is not known, and for a batch that does not
    divide over the GPUs.
    """
    if assumed.tokens and assumed.tokens > recipe.train.max_completion_tokens:
        raise UserError(
            f"--tokens {assumed.tokens}: more than train.max_completion_tokens "
            f"{recipe.train.max_completion_tokens}"
        )
    train, shape, card = recipe.train, shape_of(recipe.model), gpu(assumed.gpu)
    steps, padding = steps_and_padding(train, recipe.selection.size)
    needed = memory(
        shape,
        train,
        card,
        gpus=assumed.gpus,
        parallel=assumed.parallel,
        prompt_tokens=assumed.prompt_tokens,
    )

    def of(tokens: int) -> Cost:
        return cost(
            shape,
            method_of(recipe).step_cost(train),
            card,
            gpus=assumed.gpus,
            steps=steps,
            tokens=tokens,
            prompt_tokens=assumed.prompt_tokens,
            cached_tokens=needed.cached_tokens,
        )

    expected = of(assumed.tokens) if assumed.tokens else None
    most = of(train.max_completion_tokens)
    votes = None
    length = assumed.tokens or recipe.eval.max_tokens or train.max_completion_tokens
    experts = _experts(recipe, assumed)
    if assumed.target_tasks and experts:
        flops = experts * (expected or most).flops
        votes = equal_votes(shape, flops, assumed.target_tasks, length)
    return Budget(
        shape=shape,
        gpu=card,
        assumed=assumed,
        steps=steps,
        updates=steps * train.updates,
        padding=padding,
        micro_batch=micro_batch(train, assumed.gpus),
        memory=needed,
        most=most,
        expected=expected,
        experts=experts,
        vote_tokens=length,
        equal_votes=votes,
    )


def _experts(recipe: Recipe, assumed: Assumed) -> int | None:
    """Return the number of models that an arm trains."""
    if recipe.experts is None:
        return 1
    if recipe.experts.groups is None:
        return assumed.target_tasks
    return min(recipe.experts.groups, assumed.target_tasks or recipe.experts.groups)
