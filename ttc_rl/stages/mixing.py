"""One model of an arm's several experts: the mixture of their changes that does best.

It is found by the cross-entropy method, as in Transformer-squared (arXiv 2501.06252; 32 candidates
a generation, of which the best fifth draw the next, as in its code). What is raised is the share of
votes that agree on the target prompts, whose golds are not read, or what is right of the dev tasks.
All candidates are asked the same samples. The base, each expert alone and their mean are candidates
as well, so that by its own measure the mixture is never below them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ttc_rl.corpus.benchmarks import together
from ttc_rl.run_dir import follow_umask, write_sealed
from ttc_rl.sampling import Decoding
from ttc_rl.schema import Completer, Task
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.policies import folders
from ttc_rl.stages.same_tasks import read_dev_tasks, read_targets
from ttc_rl.system.progress import heading
from ttc_rl.verifiers import Graders, check_infra_errors
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
    measure = _measure(job, name)

    def score(alphas_E: np.ndarray) -> float:
        mixture.weigh(alphas_E.tolist())
        return measure(completer)

    with heading(f"{name}: mixing {len(experts)} experts by {recipe.experts.mix}"):
        best, history = cross_entropy(score, len(experts), recipe.experts.generations, recipe.seed)
    mixture.weigh(best.tolist())
    beside = folder.model.with_name("model.part")
    mixture.save(beside)
    follow_umask(beside)
    weights = dict(zip(experts, best.tolist(), strict=True))
    write_sealed(folder.mix, {"by": recipe.experts.mix, "weights": weights, **history})
    beside.replace(folder.model)


def _measure(job: Job, name: str) -> Callable[[Completer], float]:
    """Return what measures a mixture's weights, from 0 to 1."""
    recipe = job.recipe.arm(name)
    assert recipe.experts is not None
    if recipe.experts.mix == "dev":
        assert recipe.train.dev is not None
        tasks = read_dev_tasks(job, job.parts_of(name)[0])
        samples = recipe.train.dev.samples
        most = recipe.train.max_infra_errors
        return lambda ask: _right(tasks, ask(tasks, samples, seed=recipe.seed), most, job.graders)
    targets = together(read_targets(job)).tasks
    samples = recipe.train.rollouts_per_task
    return lambda ask: _agreed(targets, ask(targets, samples, seed=recipe.seed), job.graders)


def _right(
    tasks: Sequence[Task], groups: Sequence[Sequence[Any]], most: float, graders: Graders
) -> float:
    """Return the share of right completions. Raises UserError where more than `most` could not be
    graded."""
    repeated = [task for task, group in zip(tasks, groups, strict=True) for _ in group]
    verdicts = graders.verify_many(
        repeated, [completion.text for group in groups for completion in group]
    )
    failed = sum(verdict.status == "infra_error" for verdict in verdicts)
    check_infra_errors(failed, len(verdicts), most, "experts.mix")
    return float(np.mean([verdict.correct is True for verdict in verdicts]))


def _agreed(tasks: Sequence[Task], groups: Sequence[Sequence[Any]], graders: Graders) -> float:
    """Return the mean share of the winning answer. Completions without an answer count; no gold is
    read."""
    texts = [[completion.text for completion in group] for group in groups]
    votes = [majority(t, own, graders=graders) for t, own in zip(tasks, texts, strict=True)]
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
