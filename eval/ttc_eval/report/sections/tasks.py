"""The target's tasks one by one: how often each is solved before and after."""

from __future__ import annotations

from markupsafe import Markup

from ttc_eval.report import charts, page
from ttc_eval.report.addresses import FOLDER, TASKS, task_page
from ttc_eval.report.material import Material


def tasks(material: Material) -> Markup:
    """Show each task of the target before and after, arm by arm."""
    models = material.on_target
    trained = [arm for arm in models if arm != "base"]
    if "base" not in models or not trained:
        return Markup()
    first = "sift" if "sift" in trained else trained[0]
    others = Markup().join(_task_changes(material, arm) for arm in trained if arm != first)
    return (
        _task_changes(material, first)
        + page.links(
            [(FOLDER + TASKS, "All tasks: what every model wrote, with search and filters")]
        )
        + (page.details("The other arms", others) if others else Markup())
    )


def _task_changes(material: Material, name: str) -> Markup:
    base, arm = material.on_target["base"], material.on_target[name]
    pairs = list(zip(base.avg.tolist(), arm.avg.tolist(), strict=True))
    changes = [
        charts.Change(row["prompt"][:120], before, after, FOLDER + task_page(number))
        for number, (row, (before, after)) in enumerate(zip(base.tasks, pairs, strict=True), 1)
    ]
    up, down = sum(b < a for b, a in pairs), sum(b > a for b, a in pairs)
    new = sum(b == 0 < a for b, a in pairs)
    lost = sum(a == 0 < b for b, a in pairs)
    chart = charts.change_chart(
        changes,
        title=f"base and {name} by task",
        y_label="solved, %",
        css=("base", page.css_class(name)),
    )
    note = (
        f"{up} tasks are solved more often than before, {down} less often, "
        f"{len(pairs) - up - down} as often; {new} for the first time, {lost} not any more."
    )
    return page.figure(chart, note, page.legend(["base", name], material.shown_name))
