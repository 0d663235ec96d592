"""GRPO on a curriculum, with TRL's GRPOTrainer as it is (arXiv 2402.03300)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ttc_rl.config import Recipe, TrainConfig
from ttc_rl.run_dir import ArmDir
from ttc_rl.schema import Task
from ttc_rl.train.curriculum import Curriculum, Plan
from ttc_rl.train.methods.base import Method, Setup, StepCost
from ttc_rl.train.rewards import pass_at_k_advantages

if TYPE_CHECKING:
    from datasets import Dataset

    from ttc_rl.train.methods.grpo_following import Director

# P tasks a step, G rollouts a task; a step's completions arrive as P groups of G.


def progress(logs: Mapping[str, Any]) -> str:
    """Return the mean reward, and the share of groups that teach nothing."""
    reward, flat = logs["reward"], logs.get("frac_reward_zero_std")
    mean = "undecided" if reward is None else f"{reward:.3f}"
    share = "unknown" if flat is None else f"{flat:.0%}"
    return f"reward {mean}  groups without spread {share}"


def make_trainer(setup: Setup) -> Any:
    """Return a GRPOTrainer on the plan's rows, or one that follows the curriculum's choices.

    Raises UserError where TRL refuses the recipe's `train.trl`.
    """
    from transformers import set_seed
    from trl.trainer.grpo_trainer import GRPOTrainer

    from ttc_rl.train.limits import ends
    from ttc_rl.train.methods.grpo_following import FollowingTrainer, look_with_policy
    from ttc_rl.train.methods.grpo_reward import Ledger
    from ttc_rl.train.methods.trl_compat import engine_made_with, seed_requests
    from ttc_rl.train.weights.adapters import peft_config

    recipe, plan = setup.recipe, setup.plan
    prompt = prompts(recipe.prompts, setup.tasks, setup.tokenizer)
    director = _director(setup, setup.curriculum, prompt) if setup.curriculum else None
    ledger = Ledger(
        recipe,
        director or plan,
        setup.tasks,
        setup.arm,
        setup.tokenizer,
        ends(setup.base, setup.tokenizer),
        after=setup.step,
        graders=setup.graders,
    )
    set_seed(recipe.seed)  # an adapter is drawn before TRL sets the seed
    arguments: dict[str, Any] = {
        "model": str(setup.base),
        "reward_funcs": ledger.verified_reward,
        "args": config(recipe, plan.steps, setup.arm, setup.track),
        "train_dataset": dataset(plan, prompt),
        "processing_class": setup.tokenizer,
        "peft_config": peft_config(recipe.train.adapter),
        "callbacks": setup.callbacks,
    }
    with engine_made_with(recipe.seed, recipe.train.vllm.engine if recipe.train.vllm else {}):
        if director is None:
            trainer = GRPOTrainer(**arguments)
        else:
            trainer = FollowingTrainer(director=director, **arguments)
    seed_requests(trainer, recipe.seed)
    if recipe.train.curriculum.method == "gradalign":
        from ttc_rl.train.methods.policy_gradients import look_with_gradients

        assert isinstance(trainer, FollowingTrainer)
        look_with_gradients(trainer, setup)
    elif isinstance(trainer, FollowingTrainer) and recipe.train.curriculum.reembed:
        look_with_policy(trainer, setup.base, recipe.embedding)
    return trainer


def prompts(
    templates: Mapping[str, Any], tasks: Mapping[str, Task], tokenizer: Any
) -> Callable[[str], str | list[dict[str, str]]]:
    """Return a function from a task's id to its prompt, as TRL takes it."""
    from ttc_rl.sampling.prompts import chat_turns, conversation, without_roles

    chat = tokenizer.chat_template is not None

    def prompt(task_id: str) -> str | list[dict[str, str]]:
        turns = conversation(tasks[task_id], templates)
        return (
            chat_turns(turns, tokenizer, templates.get("template"))
            if chat
            else without_roles(turns)
        )

    return prompt


def dataset(plan: Plan, prompt: Callable[[str], Any]) -> Dataset:
    """Return one row a slot of the plan, in the plan's order."""
    from datasets import Dataset

    return Dataset.from_list(
        [{"prompt": prompt(task_id), "task_id": task_id} for task_id in plan.task_ids]
    )


def _director(setup: Setup, curriculum: Curriculum, prompt: Callable[[str], Any]) -> Director:
    """Return one that stands where the checkpoint does."""
    from ttc_rl.train.curriculum.guard import answers_of
    from ttc_rl.train.methods.grpo_following import Director, restore

    train = setup.recipe.train
    weigh = None
    if train.pass_at_k:
        scale = train.trl.get("scale_rewards", "group") not in ("none", False)
        weigh = partial(pass_at_k_advantages, k=train.pass_at_k, scale=scale)
    guessable = train.guard is not None and train.guard.max_guess is not None
    director = Director(
        curriculum, prompt, train.guard, train.tasks_per_step, weigh,
        train.dynamic_sampling or 1, len(setup.plan.task_ids), train.rollouts_per_task,
        train.updates, answers_of(setup.tasks.values()) if guessable else {},
    )  # fmt: skip
    restore(director, setup.checkpoint, setup.step)
    return director


def step_cost(train: TrainConfig) -> StepCost:
    """Count TRL's passes: old log-probabilities, a reference model's, and the updates.

    TRL takes old log-probabilities where vLLM drew (unless its correction is off), or where a
    generation lasts longer than one update.
    """
    corrected = train.trl.get("vllm_importance_sampling_correction", True)
    old = train.updates > 1 or (train.vllm is not None and corrected)
    scorings = int(old) + int(bool(train.trl.get("beta", 0.0)))
    return StepCost(
        train.rollouts_per_step,
        drawn=True,
        scorings=scorings,
        iterations=train.trl.get("num_iterations", 1),
    )


def config(recipe: Recipe, steps: int, arm: ArmDir, track: bool) -> Any:
    """Return TRL's GRPOConfig. Raises UserError where the installed TRL lacks what we use of it."""
    from ttc_rl.train.methods.grpo_config import grpo_config
    from ttc_rl.train.methods.trl_compat import check_trl

    check_trl("grpo")
    return grpo_config(recipe, steps, arm, track)


METHOD = Method("reward", progress, make_trainer, step_cost, config)
