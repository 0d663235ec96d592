"""Sections of the page: what was lost elsewhere, and whether the gain survives a change of task."""

from __future__ import annotations

from markupsafe import Markup

from ttc_eval.records import Retention
from ttc_eval.report import page
from ttc_eval.report.material import Material
from ttc_eval.report.tables import Table, points
from ttc_rl.metrics import Estimate


def retention(material: Material) -> Markup:
    """Show the change of every arm on benchmarks that share nothing with the target."""
    retention_of = material.summary.retention
    if not any(arm != "base" for arm in material.on_target):
        return Markup()
    if not retention_of:
        return page.paragraph(
            "No benchmark unlike the target was evaluated: what training cost elsewhere is not "
            "known. eval.retention names some.",
            "soft",
        )
    names = list(
        dict.fromkeys(name for retained in retention_of.values() for name in retained.benchmarks)
    )
    rows = [
        [arm, *(_change(retained.benchmarks.get(name)) for name in names)]
        for arm, retained in retention_of.items()
    ]
    table = Table("change against base elsewhere, avg@n, points", ["arm", *names], rows)
    return page.paragraph(
        " ".join(map(sentence, retention_of, retention_of.values()))
    ) + page.number_table(table)


def _change(cell: Estimate | None) -> str:
    return "" if cell is None else points(cell)


def sentence(arm: str, retained: Retention) -> str:
    """Say how the arm fared on the benchmark on which it fared worst."""
    worst = retained.benchmarks[retained.worst]
    span = f"{100 * worst.before:.1f} to {100 * worst.after:.1f} %"
    if worst.hi is not None and worst.hi < 0:
        return f"{arm} forgot: {retained.worst} fell from {span}."
    if worst.lo is not None and worst.lo > 0:
        return f"{arm} lost nothing: even {retained.worst} rose, from {span}."
    return f"{arm}: no loss is resolved; {retained.worst} went from {span}."


def changed(material: Material) -> Markup:
    """Show the gain on the target's tasks as they are and under each change."""
    rows = [
        [name, arm, points(gain.as_is), points(gain.changed), _ratio(gain.ratio)]
        for name, arms in material.summary.changed.items()
        for arm, gain in arms.items()
    ]
    if not rows:
        return Markup()
    columns = ["tasks", "arm", "gain as they are", "gain when changed", "carried over"]
    note = "carried over: the second gain as a share of the first, where the first differs from 0"
    table = Table(
        "gain over base in avg@n, points, on the tasks that can be changed", columns, rows
    )
    intro = "What was only memorised does not help on the same tasks in another form."
    return page.paragraph(intro) + page.number_table(table) + page.paragraph(note, "note")


def _ratio(estimate: Estimate | None) -> str:
    if estimate is None:
        return "n/a"
    return f"{estimate.value:.2f} [{estimate.lo:.2f}, {estimate.hi:.2f}]"
