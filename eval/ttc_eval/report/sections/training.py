"""What metrics.jsonl shows about training: reward, and the signs that it goes wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ttc_eval.compare.chosen import selection_effect
from ttc_eval.report import charts, page
from ttc_eval.report.material import Material
from ttc_rl.config import Recipe
from ttc_rl.metrics import mean_interval
from ttc_rl.run_dir import ArmDir, RunDir, read_json, read_jsonl
from ttc_rl.train.methods import method_of

SMALL = {
    "frac_reward_zero_std": ("groups without a difference", "share of groups"),
    "completions/mean_length": ("mean completion length", "tokens"),
    "completions/clipped_ratio": ("completions cut at the limit", "share"),
    "entropy": ("entropy", "nats a token"),
}
"""Column of metrics.jsonl -> (what it is called here, unit)."""


def training(material: Material) -> Markup:
    """Show the reward of all arms in one large chart, four signs of health in small ones."""
    run, recipe, arms = material.run, material.recipe, material.arms
    rows = {arm: list(read_jsonl(run.arm(arm, recipe).metrics, "step")) for arm in arms}
    signals = {arm: method_of(recipe.arm(arm)).signal for arm in arms}
    rewards = {arm: column(steps, signals[arm]) for arm, steps in rows.items()}
    if not any(rewards.values()):
        return Markup()
    trained = [arm for arm in arms if rewards[arm]]
    large = charts.line_chart(
        [_smoothed(arm, rewards[arm]) for arm in trained],
        title="reward by step",
        x_label="step",
        y_label="mean reward",
    )
    note = (
        "Mean reward of a step's completions (points) and its running mean (line). Each step has "
        "other tasks, so a rise may also be easier tasks."
    )
    small = Markup().join(
        _small(key, {arm: column(rows[arm], key) for arm in trained}) for key in SMALL
    )
    whose = list(dict.fromkeys(name.partition("/")[0] for name in trained))
    if whose != trained:
        note += " The experts of an arm have its colour."
    reward = page.figure(large, note, page.legend(whose))
    return _alarms(run, recipe, arms) + reward + _dev(run, recipe, trained) + page.pair(small)


def _alarms(run: RunDir, recipe: Recipe, arms: Sequence[str]) -> Markup:
    rows = [
        [arm, row["step"], row["alarm"], row["told"]]
        for arm in arms
        for row in read_jsonl(run.arm(arm, recipe).alarms, "step")
    ]
    return page.text_table(["arm", "step", "alarm", ""], rows, [""]) if rows else Markup()


def _dev(run: RunDir, recipe: Recipe, arms: Sequence[str]) -> Markup:
    """Show the score on the dev tasks by step; say so where those are the test's own."""
    config = recipe.train.dev
    rows = {arm: list(read_jsonl(run.arm(arm, recipe).dev, "step")) for arm in arms}
    if config is None or not any(rows.values()):
        return Markup()
    metric = f"avg@{config.samples}"
    series = [
        charts.Series(arm, page.css_class(arm), column(scores, metric), band=_band(scores))
        for arm, scores in rows.items()
        if scores
    ]
    chart = charts.line_chart(
        series,
        title=f"{metric} on the dev tasks by step",
        x_label="step",
        y_label=f"{metric}, %",
        y_tick=charts.percent_tick,
    )
    whose = "held out of the corpus" if config.source is None else "from a source of their own"
    note = f"{metric} while training, on dev tasks {whose}: neither trained on nor tested on."
    if config.source == "target":
        note = (
            f"{metric} while training, on the test's own tasks, whose golds were read for it. "
            "Whatever was chosen by looking at this chart was chosen on the test."
        )
    note += " Bands: 95 % over the dev tasks." if any(s.band for s in series) else ""
    kept = " ".join(filter(None, (_kept(run.arm(arm, recipe), arm, rows[arm]) for arm in arms)))
    return page.figure(chart, f"{note} {kept}".strip())


def _band(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float, float]]:
    """Return (step, lo, hi) of the mean over dev tasks; empty where one task says nothing."""
    found = [(float(row["step"]), mean_interval(row["shares"])) for row in rows if "shares" in row]
    return [(step, e.lo, e.hi) for step, e in found if e.lo is not None and e.hi is not None]


def _kept(arm: ArmDir, name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Say which step's model an arm left, and how much of its score is its having been chosen."""
    about = read_json(arm.training) if arm.training.exists() else {}
    kept, last = about.get("kept"), about.get("steps")
    if kept is None or kept == last:
        return ""
    shares_ET = np.array([row["shares"] for row in rows])
    chosen, fair = selection_effect(shares_ET)
    return (
        f"{name} is the model of step {kept} of {last}, the best of {len(rows)} evaluations: "
        f"{chosen:.1%} on the dev tasks. Being the best of several makes that too high; chosen on "
        f"some of the tasks it has {fair:.1%} on the others."
    )


def column(rows: Sequence[Mapping[str, Any]], key: str) -> list[charts.Point]:
    """Return (step, value) of every row that has a finite value."""
    values = [(row["step"], row.get(key)) for row in rows]
    return [
        (float(step), float(value))
        for step, value in values
        if isinstance(value, int | float) and math.isfinite(value)
    ]


def running_mean(points: Sequence[charts.Point]) -> list[charts.Point]:
    """Return the mean over a window of an eighth of the run around each point; shorter at both
    ends."""
    reach = len(points) // 16
    means: list[charts.Point] = []
    for i, (x, _) in enumerate(points):
        near = [y for _, y in points[max(0, i - reach) : i + reach + 1]]
        means.append((x, sum(near) / len(near)))
    return means


def _smoothed(arm: str, points: Sequence[charts.Point]) -> charts.Series:
    return charts.Series(arm, page.css_class(arm), running_mean(points), dots=points)


def _small(key: str, points: Mapping[str, Sequence[charts.Point]]) -> Markup:
    name, unit = SMALL[key]
    series = [_smoothed(arm, curve) for arm, curve in points.items() if curve]
    if not series:
        return Markup()
    return page.figure(
        charts.line_chart(
            series, title=name, x_label="step", y_label=unit, width=charts.HALF, height=190
        ),
        name,
    )
