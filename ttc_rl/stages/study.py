"""A study: arms x targets x seeds at one budget, its controls unasked, its questions answered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ttc_eval.compare.answers import Answer, Asked, answers, ask
from ttc_eval.compare.runs import compare
from ttc_eval.report.compare_opening import comparison_markdown
from ttc_eval.report.compare_page import write_comparison
from ttc_eval.report.sections.plan import foreseen
from ttc_eval.report.study_page import study_markdown, write_study
from ttc_rl.config import Recipe, StudyConfig, with_keys
from ttc_rl.config.study import CONTROLS, control_arms, headline
from ttc_rl.run_dir import write_text
from ttc_rl.schema import UserError
from ttc_rl.stages.sweep import run_cells
from ttc_rl.system.tried import tried

logger = logging.getLogger(__name__)


def with_controls(recipe: Recipe) -> Recipe:
    """Return the recipe of the study: its controls among the arms, selection paid for by training.

    Raises UserError where it has no seeds to speak of, or a question about no arm.
    """
    study = recipe.study or StudyConfig()
    if len(recipe.sweep.get("seed", [])) < 2:
        raise UserError(
            f"{recipe.places.named('sweep')}: a study needs `sweep: {{seed: [0, 1, ...]}}`: one "
            "training says nothing of the next one"
        )
    arms = dict(recipe.arms) or {headline(study.questions, []): {}}
    first = headline(study.questions, list(arms))
    if first not in arms:
        raise UserError(f"{recipe.places.named('study.questions')}: there is no arm {first}")
    arms |= control_arms(study, arms, arms[first])
    for question in questions(study, first):
        for name in question.split(" - "):
            if name not in (*arms, "base"):
                where = recipe.places.named("study.questions")
                raise UserError(f"{where}: {question}: there is no arm {name}")
    return with_keys(recipe, {"arms": arms, "train.charge_selection": True})


def questions(study: StudyConfig, first: str) -> list[str]:
    """Return the pairs asked for; the headline against random where none is."""
    return study.questions or [f"{first} - random"]


def run_study(
    recipe: Recipe, root: Path, jobs: int
) -> tuple[list[Asked], list[Answer], list[Path]]:
    """Run what is missing of a study that has its controls; return answers, and the pages written.

    What it can resolve is said before the first run.
    """
    study = recipe.study or StudyConfig()
    seeds = len(recipe.sweep["seed"])
    logger.info(f"{foreseen(recipe)}; {seeds} seeds, over which intervals are taken")
    runs = run_cells(recipe, root, jobs)
    comparison = compare(runs)
    first = headline(study.questions, recipe.arm_names)
    found = [ask(comparison, question) for question in questions(study, first)]
    asked = [question for question in found if question is not None]
    arms = answers(comparison, runs)
    notes = _notes(study, root, recipe)
    pages = [root / name for name in ("study.html", "study.md", "compare.html")]
    write_study(pages[0], asked, arms, notes)
    rest = comparison_markdown(comparison)
    write_text(pages[1], study_markdown(asked, arms, notes, rest))
    write_comparison(comparison, pages[2])
    return asked, arms, pages


def _notes(study: StudyConfig, root: Path, recipe: Recipe) -> Sequence[str]:
    """Return what else a reader has to know: controls left out, and how often it was tried."""
    left_out = [f"Control {name} is left out: {why}." for name, why in study.without.items()]
    there = ", ".join(name for name in CONTROLS if name in recipe.arms)
    controls = [f"Controls: {there}."] if there else []
    return [*controls, *left_out, *filter(None, [tried(root, recipe.model_dump())])]
