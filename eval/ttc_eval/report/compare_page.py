"""A comparison of runs as one offline page: who wins, how specific the gains are, what changed."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from ttc_eval.compare.comparison import Comparison, Matrix
from ttc_eval.report import charts, page
from ttc_eval.report.tables import changed_tasks_tables, comparison_tables
from ttc_rl.run_dir import write_text


def write_comparison(comparison: Comparison, path: Path) -> None:
    targets = ", ".join(comparison.targets)
    sections = [
        ("differences", "Differences", _differences(comparison)),
        ("matrix", "Does it raise its own target, or everything?", _matrices(comparison)),
        ("tables", "Every number", _tables(comparison)),
        ("tasks", "Tasks most changed", _changed(comparison)),
        ("runs", "Runs", _runs(comparison)),
    ]
    filled = [section for section in sections if section[2]]
    heading = f"Comparison of {len(comparison.runs)} runs"
    write_text(path, page.page(f"comparison: {targets}", heading, targets, filled))


def _differences(comparison: Comparison) -> Markup:
    """Show the differences interval by interval: over all targets where there are several, else on
    the one."""
    if comparison.overall:
        differences, where = comparison.overall.differences, "mean over all targets"
    else:
        where, part = next(iter(comparison.targets.items()))
        differences = part.benchmarks[where].differences if where in part.benchmarks else {}
    metric = next(
        (m for cells in differences.values() for m in cells if m.startswith("avg@")), None
    )
    rows = [
        (name, page.css_class(name.split(" - ")[0]), cell)
        for name, cells in differences.items()
        if (cell := cells.get(metric or ""))
    ]
    if not rows or metric is None:
        return Markup()
    chart = charts.interval_chart(
        rows, title=f"differences in {metric}", x_label=f"difference in {metric}, points",
        width=charts.FULL,
    )  # fmt: skip
    return page.figure(chart, f"Paired differences in {metric}, {where}, with 95 % intervals.")


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


def _runs(comparison: Comparison) -> Markup:
    columns = ["folder", "target", "seed", "variant"]
    rows = [[run.folder, run.target, run.seed, run.variant] for run in comparison.runs]
    return page.text_table(columns, rows, [])
