"""A comparison of runs as one offline page: who wins, how specific the gains are, what changed."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from ttc_eval.compare.comparison import Comparison, Matrix
from ttc_eval.compare.dose import curve
from ttc_eval.report import charts, page
from ttc_eval.report.compare_opening import (
    differing_table,
    headline_differences,
    opening,
)
from ttc_eval.report.tables import changed_tasks_tables, comparison_tables
from ttc_rl.run_dir import write_text


def write_comparison(comparison: Comparison, path: Path) -> None:
    targets = ", ".join(comparison.targets)
    lead, *sentences = opening(comparison)
    sections = [
        ("recipes", "How the recipes differ", _recipes(comparison)),
        ("differences", "Differences", _differences(comparison)),
        ("dose", "Dose and response", _doses(comparison)),
        ("matrix", "Does it raise its own target, or everything?", _matrices(comparison)),
        ("tables", "Every number", _tables(comparison)),
        ("tasks", "Tasks most changed", _changed(comparison)),
        ("runs", "Runs", _runs(comparison)),
    ]
    filled = [section for section in sections if section[2]]
    heading = f"Comparison of {len(comparison.runs)} runs: {targets}"
    write_text(path, page.page(f"comparison: {targets}", heading, lead, filled, sentences))


def _differences(comparison: Comparison) -> Markup:
    """Show the differences interval by interval: over all targets where there are several, else on
    the one."""
    cells, metric, where = headline_differences(comparison)
    rows = [(pair, page.css_class(pair.split(" - ")[0]), cell) for pair, cell in cells.items()]
    if not rows:
        return Markup()
    chart = charts.interval_chart(
        rows, title=f"differences in {metric}", x_label=f"difference in {metric}, points",
        width=charts.FULL,
    )  # fmt: skip
    return page.figure(chart, f"Paired differences in {metric}, {where}, with 95 % intervals.")


def _doses(comparison: Comparison) -> Markup:
    """Show the gain of each arm by the size of its curriculum, with the fitted curve."""
    if not comparison.doses:
        return Markup()
    series = [
        charts.Series(
            arm,
            page.css_class(arm),
            [(float(size), gain.value) for size, gain in dose.gains.items()],
            band=[
                (float(size), gain.lo, gain.hi)
                for size, gain in dose.gains.items()
                if gain.lo is not None and gain.hi is not None
            ],
        )
        for arm, dose in comparison.doses.items()
    ]
    series += [
        charts.Series(f"{arm}, fitted", page.css_class(arm), curve(dose), dashed=True)
        for arm, dose in comparison.doses.items()
    ]
    chart = charts.line_chart(
        series, title="gain by tasks trained on", x_label="tasks trained on",
        y_label="gain over base, points", y_tick=charts.percent_tick,
    )  # fmt: skip
    caption = "Gain over base in avg@n, intervals over seeds; dashed: A (1 - exp(-n / b))."
    return page.figure(chart, caption, page.legend(comparison.doses))


def _matrices(comparison: Comparison) -> Markup:
    return Markup().join(
        page.figure(
            charts.heat_chart(matrix.rows, matrix.columns, matrix.gain, f"{arm}: gain over base"),
            f"{arm}: gain over base in avg@n, points. Rows: trained for; columns: evaluated on; "
            f"framed: its own target.{_specific(matrix)}",
        )
        for arm, matrix in comparison.matrix.items()
    )


def _specific(matrix: Matrix) -> str:
    if matrix.diagonal_minus_rest is None:
        return ""
    return (
        f" Own targets minus the rest: {100 * matrix.diagonal_minus_rest:+.1f} points, "
        f"p = {matrix.p_value:.3g} over shuffled row labels."
    )


def _tables(comparison: Comparison) -> Markup:
    return Markup().join(page.number_table(table) for table in comparison_tables(comparison))


def _changed(comparison: Comparison) -> Markup:
    return Markup().join(
        page.details(table.title, page.text_table(table.columns, table.rows, ["task"]))
        for table in changed_tasks_tables(comparison)
    )


def _recipes(comparison: Comparison) -> Markup:
    tables = differing_table(comparison)
    if not tables and len(comparison.runs) > 1:
        return page.paragraph("In nothing that can change a result.")
    return Markup().join(page.text_table(t.columns, t.rows, ["value", "runs"]) for t in tables)


def _runs(comparison: Comparison) -> Markup:
    columns = ["folder", "base", "target", "seed", "variant"]
    rows = [[run.folder, run.model, run.target, run.seed, run.variant] for run in comparison.runs]
    return page.text_table(columns, rows, [])
