"""What was selected and why, and what was kept out because it is a target."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ttc_eval.compare.summary import Json
from ttc_eval.report import charts, page
from ttc_eval.report.addresses import FOLDER, curriculum_page
from ttc_eval.report.material import Material
from ttc_eval.report.templates import part
from ttc_rl.config import Recipe
from ttc_rl.run_dir import SELECT_ANEW, ArmDir, RunDir, check_vouched, read_json, read_jsonl
from ttc_rl.selection.explain import NEAR, in_short, near_picks, uncovered

SHOWN_PICKS, SHOWN_OVERLAPS = 50, 20


def curriculum(material: Material) -> Markup:
    """Show how sure each curriculum makes the selector, what it is made of, and its first picks."""
    folders = {arm: material.run.arm(arm, material.recipe) for arm in material.arms}
    selected = {arm: folder for arm, folder in folders.items() if folder.curriculum.exists()}
    if not selected:
        return Markup()
    for folder in selected.values():
        fix = SELECT_ANEW.format(folder.selection)
        check_vouched(folder.selection, fix, folder.curriculum, folder.contamination)
    curricula = {arm: list(read_jsonl(folder.curriculum)) for arm, folder in selected.items()}
    selections = {
        arm: read_json(folder.selection)
        for arm, folder in selected.items()
        if folder.selection.exists()
    }
    mixes = Markup().join(
        part("mix", title=arm, bars=_mix(rows, arm, material.recipe))
        for arm, rows in curricula.items()
    )
    picks = Markup().join(
        page.details(
            f"{arm}: the first {min(SHOWN_PICKS, len(rows))} of {len(rows)} picks",
            _picks(rows, selections.get(arm, {})),
        )
        for arm, rows in curricula.items()
    )
    explanations = Markup().join(
        page.paragraph(f"{arm}: {in_short(selection)}.")
        for arm, selection in selections.items()
        if "certificate" in selection
    )
    return (
        explanations
        + _variants(selections, curricula)
        + _repeats(selections)
        + _uncertainty(curricula, selections)
        + page.pair(_gains(curricula) + _covered(selections))
        + page.pair(mixes, "pair mixes")
        + Markup().join(_uncovered(arm, selection) for arm, selection in selections.items())
        + Markup().join(_near(arm, curricula[arm], selections[arm]) for arm in selections)
        + _pages(selections)
        + picks
    )


def _pages(arms: Iterable[str]) -> Markup:
    """Link to the pages of all picks and their targets."""
    return page.links(
        (FOLDER + curriculum_page(arm), f"{arm}: all picks and targets, from one to the other")
        for arm in arms
    )


def _repeats(selections: Mapping[str, Json]) -> Markup:
    """Show how the corpus lies around the targets, which is the same for every arm."""
    for selection in selections.values():
        if around := selection.get("duplication"):
            return page.paragraph(
                f"Of a target's {around['neighbours']} nearest tasks {around['share']:.0%} have a "
                "near-duplicate among them: the more do, the more SIFT has over nearest neighbours."
            )
    return Markup()


def _gains(curricula: Mapping[str, list[Json]]) -> Markup:
    """Show what each pick added, on a logarithmic axis, every pick's mean with its neighbours'."""
    series = []
    for arm, rows in curricula.items():
        width = max(1, len(rows) // 100)
        groups = [rows[i : i + width] for i in range(0, len(rows), width)]
        means = [
            (group[0]["rank"] + 1.0, sum(row["gain"] for row in group) / len(group))
            for group in groups
        ]
        line = [(rank, math.log10(gain)) for rank, gain in means if gain > 0]
        if line:
            series.append(charts.Series(arm, page.css_class(arm), line))
    if not series:
        return Markup()
    chart = charts.line_chart(
        series,
        title="gain of each pick",
        x_label="tasks picked",
        y_label="gain",
        y_tick=lambda value: f"{10**value:.1g}",
        width=charts.HALF,
    )
    return page.figure(chart, "What each pick took off the targets' variance (logarithmic).")


def _covered(selections: Mapping[str, Json]) -> Markup:
    """Show each target's remaining share of variance, worst first."""
    series: list[charts.Series] = []
    floor: list[float] = []
    for arm, selection in selections.items():
        uncertainties = [target.get("uncertainty") for target in selection.get("targets", [])]
        targets = [target for target in uncertainties if target and target["start"]]
        shares_left = sorted(
            (target["after"] / target["start"] for target in targets), reverse=True
        )
        if shares_left:
            series.append(charts.Series(arm, page.css_class(arm), _ranked(shares_left)))
            floor = sorted((t["floor"] / t["start"] for t in targets), reverse=True)
    if not series:
        return Markup()
    series.append(charts.Series("whole corpus", "soft", _ranked(floor), dashed=True))
    chart = charts.line_chart(
        series,
        title="variance left of each target",
        x_label="targets, worst first",
        y_label="left, %",
        y_tick=charts.percent_tick,
        width=charts.HALF,
    )
    return page.figure(chart, "What is left of each target. Dashed: with all of the corpus.")


def _ranked(values: Sequence[float]) -> list[tuple[float, float]]:
    step = max(1, len(values) // 300)
    return [(i + 1.0, value) for i, value in enumerate(values)][::step]


def _uncovered(arm: str, selection: Json) -> Markup:
    far = uncovered(selection)
    if not far:
        return Markup()
    table = page.text_table(["target"], ([target["prompt"]] for target in far[:50]), ["target"])
    return page.details(f"{arm}: {len(far)} targets that this corpus cannot teach", table)


def _near(arm: str, rows: Sequence[Json], selection: Json) -> Markup:
    targets = [target["prompt"] for target in selection.get("targets", [])]
    near = [row for row in near_picks(rows) if row["nearest_target"] < len(targets)]
    if not near:
        return Markup()
    table = page.text_table(
        ["cosine", "task", "source", "target"],
        (
            [
                f"{row['similarity']:.3f}",
                row["task"]["prompt"],
                row["task"].get("source", ""),
                targets[row["nearest_target"]],
            ]
            for row in near[:SHOWN_OVERLAPS]
        ),
        ["task", "target"],
    )
    return page.details(f"{arm}: {len(near):,} picks with a cosine of {NEAR} or more", table)


def _uncertainty(curricula: Mapping[str, list[Json]], selections: Mapping[str, Json]) -> Markup:
    series, floors = [], set[float]()
    for arm, rows in curricula.items():
        uncertainty = selections.get(arm, {}).get("uncertainty") or {}
        line = [(i + 1.0, row["uncertainty"]) for i, row in enumerate(rows)]
        start = [(0.0, uncertainty["start"])] if uncertainty.get("start") is not None else []
        line = start + line[:: max(1, len(line) // 300)] + line[-1:]
        series.append(charts.Series(arm, page.css_class(arm), line))
        floors |= {uncertainty["floor"]} if uncertainty.get("floor") is not None else set()
    right = max(x for curve in series for x, _ in curve.line)
    for value in floors:
        series.append(charts.Series("floor", "soft", [(0.0, value), (right, value)], dashed=True))
    chart = charts.line_chart(
        series, title="uncertainty", x_label="tasks picked", y_label="summed target variance"
    )
    note = "How uncertain the targets still are after each pick, by the selector's own measure."
    if floors:
        note += " Dashed: what the whole corpus would leave."
    return page.figure(chart, note, page.legend(curricula))


def _mix(rows: Sequence[Json], arm: str, recipe: Recipe) -> Markup:
    """Show bars by source, and by whatever else the tasks carry: family, subject, level."""
    keys = dict.fromkeys([recipe.selection.group_by, "family", "subject", "level"])
    groups = [Counter(row["task"].get("source") or "unnamed" for row in rows)]
    for key in keys:
        values = [row["task"].get("meta", {}).get(key) for row in rows]
        if sum(value is not None for value in values) > len(rows) / 2:
            groups.append(Counter(f"{key} {value}" for value in values))
    splits = {tuple(sorted(group.values())): group for group in groups if len(group) > 1}
    groups_shown = list(splits.values()) or groups[:1]  # two names for one split are shown once
    return Markup().join(page.mix_bars(group, page.css_class(arm)) for group in groups_shown[:3])


def _picks(rows: Sequence[Json], selection: Mapping[str, Any]) -> Markup:
    targets = [target["prompt"] for target in selection.get("targets", [])]
    columns = ["rank", "task", "source", "nearest target", "similarity", "gain"]

    def cells(row: Json) -> list[Any]:
        task, nearest = row["task"], row["nearest_target"]
        meta = task.get("meta", {})
        details = [f"{key} {meta[key]}" for key in ("subject", "level") if key in meta]
        return [
            row["rank"] + 1,
            task["prompt"],
            ", ".join([task.get("source", ""), *details]),
            targets[nearest] if 0 <= nearest < len(targets) else "",
            f"{row['similarity']:.3f}",
            f"{row['gain']:.4g}",
        ]

    wide = ("task", "nearest target")
    return page.text_table(columns, (cells(row) for row in rows[:SHOWN_PICKS]), wide)


def overlap(material: Material) -> Markup:
    """Show what was removed because it is a target, and how near the chosen tasks come to one."""
    run = material.run
    path = run.overlap.with_suffix(".json")
    if not path.exists():
        return Markup()
    report = read_json(path)
    checked = (
        f"checked {report['corpus_tasks']:,} corpus tasks against {report['targets']:,} targets"
    )
    if report.get("remaining_overlap", 0):
        remain = f"{report['remaining_overlap']:,} tasks that overlap with a target remain"
        first = f"Careful: {remain} ({checked})."
    else:
        first = f"The corpus holds no target task: {checked}."
    rules = ", ".join(f"{count:,} by {rule}" for rule, count in report.get("by_rule", {}).items())
    second = f"{report['removed']:,} corpus tasks were removed before selection" + (
        f": {rules}." if rules else "."
    )
    rule = (
        f"exact: the same text after normalisation. ngram: shared {report.get('ngram')}-grams "
        f"cover at least {report.get('coverage')} of the target's. {_near_rules(report)}"
    )
    return (
        page.paragraph(first)
        + page.paragraph(second)
        + page.paragraph(rule, "note")
        + _removed(run)
        + Markup().join(_certificate(run.arm(arm, material.recipe), arm) for arm in material.arms)
    )


def _variants(selections: Mapping[str, Json], curricula: Mapping[str, Sequence[Json]]) -> Markup:
    """Say where tasks were written by the model, and who said what is right."""
    lines = Markup()
    for arm, selection in selections.items():
        if selection.get("variants") is None:
            continue
        picked = sum("variant_of" in row["task"]["meta"] for row in curricula[arm])
        lines += page.paragraph(
            f"{arm}: {selection['variants']} variants of the targets, written by the base model, "
            f"stood beside the corpus; {picked} of {len(curricula[arm])} picks are such. Their "
            "golds are votes of the model's own answers: nobody has checked them.",
            "note",
        )
    return lines


def _near_rules(report: Json) -> str:
    """Name the rules that compare more than equal words, where they were on."""
    rules = []
    if report.get("fuzzy") is not None:
        rules.append(f"fuzzy: at least {report['fuzzy']} of the shorter text is in the longer.")
    if report.get("cosine") is not None:
        rules.append(f"cosine: embeddings with a cosine of at least {report['cosine']}.")
    else:
        rules.append("A reworded problem is not detected.")
    repeats = report.get("duplicates", {}).get("removed", 0)
    return " ".join(rules) + (f" {repeats:,} near-copies of other tasks went too." * bool(repeats))


def _certificate(folder: ArmDir, arm: str) -> Markup:
    """Show, for each target, the nearest chosen task after selection, by four measures."""
    if not folder.contamination.exists() or not folder.selection.exists():
        return Markup()
    contamination = read_json(folder.selection)["contamination"]
    measures = contamination["measures"]
    columns = ["measure", "greatest", "median", "threshold", "targets among themselves",
               "worth a look", "equal answer"]  # fmt: skip
    keys = ("max", "median", "threshold", "siblings", "targets_above", "same_answer")
    table = page.text_table(
        columns,
        (
            [name, *(f"{measure.get(key, 0):.3g}" for key in keys)]
            for name, measure in measures.items()
        ),
        [],
    )
    rows = sorted(
        read_jsonl(folder.contamination),
        key=lambda row: (-len(row["above"]), -row["span"]["value"]),
    )
    nearest = page.text_table(
        ["target", *measures, "longest common text", "above"],
        (
            [
                row["prompt"],
                *(f"{row[name]['value']:.3g}" for name in measures),
                row["span"]["text"],
                ", ".join(row["above"]),
            ]
            for row in rows[:SHOWN_OVERLAPS]
        ),
        ["target", "longest common text"],
    )
    pairs, above = contamination["pairs_compared"], contamination["targets_above_any"]
    title = (
        f"{arm}: certificate; all {pairs:,} pairs of chosen tasks and targets compared, "
        f"{above:,} of {contamination['targets']:,} targets worth a look"
    )
    return page.details(title, table + nearest)


def _removed(run: RunDir) -> Markup:
    by = run.overlap.with_suffix(".json")
    check_vouched(by, f"delete it and {by}: the report goes without", run.overlap)
    rows = list(read_jsonl(run.overlap))
    if not rows:
        return Markup()
    hit = Counter(row["target_prompt"] for row in rows)
    by_target = page.text_table(
        ["removed", "target"], ([n, p] for p, n in hit.most_common(10)), ["target"]
    )
    examples = page.text_table(
        ["rule", "detail", "corpus task", "target"],
        ([r["rule"], r["detail"], r["prompt"], r["target_prompt"]] for r in rows[:SHOWN_OVERLAPS]),
        ["corpus task", "target"],
    )
    return page.details(f"{len(hit)} targets had a task removed", by_target) + page.details(
        f"{min(len(rows), SHOWN_OVERLAPS)} of the {len(rows):,} removed tasks", examples
    )
