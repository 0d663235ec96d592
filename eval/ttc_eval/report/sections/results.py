"""What every model scored: pictures for the target, a table for each benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from markupsafe import Markup

from ttc_eval.compare import curve_points
from ttc_eval.records import BenchmarkSummary
from ttc_eval.report import charts, page
from ttc_eval.report.material import Material
from ttc_eval.report.sections.verdicts import verdicts
from ttc_eval.report.tables import summary_tables
from ttc_rl.metrics import mean_interval, pass_at_k

NOTE = (
    "Undecided samples count as not correct. avg@n is the mean over all samples; pass@1 and maj@1 "
    "are the same number and left out."
)


def results(material: Material) -> Markup:
    """Show every model on every benchmark, the target first, and what others published."""
    if not material.results:
        return Markup()
    pictures = Markup()
    if part := material.target_summary:
        curve = _pass_curve(material)
        beside = charts.HEIGHT if curve else 0
        pictures = page.legend(material.on_target, material.shown_name) + page.pair(
            _averages(material, part, beside) + curve
        )
    own = _tables(material, lambda name: name in material.targets, every_k=False)
    whole = _tables(material, lambda name: name in material.targets)
    rest = _tables(material, lambda name: name not in material.targets, every_k=False)
    others = len(material.results.keys() - set(material.targets))
    more = page.details(f"{others} other benchmarks", rest) if rest else Markup()
    notes = page.paragraph(NOTE, "note") + _published(material)
    notes += verdicts(material)
    return pictures + own + notes + (page.details("every k", whole) if whole else Markup()) + more


def _published(material: Material) -> Markup:
    """Show what others printed for this benchmark, under other settings, with its source."""
    part = material.target_summary
    columns = ["published", "metric", "value", "source"]
    rows = [
        [entry.model, entry.metric, f"{100 * entry.value:.1f} %", entry.source]
        for entry in (part.published if part else [])
    ]
    return page.text_table(columns, rows, []) if rows else Markup()


def _tables(material: Material, belongs: Callable[[str], bool], *, every_k: bool = True) -> Markup:
    summary, base = material.summary, material.shown_name("base")
    benchmarks = {name: part for name, part in summary.benchmarks.items() if belongs(name)}
    tables = summary_tables(replace(summary, benchmarks=benchmarks), every_k=every_k, base=base)
    return Markup().join(page.number_table(table) for table in tables)


def _averages(material: Material, part: BenchmarkSummary, height: int) -> Markup:
    """Show each model's average; `height` is that of the chart beside it."""
    metric = part.avg_name
    rows = [
        (material.shown_name(model).replace(" (", "\n("), page.css_class(model), s.metrics[metric])
        for model, s in part.models.items()
    ]
    title, label = f"{metric} by model", f"{metric}, %"
    chart = charts.interval_chart(rows, title=title, x_label=label, height=height)
    return page.figure(chart, f"{metric} on {material.target} with 95 % intervals over tasks.")


def _pass_curve(material: Material) -> Markup:
    """Show pass@k at every power of two, from the counts of each task, with its interval as a
    band."""
    series: list[charts.Series] = []
    for arm, result in material.on_target.items():
        samples = result.numbers.samples
        counts = np.rint(result.avg * samples).astype(int).tolist()
        points = [
            (math.log2(k), mean_interval([pass_at_k(samples, count, k) for count in counts]))
            for k in curve_points(samples)
        ]
        line = [(x, estimate.value) for x, estimate in points]
        band = [(x, e.lo, e.hi) for x, e in points if e.lo is not None and e.hi is not None]
        name = material.shown_name(arm)
        series.append(charts.Series(name, page.css_class(arm), line, band=band))
    marks = [x for x, _ in series[0].line]
    if len(marks) < 2:
        return Markup()
    chart = charts.line_chart(
        series,
        title="pass@k by k",
        x_label="k",
        y_label="pass@k, %",
        y_tick=charts.percent_tick,
        x_ticks=[(x, f"{2**x:.0f}") for x in marks],
        width=charts.HALF,
    )
    note = "The chance that one of k samples is correct, with 95 % intervals."
    return page.figure(chart, note)
