"""Self-distillation with feedback (SDPO, arXiv 2601.20802), with TRL's experimental SDPOTrainer.

The model itself is the teacher, once it has read what its rollout does not know: a right rollout of
the same group, and what the verifier said of the wrong one. Its next-token distribution on that
rollout, given those, is what the model without them learns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ttc_rl.config import Recipe, TrainConfig
from ttc_rl.run_dir import ArmDir
from ttc_rl.schema import Rollout, Task, UserError
from ttc_rl.train.methods.base import Method, Setup, StepCost
from ttc_rl.verifiers import BUILT_IN, Graders

# TRL warns at import that what is experimental may change; its version is pinned.
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
SIGNAL = "self_distillation/reward_mean"
TAUGHT = "self_distillation/reprompt_sample_fraction"


def progress(logs: Mapping[str, Any]) -> str:
    """Return the mean reward, and the share of rollouts that the teacher knew something of."""
    return f"reward {logs[SIGNAL]:.3f}  taught {logs.get(TAUGHT, 0.0):.0%}"


def feedback(rollout: Rollout, task: Task, graders: Graders = BUILT_IN) -> str:
    """Return what the verifier may say of a wrong rollout; nothing of a right or undecided one.

    Of a program: the first test that failed, with what came out, as the verdict has it. Of any
    other answer: that it is wrong, or that none could be read. Never the gold.
    """
    verdict = rollout.verdict
    if verdict.correct is not False:
        return ""
    if rollout.finish_reason == "length":
        return "It was cut at the limit of its length, before its end."
    if graders.kind_of(task).tested:
        return verdict.reason
    if verdict.answer is None:
        return "No answer could be read in it."
    return f"Its answer, {verdict.answer}, is wrong."


def make_trainer(setup: Setup) -> Any:
    """Return an SDPOTrainer on the plan's rows, in their order.

    Raises UserError where TRL refuses the recipe's `train.trl`, and for a teacher that could not be
    resumed.
    """
    from transformers import set_seed

    from ttc_rl.train.limits import ends
    from ttc_rl.train.methods import grpo
    from ttc_rl.train.methods.grpo_reward import Ledger
    from ttc_rl.train.methods.sdpo_trainer import TaughtTrainer
    from ttc_rl.train.methods.trl_compat import engine_made_with, seed_requests
    from ttc_rl.train.weights.adapters import peft_config

    recipe, plan = setup.recipe, setup.plan
    args = config(recipe, plan.steps, setup.arm, setup.track)
    averaged = args.teacher_model_kind == "ema"
    if averaged and recipe.train.adapter is not None:
        raise UserError(
            f"{recipe.places.named('train.trl')}: teacher_model_kind: ema keeps a second adapter "
            "that no checkpoint holds; take live or base"
        )
    ledger = Ledger(
        recipe, plan, setup.tasks, setup.arm, setup.tokenizer, ends(setup.base, setup.tokenizer),
        after=setup.step, graders=setup.graders,
    )  # fmt: skip
    set_seed(recipe.seed)  # an adapter is drawn before TRL sets the seed
    prompt = grpo.prompts(recipe.prompts, setup.tasks, setup.tokenizer)
    with engine_made_with(recipe.seed, recipe.train.vllm.engine if recipe.train.vllm else {}):
        trainer = TaughtTrainer(
            ledger=ledger,
            feedback=lambda rollout: feedback(rollout, setup.tasks[rollout.task_id], setup.graders),
            model=str(setup.base),
            args=args,
            train_dataset=grpo.dataset(plan, prompt),
            processing_class=setup.tokenizer,
            peft_config=peft_config(recipe.train.adapter),
            callbacks=setup.callbacks,
        )
    seed_requests(trainer, recipe.seed)
    if averaged and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        raise UserError(
            f"{recipe.places.named('train.trl')}: teacher_model_kind: ema keeps a second model, "
            "which is not saved in shards; take live or base, or another --parallel"
        )
    if averaged and setup.checkpoint:
        trainer.load_teacher(setup.checkpoint)
    return trainer


def config(recipe: Recipe, steps: int, arm: ArmDir, track: bool) -> Any:
    """Return TRL's SDPOConfig. Raises UserError where TRL refuses `train.trl`, and where the
    installed TRL lacks what we use of it."""
    from trl.experimental.sdpo import SDPOConfig

    from ttc_rl.train.methods.grpo_config import rollout_fields
    from ttc_rl.train.methods.trl_compat import check_trl
    from ttc_rl.train.methods.trl_config import trl_config

    check_trl("sdpo")
    train = recipe.train
    fields = rollout_fields(recipe) | {
        "max_prompt_length": None,  # a cut prompt is another task
        "include_environment_feedback": True,
        "teacher_model_kind": "live" if train.adapter else "ema",
    }
    return trl_config(
        SDPOConfig, recipe, arm, updates=train.updates, steps=steps, track=track, **fields
    )


def step_cost(train: TrainConfig) -> StepCost:
    """Count the drawing, the teacher's pass over what was drawn, and the updates."""
    iterations = train.trl.get("num_iterations", 1)
    scorings = 1 + int(train.updates > 1)
    return StepCost(train.rollouts_per_step, drawn=True, scorings=scorings, iterations=iterations)


METHOD = Method(SIGNAL, progress, make_trainer, step_cost, config)
