"""Dev tasks, evaluated while training. Not trained on; tested on only if asked.

N corpus tasks, M target tasks.
"""

from __future__ import annotations

import logging
from dataclasses import asdict

import numpy as np

from ttc_rl.config import Recipe
from ttc_rl.config.marks import with_marks
from ttc_rl.corpus.overlap.cleaning import clean
from ttc_rl.corpus.sources import load_corpus
from ttc_rl.run_dir import write_jsonl
from ttc_rl.schema import Task, UserError
from ttc_rl.selection.problem import Problem
from ttc_rl.selection.rivals import nearest
from ttc_rl.stages.job import Job
from ttc_rl.stages.same_tasks import check_dev
from ttc_rl.vectors import Vectors

logger = logging.getLogger(__name__)

TARGET = "target"
NEAR = 4
"""Held out are `tasks` of the so many times as many that are nearest to the targets: were the
nearest themselves taken, the curriculum would lose the best it has."""


def hold_out(
    job: Job,
    corpus: list[Task],
    targets: list[Task],
    corpus_ND: np.ndarray | Vectors,
    target_MD: np.ndarray,
) -> np.ndarray:
    """Write dev.tasks.jsonl; the rows of the corpus that may still be trained on, shape (n,)."""
    config = job.recipe.train.dev
    everything = np.arange(len(corpus))
    if config is None:
        return everything
    rng = np.random.default_rng(job.recipe.seed)
    if config.source is None:
        size = min(NEAR * config.tasks, len(corpus))
        near = sorted(nearest(Problem(corpus_ND, target_MD, size)))
        rows = np.sort(rng.permutation(near)[: config.tasks])
        dev = [corpus[row] for row in rows]
    else:
        labelled = targets if config.source == TARGET else _labelled(job.recipe, targets)
        rows = np.sort(rng.permutation(len(labelled))[: config.tasks])
        dev = [labelled[row] for row in rows]
    ids = {task.id for task in dev}
    rest = np.array([row for row, task in enumerate(corpus) if task.id not in ids], dtype=int)
    if not len(rest):
        raise UserError("train.dev: takes the whole corpus; lower train.dev.tasks")
    check_dev(job, dev)
    write_jsonl(job.run.dev_tasks, map(asdict, dev))
    whose = "the test's own tasks, golds read" if config.source == TARGET else "held out"
    logger.info(f"dev: {len(dev)} tasks, {whose}, every {config.every} steps")
    return rest


def _labelled(recipe: Recipe, targets: list[Task]) -> list[Task]:
    """Return the tasks of the user's source, without those that overlap a target."""
    config = recipe.train.dev
    assert config is not None
    assert config.source is not None
    loaded = load_corpus([config.source], recipe.data, recipe.verifiers).tasks
    return with_marks(clean(loaded, targets, recipe.overlap).tasks, recipe.answer_marks)
