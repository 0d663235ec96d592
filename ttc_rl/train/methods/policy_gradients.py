"""Policy gradients of many tasks at the weights of a training under way, for GradAlign."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from ttc_rl.sampling import Decoding
from ttc_rl.sampling.drawing import Group
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.schema import Completion, Task, UserError
from ttc_rl.selection.less.examples import policy, voted
from ttc_rl.selection.less.gradients import Differentiable, Sketch
from ttc_rl.train.curriculum.gradalign import GradAlign
from ttc_rl.train.methods.base import Setup
from ttc_rl.train.methods.grpo_following import FollowingTrainer

logger = logging.getLogger(__name__)

# N tasks of the pool, M targets, F features of a gradient.
FEATURES = 4096
"""Of a gradient's sketch, which keeps inner products on average."""
BATCH = 64
"""Tasks whose completions are drawn together."""


def look_with_gradients(trainer: FollowingTrainer, setup: Setup) -> None:
    """Have the curriculum compare policy gradients of the model under training.

    What a look draws is taken off the rollouts of the training. Where that is more than is left,
    the scores stay as they are. Raises UserError on several processes, and where not even the
    first look is paid for.
    """
    curriculum, director = trainer.director.curriculum, trainer.director
    assert isinstance(curriculum, GradAlign)
    where = setup.recipe.places.named("train.curriculum.method")
    if trainer.accelerator.num_processes > 1:
        raise UserError(f"{where}: gradalign works in one process only")
    train, targets = setup.recipe.train, [setup.tasks[name] for name in setup.targets]
    tasks = curriculum.pool.tasks
    probes = (len(tasks) + len(targets)) * train.curriculum.probes
    cost = math.ceil(probes / train.rollouts_per_task)
    if cost + train.tasks_per_step > director.slots:
        raise UserError(
            f"{where}: gradalign draws {train.curriculum.probes} rollouts for each of "
            f"{len(tasks)} tasks and {len(targets)} targets, which is {cost} groups of "
            f"{train.rollouts_per_task}, and all of training has {director.slots}; lower "
            "curriculum.pool or curriculum.probes, or train on more"
        )
    model = trainer.accelerator.unwrap_model(trainer.model)
    sketch = Sketch(
        sum(p.numel() for p in model.parameters() if p.requires_grad), FEATURES, setup.recipe.seed
    )

    def look() -> tuple[np.ndarray, np.ndarray] | None:
        if director.left < cost + train.tasks_per_step:
            return None
        director.drawn += cost
        training = model.training
        model.eval()
        try:
            differentiable = Differentiable(model, setup.tokenizer, setup.recipe.prompts)
            drawing = _Drawing(setup, differentiable, sketch, curriculum.steps)
            found = drawing.features(tasks, vote=False), drawing.features(targets, vote=True)
        finally:
            model.train(training)
        for side, features in zip(("tasks", "targets"), found, strict=True):
            moving = int((np.abs(features).sum(axis=1) > 0).sum())
            logger.info(f"gradients of {side}: {moving:,} of {len(features):,} have one")
        return found

    curriculum.look = look


class _Drawing:
    """Completions of tasks by the model as it is, and their gradients."""

    def __init__(self, setup: Setup, model: Differentiable, sketch: Sketch, step: int) -> None:
        self.setup, self.model, self.sketch = setup, model, sketch
        decoding = Decoding(setup.recipe.train.max_completion_tokens)
        self.completer = GenerateCompleter(
            model.model, setup.tokenizer, decoding, setup.recipe.prompts
        )
        self.seed = setup.recipe.seed + 1_000_003 * (step + 1)  # other completions at each look

    def features(self, tasks: Sequence[Task], *, vote: bool) -> np.ndarray:
        """Return sketched policy gradients, shape (n, F), with rewards by gold or by `vote`."""
        rows: list[np.ndarray] = []
        for start in range(0, len(tasks), BATCH):
            some = tasks[start : start + BATCH]
            groups = self.completer(some, self.setup.recipe.train.curriculum.probes, seed=self.seed)
            for task, completions in zip(some, groups, strict=True):
                group, correct = self._graded(task, completions, vote)
                gradient_p = self.model.gradient(policy(task, group, correct, self.model))
                rows.append(self.sketch(gradient_p).numpy())
        return np.stack(rows)

    def _graded(
        self, task: Task, completions: Sequence[Completion], vote: bool
    ) -> tuple[Group, list[bool | None]]:
        group = Group(
            [completion.text for completion in completions],
            [completion.finish_reason != "length" for completion in completions],
            [completion.tokens for completion in completions],
            [],
        )
        graders = self.setup.graders
        if vote:
            return group, voted(task, group, graders)
        verdicts = graders.verify_many([task] * len(group.texts), group.texts)
        return group, [verdict.correct for verdict in verdicts]
