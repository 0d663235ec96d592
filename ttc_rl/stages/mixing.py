"""One model of an arm's several experts: the mixture of their changes that does best.

It is found by the cross-entropy method, as in Transformer-squared (arXiv 2501.06252; 32 candidates
a generation, of which the best fifth draw the next, as in its code). What is raised is the share of
votes that agree on the target prompts, whose golds are not read, or what is right of the dev tasks.
All candidates are asked the same samples. The base, each expert alone and their mean are candidates
as well, so that by its own measure the mixture is never below them. What each candidate wrote is
kept until the search ends, so that a killed search goes on where it was.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ttc_rl.corpus.benchmarks import together
from ttc_rl.run_dir import follow_umask, write_sealed
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.drawing import MAX_INFRA_ERRORS, Drawing, draw
from ttc_rl.schema import Completer, Task, content_hash
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.policies.experts import folders
from ttc_rl.stages.same_tasks import read_dev_tasks, read_targets
from ttc_rl.system.progress import heading
from ttc_rl.verifiers import BUILT_IN, Graders
from ttc_rl.verifiers.majority import check_voting, majority

logger = logging.getLogger(__name__)

# E experts, K candidates a generation.
POPULATION, ELITE = 32, 0.2


def check_mix(job: Job) -> None:
    """Raise UserError, before anything is trained, where the targets cannot vote on a mixture."""
    experts = [job.recipe.arm(name).experts for name in job.recipe.arm_names]
    if any(config is not None and config.mix == "votes" for config in experts):
        check_voting(together(read_targets(job)).tasks, "experts.mix", job.graders)


def mix(job: Job, name: str) -> None:
    """Leave the best mixture of an arm's experts as its model, and mix.json beside it."""
    from ttc_rl.sampling.generate import GenerateCompleter
    from ttc_rl.train.weights.mixture import Mixture

    recipe, folder = job.arm(name)
    assert recipe.experts is not None
    experts = folders(job, name)
    mixture = Mixture(starting_model(job.recipe), list(experts.values()), job.recipe.model.dtype)
    decoding = Decoding(recipe.train.max_completion_tokens)
    completer = GenerateCompleter(mixture.model, mixture.tokenizer, decoding, recipe.prompts)
    measure = Measure.of(job, name)

    def score(alphas_E: np.ndarray) -> float:
        mixture.weigh(alphas_E.tolist())
        return measure(completer, alphas_E.tolist())

    with heading(f"{name}: mixing {len(experts)} experts by {recipe.experts.mix}"):
        best, history = cross_entropy(score, len(experts), recipe.experts.generations, recipe.seed)
    mixture.weigh(best.tolist())
    beside = folder.model.with_name("model.part")
    mixture.save(beside)
    follow_umask(beside)
    weights = dict(zip(experts, best.tolist(), strict=True))
    write_sealed(folder.mix, {"by": recipe.experts.mix, "weights": weights, **history})
    beside.replace(folder.model)
    shutil.rmtree(folder.mixing)


@dataclass(frozen=True)
class Measure:
    """What a mixture is weighed by, from 0 to 1; each mixture's completions are kept in `folder`.

    `by` is `votes`, for which no gold is read, or `dev`.
    """

    by: Literal["votes", "dev"]
    tasks: Sequence[Task]
    samples: int
    folder: Path
    seed: int
    batch: int
    graders: Graders = BUILT_IN
    max_infra_errors: float = MAX_INFRA_ERRORS

    @classmethod
    def of(cls, job: Job, name: str) -> Measure:
        recipe, folder = job.arm(name)
        assert recipe.experts is not None
        assert recipe.experts.mix is not None
        train = recipe.train
        if recipe.experts.mix == "dev":
            assert train.dev is not None
            tasks, samples = read_dev_tasks(job, job.parts_of(name)[0]), train.dev.samples
        else:
            tasks, samples = together(read_targets(job)).tasks, train.rollouts_per_task
        batch = train.engine.batch(recipe.eval.batch)
        return cls(
            recipe.experts.mix,
            tasks,
            samples,
            folder.mixing,
            recipe.seed,
            batch,
            job.graders,
            train.max_infra_errors,
        )

    def __call__(self, completer: Completer, alphas: Sequence[float]) -> float:
        """Score a model. Raises UserError where too many of its completions could not be graded."""
        mixture = content_hash(list(alphas))
        drawing = Drawing(
            "experts.mix",
            self.tasks,
            self.samples,
            self.folder / f"{mixture}.samples.jsonl",
            self.seed,
            mixture,
            self.graders if self.by == "dev" else None,
            self.max_infra_errors,
        )
        draw(completer, drawing, batch=self.batch)
        groups = drawing.groups()
        if self.by == "dev":
            return float(np.mean([c is True for group in groups for c in group.correct]))
        votes = [
            majority(task, group.texts, graders=self.graders)
            for task, group in zip(self.tasks, groups, strict=True)
        ]
        return float(np.mean([vote.share for vote in votes]))


def cross_entropy(
    score: Callable[[np.ndarray], float],
    size: int,
    generations: int,
    seed: int,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Search the weights of the experts by the cross-entropy method. Return the best ones, shape
    (E,), and a record of the search.

    Candidates are normal around the mean of the last generation's elite, with its deviation; at
    first around 1 / E, with that deviation.
    """
    rng, mean_E = np.random.default_rng(seed), np.full(size, 1 / size)
    spread_E = mean_E.copy()
    best, best_score, history = mean_E, -np.inf, list[float]()
    always = np.vstack([mean_E, np.zeros(size), np.eye(size)])
    alone = [score(alphas) for alphas in always]
    for generation in range(generations):
        drawn_KE = mean_E + spread_E * rng.standard_normal((POPULATION, size))
        found_K = np.array([score(alphas) for alphas in drawn_KE])
        if generation == 0:
            drawn_KE, found_K = np.vstack([always, drawn_KE]), np.array([*alone, *found_K])
        order = np.argsort(-found_K, kind="stable")
        elite_KE = drawn_KE[order[: max(2, round(ELITE * POPULATION))]]
        mean_E, spread_E = elite_KE.mean(axis=0), elite_KE.std(axis=0)
        if found_K[order[0]] > best_score:
            best, best_score = drawn_KE[order[0]], float(found_K[order[0]])
        history.append(best_score)
        logger.info(f"generation {generation + 1} of {generations}, best {best_score:.3f}")
    record = {"score": best_score, "by_generation": history}
    return best, record | {"mean": alone[0], "base": alone[1], "alone": alone[2:]}
