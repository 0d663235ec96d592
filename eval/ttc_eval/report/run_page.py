"""report.html: the question, the course and the outcome of a run, in one file. Needs no network.

Beside it, pages/ has a page for each task of the target, and for each curriculum.

Everything is read from the run folder. A stage that has not run has no section.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup

from ttc_eval.records import BenchmarkSummary, Summary
from ttc_eval.report import page
from ttc_eval.report.base_model import base_facts
from ttc_eval.report.curriculum_pages import write_curriculum_pages
from ttc_eval.report.material import Material
from ttc_eval.report.sections.analysis import analysis
from ttc_eval.report.sections.carried import changed, retention
from ttc_eval.report.sections.completions import completions
from ttc_eval.report.sections.curriculum import curriculum, overlap
from ttc_eval.report.sections.experts import experts
from ttc_eval.report.sections.made import made
from ttc_eval.report.sections.plan import plan
from ttc_eval.report.sections.results import results
from ttc_eval.report.sections.tasks import tasks
from ttc_eval.report.sections.training import training
from ttc_eval.report.tables import points, share
from ttc_eval.report.task_pages import write_task_pages
from ttc_rl.metrics import Estimate
from ttc_rl.run_dir import check_recorded, read_json, write_text
from ttc_rl.system.tried import tried

ReportSection = tuple[str, Callable[[Material], Markup]]
"""A title, and the function that shows what stands under it."""
SECTIONS: Sequence[ReportSection] = (
    ("Results", results),
    ("Task by task", tasks),
    ("Behind the numbers", analysis),
    ("The same tasks, changed", changed),
    ("What it cost elsewhere", retention),
    ("Training", training),
    ("Plan and outcome", plan),
    ("Experts", experts),
    ("Curriculum", curriculum),
    ("Overlap with the target", overlap),
    ("Completions", completions),
    ("How this was made", made),
)
"""The sections in the order of the page. A section whose Markup is empty is left out. The
function's name is the section's address on the page."""


def write_page(material: Material, sections: Sequence[ReportSection] = SECTIONS) -> Path:
    """Write report.html and the pages that it links to; return its path."""
    run = material.run
    shutil.rmtree(run.pages, ignore_errors=True)
    write_task_pages(material)
    write_curriculum_pages(material)
    for arm in material.arms:
        check_recorded(run.arm(arm, material.recipe))
    filled = [
        (show.__name__, title, inside) for title, show in sections if (inside := show(material))
    ]
    targets = " and ".join(material.targets)
    lead, *sentences = opening(material)
    what = subject(material)
    html = page.page(
        f"{material.target}: {what[0].lower()}{what[1:]}",
        f"{what} for {targets}: {run.root.name}" if material.selected else f"{what} on {targets}",
        lead,
        filled,
        sentences,
    )
    write_text(run.report, html)
    return run.report


def subject(material: Material) -> str:
    """Say what the page is about: a curriculum, or a model that is evaluated alone."""
    if material.selected:
        return "Test-time curriculum"
    return f"Evaluation of {material.base_name}"


# --------------------------------------------------------------------------- the headline


def opening(material: Material) -> list[str]:
    """Say what was found, how many runs were tried for it, and what the base model is."""
    run = material.run
    facts = base_facts(read_json(run.versions) if run.versions.exists() else {})
    attempts = filter(None, [tried(run.root, material.recipe.model_dump())])
    base = [f"base is {material.base_name}, before training."] if material.selected else []
    return [*headline(material.summary, material.base_name), *attempts, *base, *facts]


def headline(summary: Summary, base: str = "base") -> list[str]:
    """Say what the run found, in plain sentences; the first one is the news.

    `base` is what the base model is called where nothing else was evaluated.
    """
    target, part = summary.target, summary.benchmarks.get(summary.target)
    if part is None:
        return [f"Nothing was evaluated on {target} yet."]
    models, size = part.models, f"{part.tasks} tasks, {part.samples} samples each"
    if all(model.rates.undecided == 1 for model in models.values()):
        return [
            f"{target} could not be graded: no verdict on {size} says right or wrong. "
            "`ttc-rl corpus FILE --check` shows golds that cannot be read."
        ]
    if all(m.value == 0 for model in models.values() for m in model.metrics.values()):
        return [f"Nothing was solved: every model scored 0 on {target} ({size})."]
    metric, arms = part.avg_name, [arm for arm in models if arm != "base"]
    if "base" not in models or not arms:
        scores = {a: share(m.metrics[metric]) for a, m in models.items()}
        clauses = [f"{base if a == 'base' else a} scores {s} %" for a, s in scores.items()]
        return [f"{'; '.join(clauses)} in {metric} on {target} ({size})."]
    arm = "sift" if "sift" in arms else arms[0]
    sentences = [_change(arm, part, metric, target)]
    rivals = [
        f"{arm} - {o}" if f"{arm} - {o}" in part.differences else f"{o} - {arm}" for o in arms
    ]
    for pair in (pair for pair in rivals if pair in part.differences):
        sentences.append(_rival(pair, part.differences[pair][metric]))
    about = (
        "95 % intervals speak of new tasks and new samples"
        if part.tasks > 1
        else "one task has no interval"
    )
    return [*sentences, f"{size}; {about}. Another seed of training may differ by more."]


def _change(arm: str, part: BenchmarkSummary, metric: str, target: str) -> str:
    gain = part.differences[f"{arm} - base"][metric]
    before, after = (100 * part.models[model].metrics[metric].value for model in ("base", arm))
    verb = {"up": "raises", "down": "lowers"}.get(_direction(gain), "moves")
    sentence = f"TTC-RL ({arm}) {verb} {metric} on {target} from {before:.1f} % to {after:.1f} % "
    end = "." if _direction(gain) else ": the difference is not resolved."
    return f"{sentence}({points(gain)} points){end}"


def _rival(pair: str, difference: Estimate) -> str:
    arm, other = pair.split(" - ")
    if not _direction(difference):
        return f"{arm} and {other} cannot be told apart ({points(difference)} points)."
    better, worse = (arm, other) if difference.value > 0 else (other, arm)
    return f"{better} beats {worse}: {pair} is {points(difference)} points."


def _direction(estimate: Estimate) -> str:
    """Return `up` or `down` where the interval leaves 0 out; else nothing."""
    if estimate.lo is None or estimate.hi is None or estimate.lo <= 0 <= estimate.hi:
        return ""
    return "up" if estimate.value > 0 else "down"
