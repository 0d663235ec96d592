"""What supervised methods learn: gold replies, right rollouts of the model itself, or pairs.

Examples stand in the curriculum's order, one a slot. A task without a right rollout, or without a
wrong one where pairs are learned, has no example; the last step is filled from the start.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import Task, UserError
from ttc_rl.selection.less.examples import gold_reply
from ttc_rl.train.curriculum import Plan
from ttc_rl.train.methods.base import Setup
from ttc_rl.train.methods.supervised import Reply

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Of one task a right completion and a wrong one, each with whether it ended by itself."""

    task: Task
    right: tuple[str, bool]
    wrong: tuple[str, bool]


def gold_replies(setup: Setup) -> list[Reply]:
    """Return a gold reply for each slot; with `train.student_fit`, for those that have one that
    fits the model. Raises UserError for tasks that have none: programs."""
    ids = dict.fromkeys(setup.plan.task_ids)
    try:
        golds = {i: [gold_reply(setup.tasks[i], setup.graders)] for i in ids}
    except UserError as error:
        raise UserError(
            f"train.method sft: {error}; `train.replies: own` learns from the model's right answers"
        ) from None
    if setup.recipe.train.student_fit:
        golds = _fitting(setup, golds)
    found = in_turn(setup.plan, golds)
    if not found:
        raise UserError(f"{setup.arm.root}: no reply fits the model; leave train.student_fit out")
    return filled([Reply(setup.tasks[i], text) for i, text in found], setup.plan.tasks_per_step)


def _fitting(setup: Setup, golds: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the replies that fit the model before training, its teacher's among them."""
    from ttc_rl.train.methods.student_fit import REFINED, StudentFit

    fit = StudentFit(setup.base, setup.tokenizer, setup.recipe.prompts)
    kept: dict[str, list[str]] = {}
    for task_id, replies in golds.items():
        refined = setup.tasks[task_id].meta.get(REFINED)
        best = fit.best(setup.tasks[task_id], [*replies, *([str(refined)] if refined else [])])
        kept[task_id] = [] if best is None else [best]
    _tell(setup, "a reply that fits the model", sum(map(bool, kept.values())), len(kept))
    return kept


def own_replies(setup: Setup) -> list[Reply]:
    """Return for each slot a right rollout of the base model (rejection sampling), different ones
    in different epochs as far as there are some.

    Raises UserError where no task has one.
    """
    groups = _groups(setup)
    texts = {i: _right(group) for i, group in groups.items()}
    found = in_turn(setup.plan, texts)
    _tell(setup, "a right rollout", sum(map(bool, texts.values())), len(groups))
    if not found:
        raise UserError(f"{setup.arm.root}: no task has a right rollout to learn from")
    return filled([Reply(setup.tasks[i], text) for i, text in found], setup.plan.tasks_per_step)


def pairs(setup: Setup) -> list[Pair]:
    """Return for each slot a right and a wrong rollout of one task, different ones in different
    epochs as far as there are some. Raises UserError where no task has both."""
    groups = _groups(setup)
    both = {i: _both(setup.tasks[i], group) for i, group in groups.items()}
    found = in_turn(setup.plan, both)
    _tell(setup, "right and wrong rollouts", sum(map(bool, both.values())), len(groups))
    if not found:
        raise UserError(
            f"{setup.arm.root}: no task has both a right and a wrong rollout to compare"
        )
    return filled([pair for _, pair in found], setup.plan.tasks_per_step)


def _groups(setup: Setup) -> dict[str, Group]:
    ids = list(dict.fromkeys(setup.plan.task_ids))
    return dict(zip(ids, setup.drawn([setup.tasks[i] for i in ids]), strict=True))


def _right(group: Group) -> list[str]:
    """Return different right texts, those that ended by themselves."""
    ended = zip(group.texts, group.correct, group.finished, strict=True)
    return list(dict.fromkeys(text for text, correct, done in ended if correct is True and done))


def _both(task: Task, group: Group) -> list[Pair]:
    """Return pairs of the n-th right with the n-th wrong completion; the shorter side goes round.

    Undecided completions are on neither side.
    """
    sides: dict[bool, list[tuple[str, bool]]] = {True: [], False: []}
    for text, correct, done in zip(group.texts, group.correct, group.finished, strict=True):
        if correct is not None and (text, done) not in sides[correct]:
            sides[correct].append((text, done))
    right, wrong = sides[True], sides[False]
    count = max(len(right), len(wrong)) if right and wrong else 0
    return [Pair(task, right[n % len(right)], wrong[n % len(wrong)]) for n in range(count)]


def in_turn(plan: Plan, examples: Mapping[str, Sequence[Any]]) -> list[tuple[str, Any]]:
    """Return an example for each slot of the plan whose task has one: at its n-th time the n-th."""
    times = Counter[str]()
    found: list[tuple[str, Any]] = []
    for task_id in plan.task_ids:
        own = examples[task_id]
        if own:
            found.append((task_id, own[times[task_id] % len(own)]))
            times[task_id] += 1
    return found


def filled(examples: list[Any], per_step: int) -> list[Any]:
    """Return the examples in whole steps, the last one filled from the start."""
    lacking = -len(examples) % per_step
    return [*examples, *(examples[i % len(examples)] for i in range(lacking))]


def _tell(setup: Setup, what: str, having: int, of: int) -> None:
    logger.info(f"{setup.recipe.train.method}: {having:,} of {of:,} tasks have {what}")


def trainer_on(
    trainer_class: Any, make_config: Callable[..., Any], rows: list[Any], setup: Setup
) -> Any:
    """Return TRL's trainer of that class on rows of tokens, `tasks_per_step` of them a step."""
    from datasets import Dataset
    from transformers import set_seed

    from ttc_rl.train.weights.adapters import peft_config

    train = setup.recipe.train
    set_seed(setup.recipe.seed)  # an adapter is drawn before TRL sets the seed
    return trainer_class(
        model=str(setup.base),
        args=make_config(setup.recipe, len(rows) // train.tasks_per_step, setup.arm, setup.track),
        train_dataset=Dataset.from_list(rows),
        processing_class=setup.tokenizer,
        peft_config=peft_config(train.adapter),
        callbacks=setup.callbacks,
    )
