"""What some selectors need from the model itself: solve rates, gradient features, and the bill.

Nothing here sees a target's gold: targets are stripped to prompt and kind before anything is done.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ttc_rl.config import LessConfig, Recipe
from ttc_rl.config.marks import with_marks
from ttc_rl.metrics.flops import Spent
from ttc_rl.run_dir import RunDir
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import Task, UserError, content_hash
from ttc_rl.selection.difficulty import fill, posterior_mean, rates_from_meta
from ttc_rl.selection.influence import Influence
from ttc_rl.selection.problem import Problem
from ttc_rl.selection.rivals import nearest
from ttc_rl.stages.base_model import BaseModel
from ttc_rl.verifiers import BUILT_IN, Graders

logger = logging.getLogger(__name__)

# N corpus tasks, M targets, n tasks of the pool, m targets with a label, D embedding size.
NEEDS_MODEL = "difficulty", "band", "less"
"""Methods of selection that ask the model."""
PRIOR = 1.0, 1.0
"""Successes and failures believed in before any draw of a task: any rate is as likely."""
POOL = 4
"""Tasks in the pool for each one of the curriculum, unless the recipe says otherwise."""


@dataclass(frozen=True)
class Inputs:
    """Extra arguments of `selection.select`, and what selection.json says about them."""

    keywords: dict[str, Any] = field(default_factory=dict[str, Any])
    compute: dict[str, Any] | None = None
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Ask:
    """One arm's question: its recipe, and tasks with their embeddings."""

    recipe: Recipe
    run: RunDir
    base: Callable[[], str | Path]
    """Loads or trains the base model, and says where it is."""
    corpus: Sequence[Task]
    targets: Sequence[Task]
    corpus_ND: np.ndarray
    target_MD: np.ndarray
    graders: Graders = BUILT_IN

    def pool(self, size: int | None) -> list[int]:
        """Return the rows of the corpus tasks nearest to the targets, in corpus order."""
        size = min(size or POOL * self.recipe.selection.size, len(self.corpus))
        if size < self.recipe.selection.size:
            raise UserError(
                f"selection: a pool of {size} tasks cannot give a curriculum of "
                f"{self.recipe.selection.size}: raise `pool` or lower selection.size"
            )
        return sorted(nearest(Problem(self.corpus_ND, self.target_MD, size)))


def model_inputs(ask: Ask) -> Inputs:
    """Return what the arm's selection method needs of the model; nothing where it needs no
    model."""
    method = ask.recipe.selection.method
    if method not in NEEDS_MODEL:
        return Inputs()
    return _less(ask) if method == "less" else _success(ask)


# --------------------------------------------------------------------------- solve rates


def _success(ask: Ask) -> Inputs:
    """Return `success=`: the base model's solve rate for each corpus task, shape (N,)."""
    config = ask.recipe.selection.difficulty
    spent = None
    if config.key is not None:
        rates = rates_from_meta(ask.corpus, config)
    else:
        rows = ask.pool(config.pool)
        pool, drawer = [ask.corpus[i] for i in rows], _Drawer(ask)
        groups = drawer.groups(pool, config.samples, grade=True)
        rates = {
            row: posterior_mean(group.correct, PRIOR)
            for row, group in zip(rows, groups, strict=True)
        }
        spent = drawer.spent.as_dict()
    success_N = fill(rates, len(ask.corpus))
    logger.info(
        f"solve rate of the base model: {len(rates):,} tasks, "
        f"mean {np.mean(list(rates.values())):.3f}"
        f"; {len(ask.corpus) - len(rates):,} others take that mean"
    )
    notes = {
        "estimated": len(rates),
        "without_estimate": len(ask.corpus) - len(rates),
        "pooled_mean": float(np.mean(list(rates.values()))),
    }
    return Inputs({"success": success_N}, spent, notes)


class _Drawer:
    """Groups of completions from the base model, and what they cost."""

    def __init__(self, ask: Ask) -> None:
        from ttc_rl.selection.less.gradients import num_parameters

        self.base = ask.base()
        self.model = BaseModel(self.base, ask.recipe, ask.run, ask.graders)
        self.spent = Spent(num_parameters(self.base))

    def groups(self, tasks: Sequence[Task], samples: int, *, grade: bool) -> list[Group]:
        drawn = self.model.groups("selection", tasks, samples, grade=grade)
        for group in drawn:
            for tokens in group.tokens:
                self.spent.drawn(group.prompt_tokens, tokens)
        return drawn


# --------------------------------------------------------------------------- gradient features


def _less(ask: Ask) -> Inputs:
    """Return `features=`: an `Influence` between the pool and the targets, or what stands for
    them."""
    from ttc_rl.selection.less.examples import blind
    from ttc_rl.selection.less.gradients import Sketch, load_differentiable

    config, rows = ask.recipe.selection.less, ask.pool(ask.recipe.selection.less.pool)
    drawer = _Drawer(ask)
    subtasks_M = [_subtask(task, config) for task in ask.targets]
    dev = _dev_tasks(ask, set(subtasks_M)) if config.labels == "dev" else None
    model = load_differentiable(drawer.base, ask.recipe.prompts, None, ask.recipe.seed)
    if dev is not None:
        # Only to learn how long the model's replies are, which the price of a step depends on.
        drawer.groups(dev, 1, grade=False)
        sides = _dev_sides(ask, rows, dev, [_subtask(task, config) for task in dev], model)
    else:
        targets = [blind(task) for task in ask.targets]
        sides = _label_free_sides(ask, rows, targets, subtasks_M, drawer, model)
    logger.info(f"less: {len(sides.target):,} targets with a label, {sides.left_out:,} without one")
    sketch = Sketch(sum(p.numel() for p in model.parameters), config.features, ask.recipe.seed)
    features = _features(ask, rows, sides, model, sketch, drawer.spent)
    notes = {"labels": config.labels, "pool": len(rows), "labelled": len(sides.target)}
    notes |= {"without_label": sides.left_out}
    return Inputs({"features": features}, drawer.spent.as_dict(), notes)


@dataclass(frozen=True)
class _Sides:
    """Examples of the pool, of the targets with a label, and their subtasks."""

    corpus: list[Any]
    target: list[Any]
    subtasks: list[str]
    left_out: int

    def __post_init__(self) -> None:
        if not self.target:
            raise UserError(
                "selection.less: no target has a label (every group was silent, tied or of one "
                "opinion), so there is nothing to compare with; raise less.samples, or give "
                "labelled tasks (`labels: dev`)"
            )


def _dev_sides(ask: Ask, rows: list[int], dev: list[Task], names: list[str], model: Any) -> _Sides:
    from ttc_rl.selection.less.examples import gold_reply, supervised

    pool = [ask.corpus[i] for i in rows]
    return _Sides(
        [supervised(task, gold_reply(task, ask.graders), model) for task in pool],
        [supervised(task, gold_reply(task, ask.graders), model) for task in dev],
        names,
        0,
    )


def _label_free_sides(
    ask: Ask,
    rows: list[int],
    targets: list[Task],
    subtasks: list[str],
    drawer: _Drawer,
    model: Any,
) -> _Sides:
    from ttc_rl.selection.less import examples as of

    config, pool = ask.recipe.selection.less, [ask.corpus[i] for i in rows]
    of.check_votes(targets, config.labels, ask.graders)
    groups = drawer.groups(targets, config.samples, grade=False)
    if config.labels == "majority":
        corpus = [of.supervised(t, of.gold_reply(t, ask.graders), model) for t in pool]
        replies = [of.voted_reply(t, g, ask.graders) for t, g in zip(targets, groups, strict=True)]
        examples = [
            of.supervised(task, reply, model) if reply is not None else None
            for task, reply in zip(targets, replies, strict=True)
        ]
    else:
        rolled = drawer.groups(pool, config.samples, grade=True)
        corpus = [of.policy(t, g, g.correct, model) for t, g in zip(pool, rolled, strict=True)]
        examples = [
            of.policy(t, g, of.voted(t, g, ask.graders), model)
            for t, g in zip(targets, groups, strict=True)
        ]
        examples = [example if example.replies else None for example in examples]
    labelled = [i for i, example in enumerate(examples) if example is not None]
    left_out = len(targets) - len(labelled)
    return _Sides(
        corpus, [examples[i] for i in labelled], [subtasks[i] for i in labelled], left_out
    )


def _features(
    ask: Ask, rows: list[int], sides: _Sides, model: Any, sketch: Any, spent: Spent
) -> Influence:
    """Return features at each warm-up checkpoint; for `policy`, at the base model and plain on both
    sides.

    GRPO begins at the base model without moments, and so does `policy`.
    """
    from ttc_rl.selection.less.examples import gold_reply, supervised
    from ttc_rl.selection.less.gradients import sketched
    from ttc_rl.selection.less.warmup import BATCH, EPOCHS, SHARE, warm_up

    config, seed = ask.recipe.selection.less, ask.recipe.seed
    shuffled = random.Random(seed).sample(range(len(ask.corpus)), len(ask.corpus))
    drawn = [ask.corpus[i] for i in shuffled[: max(1, round(SHARE * len(shuffled)))]]
    folder = ask.run.features / content_hash(
        [
            str(spent.parameters),
            str(ask.base()),
            config.model_dump(exclude={"dev", "labels", "pool", "samples", "subtask_by"})
            | {"warmup_share": SHARE, "warmup_epochs": EPOCHS, "warmup_batch": BATCH}
            | {"lora_rank": None},
            seed,
            dict(ask.recipe.prompts),
            [task.id for task in drawn],
        ]
    )
    corpus_CnF, target_CmF, weights_C = [], [], []

    def both(name: str, moments: Any, weight: float) -> None:
        corpus_CnF.append(sketched(model, sides.corpus, sketch, moments, folder, f"{name}-corpus"))
        target_CmF.append(sketched(model, sides.target, sketch, None, folder, f"{name}-target"))
        weights_C.append(weight)
        spent.differentiated(sum(example.tokens for example in (*sides.corpus, *sides.target)))

    if config.labels == "policy":
        both("base", None, 1.0)
    else:
        examples = [supervised(t, gold_reply(t, ask.graders), model) for t in drawn]
        for checkpoint in warm_up(model, examples, config, seed, folder):
            spent.differentiated(sum(example.tokens for example in examples))
            checkpoint.load_into(model)
            both(f"epoch-{checkpoint.epoch}", checkpoint.moments, checkpoint.learning_rate)
    return Influence(np.array(rows), corpus_CnF, target_CmF, weights_C, sides.subtasks)


def _subtask(task: Task, config: LessConfig) -> str:
    return str(task.meta.get(config.subtask_by, "")) if config.subtask_by else ""


def _dev_tasks(ask: Ask, subtasks: set[str]) -> list[Task]:
    """Return the labelled examples. Raises UserError where one is a target or overlaps one."""
    from ttc_rl.corpus.overlap import remove_overlap
    from ttc_rl.corpus.sources import load_source

    config = ask.recipe.selection.less
    assert config.dev is not None
    loaded = load_source(config.dev, kinds=ask.recipe.verifiers).tasks
    marked = with_marks(loaded, ask.recipe.answer_marks)
    dev = [task for task in marked if _subtask(task, config) in subtasks]
    if not dev:
        raise UserError(f"selection.less.dev: no task has a {config.subtask_by} that a target has")
    overlap = remove_overlap(dev, ask.targets, ask.recipe.overlap)
    if overlap.removed:
        first = overlap.removed[0]
        raise UserError(
            f"selection.less.dev: {len(overlap.removed)} of {len(dev)} tasks overlap with the "
            f"target, first {first.task_id} with {first.target_id} ({first.detail}): labels of "
            "the test itself may not choose what is trained on; take other tasks"
        )
    return dev
