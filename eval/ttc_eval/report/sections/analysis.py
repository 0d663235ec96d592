"""What lies behind the gains, for the page: skill or format, diversity, voting, equal compute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from ttc_eval.records import (
    ArmCompute,
    Compute,
    Control,
    Diversity,
    Latent,
    Point,
    Refused,
    VerificationGap,
)
from ttc_eval.report import charts, page
from ttc_eval.report.material import Material
from ttc_eval.report.tables import Table, percent, points, share
from ttc_rl.metrics import Estimate


def analysis(material: Material) -> Markup:
    """Show all analyses of the target, each under its own heading."""
    whole = material.summary.analysis.get(material.target)
    if whole is None:
        return Markup()
    if isinstance(whole, Refused):
        return page.paragraph(whole.refused, "soft")
    parts = (
        _latent(whole.latent or {}),
        _control(whole.control or {}),
        _gap(whole.verification_gap),
        _diversity(whole.diversity),
        _compute(whole.compute, material) if whole.compute else Markup(),
    )
    return Markup().join(parts)


def _latent(arms: Mapping[str, Latent]) -> Markup:
    if not arms:
        return Markup()
    rows = [
        [
            arm,
            percent(latent.readable.before),
            percent(latent.readable.after),
            *(points(b) if b else "refused" for b in (latent.lower, latent.upper)),
        ]
        for arm, latent in arms.items()
    ]
    note = "; ".join(f"{arm}: {latent.refused}" for arm, latent in arms.items() if latent.refused)
    columns = ["arm", "readable before", "after", "gain in skill, at least", "at most"]
    sentence = (
        "If what could not be read would have been right no more often than the rest, the gain in "
        "skill lies between these bounds, in points with 95 % intervals over tasks."
    )
    table = Table("gain in skill, with the format taken out", columns, rows, note)
    return page.subsection("Skill or format", sentence, page.number_table(table))


def _control(controls: Mapping[str, Control]) -> Markup:
    if not controls:
        return Markup()
    rows = [
        [f"{name} - base", points(control.gain)]
        for name, control in controls.items()
        if control.gain
    ]
    rows += [
        [f"{arm} - {name}", points(gain)]
        for name, control in controls.items()
        for arm, gain in control.arms.items()
    ]
    note = (
        "A control arm is rewarded for form alone, or for another task's answer, at equal budget."
    )
    table = Table("gain over the control, points", ["", "avg@n"], rows)
    return page.subsection("Gain over the control arm", note, page.number_table(table))


def _gap(models: Mapping[str, VerificationGap]) -> Markup:
    kinds = ["majority"]
    if all(gap.confidence for gap in models.values()):
        kinds.append("confidence")
    filtered = {name: (gap.majority, gap.confidence)[: len(kinds)] for name, gap in models.items()}
    rows = [
        [
            name,
            percent(models[name].plain),
            *(points(filtered_by.gap) for filtered_by in both if filtered_by),
        ]
        for name, both in filtered.items()
    ]
    poor = [name for name, gap in models.items() if not gap.majority_reward]
    note = f"do not use majority reward here: nothing to gain from {', '.join(poor)}"
    table = Table(
        "correctness, and what keeping the chosen answers adds, points",
        ["model", "all samples", *(f"after the {kind} filter" for kind in kinds)],
        rows,
        note if poor else "",
    )
    return page.subsection(
        "Generation-verification gap",
        "A filter that finds better samples is what training by its own choice can learn from.",
        page.number_table(table),
    )


def _diversity(diversity: Diversity) -> Markup:
    rows = {**diversity.models, **diversity.changes}
    if not rows:
        return Markup()
    measures = list(dict.fromkeys(name for columns in rows.values() for name in columns))
    body = [
        [name, *(_number(columns.get(m), m, name in diversity.changes) for m in measures)]
        for name, columns in rows.items()
    ]
    note = (
        "Different answers among k samples, entropy of the answers in bits, share of different "
        "texts, words two samples share, and what more samples add. Where answers get fewer and "
        "texts more alike, pass@1 was gained by narrowing."
    )
    table = Table("diversity of the samples of a task", ["", *measures], body)
    return page.subsection("Diversity", note, page.number_table(table))


def _number(estimate: Estimate | None, measure: str, signed: bool) -> str:
    if estimate is None:
        return ""
    if measure.startswith("pass@"):
        return points(estimate) if signed else share(estimate)
    form = "{:+.2f}" if signed else "{:.2f}"
    value, lo, hi = (
        None if number is None else form.format(number)
        for number in (estimate.value, estimate.lo, estimate.hi)
    )
    return f"{value} [n/a]" if lo is None else f"{value} [{lo}, {hi}]"


def _compute(compute: Compute | Refused, material: Material) -> Markup:
    if isinstance(compute, Refused):
        return page.subsection("Equal compute", f"Not shown: {compute.refused}.", Markup())
    series = [_series("base", compute.base.curve)]
    sentences = []
    for arm, spent in compute.arms.items():
        if isinstance(spent, Refused):
            sentences.append(f"{arm}: {spent.refused}.")
            continue
        series.append(_series(arm, spent.curve))
        sentences.append(_sentence(arm, spent, compute.base.curve[-1].k))
    chart = charts.line_chart(
        series,
        title="correctness by compute",
        x_label="FLOPs to answer every task once, training included",
        y_label="maj@k, %",
        y_tick=charts.percent_tick,
        x_ticks=_powers([x for curve in series for x, _ in curve.line]),
    )
    note = "maj@k for k = 1, 2, 4 and so on; the first point of a line is pass@1."
    names = [curve.name for curve in series]
    figure = page.figure(chart, note, page.legend(names, material.shown_name))
    return page.subsection("Equal compute", " ".join(sentences), figure)


def _sentence(arm: str, compute: ArmCompute, most: int) -> str:
    spent = f"{arm}: training cost {compute.training_flops:.2g} FLOPs"
    if compute.selection_flops:
        spent += f" and selection {compute.selection_flops:.2g}"
    if compute.equal_vote is None:
        return f"{spent}; the base model's vote over {most} samples does not reach its pass@1."
    vote = f"{spent}; the base model's vote over {compute.equal_vote} reaches its pass@1"
    if compute.break_even_queries is None:
        return f"{vote}, at no more a query: training does not pay off."
    return f"{vote}, which costs more from {compute.break_even_queries:,} queries on."


def _series(name: str, curve: Sequence[Point]) -> charts.Series:
    line = [(math.log10(point.flops), point.value) for point in curve]
    return charts.Series(name, page.css_class(name), line)


def _powers(xs: list[float]) -> list[tuple[float, str]]:
    low, high = math.ceil(min(xs)), math.floor(max(xs))
    return [(float(x), f"1e{x}") for x in range(low, high + 1)]
