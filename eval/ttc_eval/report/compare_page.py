"""A comparison of runs as one offline page: who wins, how specific the gains are, what changed."""

from __future__ import annotations

from pathlib import Path

from ttc_eval.compare.comparison import Comparison, Matrix
from ttc_eval.report import charts, page
from ttc_eval.report.tables import changed_tasks_tables, comparison_tables
from ttc_rl.run_dir import write_text


def write_comparison(comparison: Comparison, path: Path) -> None:
    targets = ", ".join(comparison.targets)
    sections = {
        "differences": ("Differences", _differences(comparison)),
        "matrix": ("Does it raise its own target, or everything?", _matrices(comparison)),
        "tables": ("Every number", _tables(comparison)),
        "tasks": ("Tasks most changed", _changed(comparison)),
        "runs": ("Runs", _runs(comparison)),
    }
    shown = {name: section for name, section in sections.items() if section[1]}
    links = "".join(f'<a href="#{name}">{title}</a>' for name, (title, _) in shown.items())
    head = f'<h1>Comparison of {len(comparison.runs)} runs</h1><p class="lead">'
    body = f"{head}{page.text(targets)}</p><nav>{links}</nav>"
    body += "".join(page.section(name, *section) for name, section in shown.items())
    write_text(path, page.page(f"comparison: {targets}", body))


def _differences(comparison: Comparison) -> str:
    """Over all targets where there are several, else on the one target: interval by interval."""
    if comparison.overall:
        found, where = comparison.overall.differences, "mean over all targets"
    else:
        where, part = next(iter(comparison.targets.items()))
        found = part.benchmarks[where].differences if where in part.benchmarks else {}
    metric = next((m for cells in found.values() for m in cells if m.startswith("avg@")), None)
    rows = [
        (name, page.css_class(name.split(" - ")[0]), cell)
        for name, cells in found.items()
        if (cell := cells.get(metric or ""))
    ]
    if not rows or metric is None:
        return ""
    chart = charts.interval_chart(
        rows, title=f"differences in {metric}", x_label=f"difference in {metric}, points",
        width=charts.FULL,
    )  # fmt: skip
    return page.figure(chart, f"Paired differences in {metric}, {where}, with 95 % intervals.")


def _matrices(comparison: Comparison) -> str:
    return "".join(
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


def _tables(comparison: Comparison) -> str:
    return "".join(page.number_table(table) for table in comparison_tables(comparison))


def _changed(comparison: Comparison) -> str:
    return "".join(
        page.details(table.title, page.text_table(table.columns, table.rows, ["task"]))
        for table in changed_tasks_tables(comparison)
    )


def _runs(comparison: Comparison) -> str:
    columns = ["folder", "target", "seed", "variant"]
    rows = [[run.folder, run.target, run.seed, run.variant] for run in comparison.runs]
    return page.text_table(columns, rows, [])
