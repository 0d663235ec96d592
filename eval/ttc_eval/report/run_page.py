"""report.html: one file that tells what a run asked, did and found. No network, no other file.

Everything is read from the run folder. A stage that has not run leaves a sentence, not a hole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttc_eval.compare import curve_points
from ttc_eval.compare.summary import Json, Result, in_order, load_results, summary_of
from ttc_eval.harness.results import avg_name
from ttc_eval.report import charts, page
from ttc_eval.report.base_model import base_facts
from ttc_eval.report.sections.analysis import analysis
from ttc_eval.report.sections.carried import changed, retention
from ttc_eval.report.sections.completions import completions
from ttc_eval.report.sections.curriculum import curriculum, overlap
from ttc_eval.report.sections.experts import experts
from ttc_eval.report.sections.plan import audit
from ttc_eval.report.sections.training import training
from ttc_eval.report.sections.verdicts import verdicts
from ttc_eval.report.tables import points, share, summary_tables
from ttc_rl.config import Recipe
from ttc_rl.corpus.benchmarks import target_name, target_names
from ttc_rl.metrics import mean_interval, pass_at_k
from ttc_rl.run_dir import RunDir, check_recorded, read_json, write_text
from ttc_rl.system.tried import tried

NOTE = (
    "Undecided samples count as not correct. avg@n is the mean over all samples; pass@1 and maj@1 "
    "are the same number and left out."
)


@dataclass(frozen=True)
class Material:
    """A run folder, read once."""

    run: RunDir
    recipe: Recipe
    target: str
    results: Mapping[str, Mapping[str, Result]]
    summary: Json

    @property
    def arms(self) -> list[str]:
        """What was trained by itself; an arm of several experts is each of them."""
        return in_order(self.run.parts(self.recipe))

    @property
    def targets(self) -> list[str]:
        return target_names(self.recipe)

    @property
    def on_target(self) -> Mapping[str, Result]:
        return self.results.get(self.target, {})


def read_material(run: RunDir, recipe: Recipe) -> Material:
    results = load_results(run)
    return Material(run, recipe, target_name(recipe), results, summary_of(run, recipe, results))


def write_page(material: Material) -> Path:
    run, recipe, target = material.run, material.recipe, material.target
    for arm in material.arms:
        check_recorded(run.arm(arm, recipe))
    sections = {
        "results": ("Results", results_section(material)),
        "tasks": ("Task by task", tasks_section(material)),
        "analysis": ("Behind the numbers", analysis(material.summary, target)),
        "changed": ("The same tasks, changed", changed(material.summary)),
        "retention": ("What it cost elsewhere", retention(material.summary)),
        "training": ("Training", training(run, recipe, material.arms)),
        "plan": ("Plan and outcome", audit(run, recipe, material.arms)),
        "experts": ("Experts", experts(run, recipe)),
        "curriculum": ("Curriculum", curriculum(run, recipe, material.arms)),
        "overlap": ("Overlap with the target", overlap(run, recipe, material.arms)),
        "completions": ("Completions", completions(run, target, material.on_target)),
        "made": ("How this was made", made_section(run)),
    }
    sections = {name: section for name, section in sections.items() if section[1]}
    links = "".join(f'<a href="#{name}">{title}</a>' for name, (title, _) in sections.items())
    body = head(material) + f"<nav>{links}</nav>"
    body += "".join(page.section(name, title, inside) for name, (title, inside) in sections.items())
    write_text(run.report, page.page(f"{target}: test-time curriculum", body))
    return run.report


# --------------------------------------------------------------------------- the headline


def head(material: Material) -> str:
    first, *others = headline(material.summary)
    lead = f'<p class="lead">{page.text(first)}</p>'
    run = material.run
    others += list(filter(None, [tried(run.root, material.recipe)]))
    others += base_facts(read_json(run.versions) if run.versions.exists() else {})
    return (
        f"<h1>Test-time curriculum for {page.text(' and '.join(material.targets))}: "
        f"{page.text(material.run.root.name)}</h1>{lead}"
        + "".join(page.paragraph(sentence) for sentence in others)
    )


def headline(summary: Mapping[str, Any]) -> list[str]:
    """What the run found, in plain sentences; the first one is the news."""
    target, part = summary["target"], summary["benchmarks"].get(summary["target"])
    if part is None:
        return [f"Nothing was evaluated on {target} yet."]
    models, size = part["models"], f"{part['tasks']} tasks, {part['samples']} samples each"
    if all(model["rates"]["undecided"] == 1 for model in models.values()):
        return [
            f"{target} could not be graded: no verdict on {size} says right or wrong. "
            "`ttc-rl corpus FILE --check` shows golds that cannot be read."
        ]
    if all(m["value"] == 0 for model in models.values() for m in model["metrics"].values()):
        return [f"Nothing was solved: every model scored 0 on {target} ({size})."]
    metric, arms = avg_name(part), [arm for arm in models if arm != "base"]
    if "base" not in models or not arms:
        told = [f"{a} scores {share(m['metrics'][metric])} %" for a, m in models.items()]
        return [f"{'; '.join(told)} in {metric} on {target} ({size})."]
    arm = "sift" if "sift" in arms else arms[0]
    sentences = [_change(arm, part, metric, target)]
    rivals = [
        f"{arm} - {o}" if f"{arm} - {o}" in part["differences"] else f"{o} - {arm}" for o in arms
    ]
    for pair in (pair for pair in rivals if pair in part["differences"]):
        sentences.append(_rival(pair, part["differences"][pair][metric]))
    about = (
        "95 % intervals speak of new tasks and new samples"
        if part["tasks"] > 1
        else "one task has no interval"
    )
    return [*sentences, f"{size}; {about}. Another seed of training may differ by more."]


def _change(arm: str, part: Mapping[str, Any], metric: str, target: str) -> str:
    gain = part["differences"][f"{arm} - base"][metric]
    before, after = (100 * part["models"][m]["metrics"][metric]["value"] for m in ("base", arm))
    verb = {"up": "raises", "down": "lowers"}.get(_direction(gain), "moves")
    sentence = f"TTC-RL ({arm}) {verb} {metric} on {target} from {before:.1f} % to {after:.1f} % "
    end = "." if _direction(gain) else ": the difference is not resolved."
    return f"{sentence}({points(gain)} points){end}"


def _rival(pair: str, difference: Mapping[str, Any]) -> str:
    arm, other = pair.split(" - ")
    if not _direction(difference):
        return f"{arm} and {other} are not told apart ({points(difference)} points)."
    better, worse = (arm, other) if difference["value"] > 0 else (other, arm)
    return f"{better} beats {worse}: {pair} is {points(difference)} points."


def _direction(estimate: Mapping[str, Any]) -> str:
    """`up` or `down` where the interval leaves 0 out; empty where it does not, or there is none."""
    if estimate["lo"] is None or estimate["lo"] <= 0 <= estimate["hi"]:
        return ""
    return "up" if estimate["value"] > 0 else "down"


# --------------------------------------------------------------------------- results


def results_section(material: Material) -> str:
    if not material.results:
        return page.paragraph("No model was evaluated in this run folder yet.", "soft")
    pictures = ""
    if material.on_target:
        pictures = f'<div class="pair">{_averages(material)}{_pass_curve(material)}</div>'
    own = _tables(material.summary, lambda name: name in material.targets, every_k=False)
    whole = _tables(material.summary, lambda name: name in material.targets)
    rest = _tables(material.summary, lambda name: name not in material.targets, every_k=False)
    others = len(material.results.keys() - set(material.targets))
    more = page.details(f"{others} other benchmarks", rest) if rest else ""
    told = page.paragraph(NOTE, "note") + _published(material)
    told += verdicts(material.run, material.recipe, material.results)
    return pictures + own + told + (page.details("every k", whole) if whole else "") + more


def _published(material: Material) -> str:
    """What others printed for this benchmark, with its source; another setting, so only beside."""
    entries = material.summary["benchmarks"].get(material.target, {}).get("published", [])
    columns = ["published", "metric", "value", "source"]
    rows = [[e["model"], e["metric"], f"{100 * e['value']:.1f} %", e["source"]] for e in entries]
    return page.text_table(columns, rows, []) if rows else ""


def _tables(summary: Json, wanted: Callable[[str], bool], *, every_k: bool = True) -> str:
    benchmarks = {name: part for name, part in summary["benchmarks"].items() if wanted(name)}
    tables = summary_tables({**summary, "benchmarks": benchmarks}, every_k=every_k)
    return "".join(page.number_table(table) for table in tables)


def _averages(material: Material) -> str:
    part = material.summary["benchmarks"][material.target]
    metric = avg_name(part)
    rows = []
    for arm, model in part["models"].items():
        found = model["metrics"][metric]
        rows.append((arm, page.css_class(arm), found["value"], found["lo"], found["hi"]))
    chart = charts.interval_chart(rows, title=f"{metric} by model", x_label=f"{metric}, %")
    return page.figure(chart, f"{metric} on {material.target} with 95 % intervals over tasks.")


def _pass_curve(material: Material) -> str:
    """pass@k at every power of two, from the counts of each task, with its interval as a band."""
    series: list[charts.Series] = []
    for arm, result in material.on_target.items():
        samples = result.summary["samples"]
        counts = np.rint(result.avg * samples).astype(int).tolist()
        found = [
            (math.log2(k), mean_interval([pass_at_k(samples, count, k) for count in counts]))
            for k in curve_points(samples)
        ]
        line = [(x, estimate.value) for x, estimate in found]
        band = [(x, e.lo, e.hi) for x, e in found if e.lo is not None and e.hi is not None]
        series.append(charts.Series(arm, page.css_class(arm), line, band=band))
    marks = [x for x, _ in series[0].line]
    if len(marks) < 2:
        return ""
    chart = charts.line_chart(
        series,
        title="pass@k by k",
        x_label="k",
        y_label="pass@k, %",
        y_tick=charts.percent_tick,
        x_ticks=[(x, f"{2**x:.0f}") for x in marks],
        width=charts.HALF,
    )
    told = "The chance that one of k samples is correct, with 95 % intervals."
    return page.figure(page.legend(material.on_target) + chart, told)


def tasks_section(material: Material) -> str:
    models = material.on_target
    trained = [arm for arm in models if arm != "base"]
    if "base" not in models or not trained:
        return page.paragraph(
            "Needs the base model and a trained one, evaluated on the target.", "soft"
        )
    first = "sift" if "sift" in trained else trained[0]
    others = "".join(
        _task_changes(models["base"], models[arm], arm) for arm in trained if arm != first
    )
    return _task_changes(models["base"], models[first], first) + (
        page.details("The other arms", others) if others else ""
    )


def _task_changes(base: Result, arm: Result, name: str) -> str:
    prompts = [row["prompt"][:120] for row in base.tasks]
    pairs = list(zip(prompts, base.avg.tolist(), arm.avg.tolist(), strict=True))
    up, down = sum(b < a for _, b, a in pairs), sum(b > a for _, b, a in pairs)
    new = sum(b == 0 < a for _, b, a in pairs)
    lost = sum(a == 0 < b for _, b, a in pairs)
    chart = charts.change_chart(
        pairs,
        title=f"base and {name} by task",
        y_label="solved, %",
        css=("base", page.css_class(name)),
    )
    told = (
        f"{up} tasks are solved more often than before, {down} less often, "
        f"{len(pairs) - up - down} as often; {new} for the first time, {lost} not any more."
    )
    return page.figure(page.legend(["base", name]) + chart, told)


def made_section(run: RunDir) -> str:
    recipe = page.details("recipe.yaml", f"<pre>{page.text(run.recipe.read_text())}</pre>")
    if not run.versions.exists():
        return recipe
    versions = json.dumps(read_json(run.versions), indent=2, ensure_ascii=False)
    return recipe + page.details("versions.json", f"<pre>{page.text(versions)}</pre>")
