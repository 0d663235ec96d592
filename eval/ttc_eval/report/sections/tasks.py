"""The target's tasks one by one: how often each is solved before and after."""

from __future__ import annotations

from markupsafe import Markup

from ttc_eval.compare.summary import Result
from ttc_eval.report import charts, page
from ttc_eval.report.material import Material


def tasks(material: Material) -> Markup:
    """Show each task of the target before and after, arm by arm."""
    models = material.on_target
    trained = [arm for arm in models if arm != "base"]
    if "base" not in models or not trained:
        return Markup()
    first = "sift" if "sift" in trained else trained[0]
    others = Markup().join(
        _task_changes(models["base"], models[arm], arm) for arm in trained if arm != first
    )
    return _task_changes(models["base"], models[first], first) + (
        page.details("The other arms", others) if others else Markup()
    )


def _task_changes(base: Result, arm: Result, name: str) -> Markup:
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
    note = (
        f"{up} tasks are solved more often than before, {down} less often, "
        f"{len(pairs) - up - down} as often; {new} for the first time, {lost} not any more."
    )
    return page.figure(page.legend(["base", name]) + chart, note)
