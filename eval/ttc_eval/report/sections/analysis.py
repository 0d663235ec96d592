"""What lies behind the gains, for the page: skill or format, diversity, voting, equal compute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ttc_eval.report import charts, page
from ttc_eval.report.tables import Table, percent, points, share

Json = Mapping[str, Any]


def analysis(summary: Json, target: str) -> str:
    """All analyses of the target, each under its own heading."""
    found = summary.get("analysis", {}).get(target)
    if not found:
        return page.paragraph("Needs an evaluation of the target.", "soft")
    if "refused" in found:
        return page.paragraph(found["refused"], "soft")
    parts = (
        _latent(found.get("latent", {})),
        _control(found.get("control", {})),
        _gap(found["verification_gap"]),
        _diversity(found["diversity"]),
        _compute(found["compute"]),
    )
    return "".join(parts)


def _latent(arms: Json) -> str:
    if not arms:
        return ""
    rows = [
        [
            arm,
            percent(one["readable"]["before"]),
            percent(one["readable"]["after"]),
            *(["refused", "refused"] if "refused" in one else map(points, _both(one))),
        ]
        for arm, one in arms.items()
    ]
    note = "; ".join(f"{arm}: {one['refused']}" for arm, one in arms.items() if "refused" in one)
    columns = ["arm", "readable before", "after", "gain in skill, at least", "at most"]
    told = (
        "If what could not be read would have been right no more often than the rest, the gain in "
        "skill lies between these bounds, in points with 95 % intervals over tasks."
    )
    table = Table("gain in skill, with the format taken out", columns, rows, note)
    return _part("Skill or format", told, page.number_table(table))


def _both(one: Json) -> tuple[Json, Json]:
    return one["lower"], one["upper"]


def _control(controls: Json) -> str:
    if not controls:
        return ""
    rows = [
        [f"{control} - base", points(one["gain"])]
        for control, one in controls.items()
        if "gain" in one
    ]
    rows += [
        [f"{arm} - {control}", points(gain)]
        for control, one in controls.items()
        for arm, gain in one["arms"].items()
    ]
    told = (
        "A control arm is rewarded for form alone, or for another task's answer, at equal budget."
    )
    table = Table("gain over the control, points", ["", "avg@n"], rows)
    return _part("Gain over the control arm", told, page.number_table(table))


def _gap(models: Json) -> str:
    kinds = [kind for kind in ("majority", "confidence") if all(kind in m for m in models.values())]
    rows = [
        [name, percent(one["plain"]), *(points(one[kind]["gap"]) for kind in kinds)]
        for name, one in models.items()
    ]
    poor = [name for name, one in models.items() if not one["majority_reward"]]
    note = f"do not use majority reward here: nothing to gain from {', '.join(poor)}"
    table = Table(
        "correctness, and what keeping the chosen answers adds, points",
        ["model", "all samples", *(f"after the {kind} filter" for kind in kinds)],
        rows,
        note if poor else "",
    )
    return _part(
        "Generation-verification gap",
        "A filter that finds better samples is what training by its own choice can learn from.",
        page.number_table(table),
    )


def _diversity(found: Json) -> str:
    rows = {**found["models"], **found["changes"]}
    if not rows:
        return ""
    measures = list(dict.fromkeys(name for columns in rows.values() for name in columns))
    body = [
        [name, *(_number(columns.get(m), m, name in found["changes"]) for m in measures)]
        for name, columns in rows.items()
    ]
    told = (
        "Different answers among k samples, entropy of the answers in bits, share of different "
        "texts, words two samples share, and what more samples add. Where answers get fewer and "
        "texts more alike, pass@1 was gained by narrowing."
    )
    table = Table("diversity of the samples of a task", ["", *measures], body)
    return _part("Diversity", told, page.number_table(table))


def _number(estimate: Json | None, measure: str, signed: bool) -> str:
    if estimate is None:
        return ""
    if measure.startswith("pass@"):
        return points(estimate) if signed else share(estimate)
    form = "{:+.2f}" if signed else "{:.2f}"
    value, lo, hi = (
        None if estimate[key] is None else form.format(estimate[key])
        for key in ("value", "lo", "hi")
    )
    return f"{value} [n/a]" if lo is None else f"{value} [{lo}, {hi}]"


def _compute(found: Json) -> str:
    if "refused" in found:
        return _part("Equal compute", f"Not told: {found['refused']}.", "")
    series = [_series("base", found["base"]["curve"])]
    sentences = []
    for arm, one in found["arms"].items():
        if "refused" in one:
            sentences.append(f"{arm}: {one['refused']}.")
            continue
        series.append(_series(arm, one["curve"]))
        sentences.append(_sentence(arm, one, found["base"]["curve"][-1]["k"]))
    chart = charts.line_chart(
        series,
        title="correctness by compute",
        x_label="FLOPs to answer every task once, training included",
        y_label="maj@k, %",
        y_tick=charts.percent_tick,
        x_ticks=_powers([x for one in series for x, _ in one.line]),
    )
    told = "maj@k for k = 1, 2, 4 and so on; the first point of a line is pass@1."
    shown = page.figure(page.legend([one.name for one in series]) + chart, told)
    return _part("Equal compute", " ".join(sentences), shown)


def _sentence(arm: str, one: Json, most: int) -> str:
    spent = f"{arm}: training cost {one['training_flops']:.2g} FLOPs"
    if one["selection_flops"]:
        spent += f" and selection {one['selection_flops']:.2g}"
    if one["equal_vote"] is None:
        return f"{spent}; the base model's vote over {most} samples does not reach its pass@1."
    vote = f"{spent}; the base model's vote over {one['equal_vote']} reaches its pass@1"
    if one["break_even_queries"] is None:
        return f"{vote}, at no more a query: training does not pay off."
    return f"{vote}, which costs more from {one['break_even_queries']:,} queries on."


def _series(name: str, curve: list[Json]) -> charts.Series:
    line = [(math.log10(point["flops"]), point["value"]) for point in curve]
    return charts.Series(name, page.css_class(name), line)


def _powers(xs: list[float]) -> list[tuple[float, str]]:
    low, high = math.ceil(min(xs)), math.floor(max(xs))
    return [(float(x), f"1e{x}") for x in range(low, high + 1)]


def _part(title: str, told: str, inside: str) -> str:
    return f"<h3>{page.text(title)}</h3>{page.paragraph(told, 'note') if told else ''}{inside}"
