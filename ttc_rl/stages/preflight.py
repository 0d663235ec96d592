"""A look at the base model on a few tasks of the curriculum, before hours are spent; it can say no.

    unsolvable     not one completion is right: no group has a difference to learn from
    solved         all are right: there is nothing left to learn
    truncated      too many completions are cut at `train.max_completion_tokens`
    flat           in too many groups all completions have one verdict: their advantage is 0
    golds          golds that their own verifier does not accept, of all the curriculum's tasks
    majority       with `train.majority`: the vote of a group is not right more often than one
                   completion is, so that rewarding agreement has nothing to teach
                   (arXiv 2412.02674: improvement comes from the gap between the two)
    uncovered      too many targets are far from everything in the corpus (selection.json)
    resolution     with `preflight.gain`: the evaluation has too few tasks or samples to find such
                   a gain four times in five; accuracy, and its spread over tasks, as in the groups
                   drawn, and gains that vary over tasks as much as their mean

Only corpus tasks are looked at: a target's gold is never read. A sample of a few tasks can miss
what is rare, so that it says no only where it is plain.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ttc_rl.config import PreflightConfig, Recipe
from ttc_rl.metrics.power import assumed_spread
from ttc_rl.run_dir import read_json, write_json
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import Task, UserError
from ttc_rl.stages.base_model import BaseModel
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.train.curriculum import read_curriculum
from ttc_rl.verifiers import BUILT_IN, Graders

logger = logging.getLogger(__name__)

# Limits of shares, wide: the look is small, and says no only where it is plain.
MAX_TRUNCATED = 0.5
"""Of the completions, cut at the limit."""
MAX_FLAT = 0.9
"""Of the groups, with one verdict only."""
MAX_REFUSED_GOLDS = 0.02
"""Of the golds, not accepted by their own verifier."""
MAX_UNCOVERED = 0.6
"""Of the targets, of which even the whole corpus would leave more than half unknown."""


@dataclass(frozen=True)
class Findings:
    numbers: dict[str, float | None]
    problems: list[str]


def preflight(job: Job) -> None:
    """Write preflight.json: each arm's numbers and problems. Raises UserError where there is a
    problem.

    The completions are kept, so that a second preflight costs nothing.
    """
    config = job.recipe.preflight
    if config is None:
        return
    arms = {name: job.arm(name) for name in job.parts if job.arm(name)[0].policy.trains}
    tasks = {name: list(read_curriculum(folder)[1].values()) for name, (_, folder) in arms.items()}
    seen = {name: spread(whole, config.tasks) for name, whole in tasks.items()}
    drawn = _draw(job, config, {t.id: t for part in seen.values() for t in part})
    report: dict[str, Any] = {}
    size = _evaluation_size(job) if config.gain is not None else (0, 0)
    for name, (recipe, folder) in arms.items():
        groups = [drawn[task.id] for task in seen[name]]
        refused = _refused_golds(tasks[name], job.graders)
        findings = judge(recipe, config, seen[name], groups, refused, len(tasks[name]), job.graders)
        findings = _with_targets(findings, config, read_json(folder.selection), groups, size)
        report[name] = vars(findings)
        numbers = ", ".join(f"{k} {v:.3f}" for k, v in findings.numbers.items() if v is not None)
        logger.info(f"preflight of arm {name}: {numbers}")
    write_json(job.run.root / "preflight.json", report)
    problems = [f"{name}: {problem}" for name, row in report.items() for problem in row["problems"]]
    for problem in problems:
        logger.info(f"preflight: {problem}")
    if problems and config.refuse:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(
            f"preflight: {problems[0]}{more}; mend it, or continue anyway: "
            "preflight.refuse: false, or `ttc-rl train`"
        )


def judge(
    recipe: Recipe,
    config: PreflightConfig,
    tasks: Sequence[Task],
    groups: Sequence[Group],
    refused_golds: int,
    all_tasks: int,
    graders: Graders = BUILT_IN,
) -> Findings:
    """Return what a few groups, and the golds of all tasks, say about the training to come."""
    texts = sum(len(group.texts) for group in groups)
    decided = [c for group in groups for c in group.correct if c is not None]
    right = sum(decided) / len(decided) if decided else 0.0
    cut = sum(not done for group in groups for done in group.finished) / texts
    flat = sum(len(set(group.correct)) == 1 for group in groups) / len(groups)
    golds = refused_golds / all_tasks
    numbers: dict[str, float | None] = {
        "right": right, "truncated": cut, "flat": flat, "refused_golds": golds,
        "mean_tokens": sum(sum(group.tokens) for group in groups) / texts,
    }  # fmt: skip
    drawn = f"{len(tasks)} tasks drawn {config.samples} times"
    problems: list[str] = []
    if right == 0:
        problems.append(f"nothing was solved ({drawn}): no reward to learn from; easier tasks")
    if right == 1:
        problems.append(f"everything was solved ({drawn}): nothing to learn; harder tasks")
    if cut > MAX_TRUNCATED:
        limit = recipe.train.max_completion_tokens
        problems.append(f"{cut:.0%} of the completions are cut at {limit} tokens; raise the limit")
    if 0 < right < 1 and flat > MAX_FLAT:
        problems.append(f"{flat:.0%} of the groups have one verdict only: hardly a gradient")
    if golds > MAX_REFUSED_GOLDS:
        problems.append(f"{golds:.1%} of the golds are not accepted by their own verifier")
    if recipe.train.majority is not None:
        gap = majority_gap(tasks, groups, recipe.train.majority, graders)
        numbers["majority_gap"] = gap
        if gap is None or gap <= 0:
            difference = (
                "no group agreed" if gap is None else f"vote minus one completion is {gap:.3f}"
            )
            problems.append(f"train.majority has nothing to teach: {difference}")
    return Findings(numbers, problems)


def _with_targets(
    result: Findings,
    config: PreflightConfig,
    selection: Mapping[str, Any],
    groups: Sequence[Group],
    size: tuple[int, int],
) -> Findings:
    """Add what selection and evaluation say: whether the corpus teaches the targets, and whether
    this number of tasks and samples would show it."""
    from ttc_rl.selection.explain import uncovered

    share = len(uncovered(selection)) / len(selection["targets"])
    numbers, problems = {**result.numbers, "uncovered": share}, list(result.problems)
    if share > MAX_UNCOVERED:
        problems.append(
            f"{share:.0%} of the targets are not covered by the corpus: it holds little to "
            "teach them"
        )
    count, samples = size
    if config.gain is not None and count > 1:
        finds = resolvable(groups, config.gain, count, samples)
        numbers["resolvable"] = finds
        if finds > config.gain:
            problems.append(
                f"{count} targets x {samples} samples resolve {100 * finds:.1f} points, not the "
                f"{100 * config.gain:.1f} expected: more samples, or another test"
            )
    return Findings(numbers, problems)


def _evaluation_size(job: Job) -> tuple[int, int]:
    """Return the number of tasks and of samples of the target, the first of several."""
    from ttc_eval.harness.results import resolve_sampling
    from ttc_rl.stages.same_tasks import read_targets

    target = read_targets(job)[0]
    return len(target.tasks), resolve_sampling(job.recipe.eval, target.sampling).samples


def resolvable(groups: Sequence[Group], gain: float, tasks: int, samples: int) -> float:
    """Return the smallest gain in avg@n that `tasks` tasks with `samples` samples find with 80 %
    power."""
    rates = [_rate(group) for group in groups]
    mean = sum(rates) / len(rates)
    within = sum(rate * (1 - rate) for rate in rates) / len(rates)
    over_tasks = max(mean * (1 - mean) - within, 0.0) ** 0.5
    return assumed_spread(mean, over_tasks, gain).resolvable(tasks, samples)


def _rate(group: Group) -> float:
    return sum(correct is True for correct in group.correct) / len(group.correct)


def majority_gap(
    tasks: Sequence[Task],
    groups: Sequence[Group],
    band: tuple[float, float],
    graders: Graders = BUILT_IN,
) -> float | None:
    """Return how much more often a group's vote is right than one completion of it; None without
    votes.

    Over the groups whose vote counts: no tie, and a share of the group inside `band`.
    """
    from ttc_rl.verifiers.majority import majority

    gaps: list[float] = []
    for task, group in zip(tasks, groups, strict=True):
        decided = [c for c in group.correct if c is not None]
        if task.kind not in graders.voting or not decided:
            continue
        vote = majority(task, group.texts, band, graders)
        if vote.right is not None:
            gaps.append(vote.right - sum(decided) / len(decided))
    return sum(gaps) / len(gaps) if gaps else None


def spread(tasks: Sequence[Task], count: int) -> list[Task]:
    """Return `count` of the tasks, evenly over their order: early and late picks differ."""
    if len(tasks) <= count:
        return list(tasks)
    return [tasks[i * len(tasks) // count] for i in range(count)]


def _refused_golds(tasks: Sequence[Task], graders: Graders) -> int:
    from ttc_rl.verifiers.golds import check_golds

    return sum(checked.tasks - checked.accepted for checked in check_golds(tasks, graders))


def _draw(job: Job, config: PreflightConfig, tasks: Mapping[str, Task]) -> dict[str, Group]:
    """Draw a group for each task as training will: at temperature 1, with training's limit of
    tokens."""
    model = BaseModel(starting_model(job.recipe), job.recipe, job.run, job.graders)
    try:
        groups = model.groups("preflight", list(tasks.values()), config.samples, grade=True)
    finally:
        model.close()
    return dict(zip(tasks, groups, strict=True))
