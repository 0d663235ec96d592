"""The plan beside what happened: steps, rollouts, tokens, seconds, peak memory."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from ttc_eval.harness.results import resolve_sampling
from ttc_eval.report import page
from ttc_eval.report.material import Material
from ttc_rl.config import Recipe, SamplingConfig
from ttc_rl.corpus.benchmark_config import is_benchmark, load_config
from ttc_rl.corpus.benchmarks import resolve_targets
from ttc_rl.launch.budget import shape_of
from ttc_rl.launch.budget.calibration import calibrated
from ttc_rl.metrics import assumed_spread
from ttc_rl.run_dir import RunDir, read_jsonl, read_rollouts
from ttc_rl.schema import UserError
from ttc_rl.train.curriculum import steps_and_padding

Row = tuple[str, str, str]


def target_size(recipe: Recipe) -> int | None:
    """Return the number of tasks of the recipe's target where a benchmark's YAML says it. Reads no
    task."""
    sizes = [
        load_config(target).size if isinstance(target, str) and is_benchmark(target) else None
        for target in recipe.targets
    ]
    known_sizes = [size for size in sizes if size is not None]
    return sum(known_sizes) if len(known_sizes) == len(sizes) else None


def foreseen(recipe: Recipe) -> str:
    """Say in a sentence what the coming comparison can resolve, before anything is drawn.

    Assumes 40 % right with a standard deviation of 30 points over tasks, and gains that differ by
    15 points between tasks. Targets of the hub are not read.
    """
    unread = [t for t in recipe.targets if not isinstance(t, str) and t.hub]
    try:
        tasks = target_size(recipe) or (
            None
            if unread
            else sum(len(target.tasks) for target in resolve_targets(recipe.target_sources))
        )
    except UserError:
        tasks = None
    if tasks is None:
        return "evaluation: the number of target tasks is not known yet"
    samples = recipe.eval.samples or _default_samples(recipe)
    what = f"evaluation: {tasks:,} target tasks x {samples} samples"
    if tasks < 2:
        return f"{what}: one task says nothing of others"
    resolvable = assumed_spread(0.4, 0.3, 0.15).resolvable(tasks, samples)
    if resolvable >= 1:
        return f"{what}: too few to tell any two models apart (80 % power)"
    return (
        f"{what} can resolve about {100 * resolvable:.0f} points in avg@{samples} for one seed "
        "(80 % power; assumed: 40 % right, spread 30 points, gains' spread 15)"
    )


def _default_samples(recipe: Recipe) -> int:
    first = recipe.targets[0]
    own = SamplingConfig()
    if isinstance(first, str) and is_benchmark(first):
        own = load_config(first).sampling
    return resolve_sampling(recipe.eval, own).samples


def measured_rows(recipe: Recipe) -> list[str]:
    """Say of each arm what it takes on this machine, where that was measured."""
    lines: list[str] = []
    for name in recipe.arm_names:
        arm = recipe.arm(name)
        if arm.policy.trains and (measured := calibrated(arm)):
            steps = steps_and_padding(arm.train, arm.selection.size)[0]
            tokens = "" if measured.tokens is None else f" of {measured.tokens:,.0f} tokens"
            peak = "" if measured.peak_gb is None else f", {measured.peak_gb:,.1f} GB at its peak"
            lines.append(
                f"{name}, measured here: {measured.seconds:,.2f} s a step{tokens}{peak}; "
                f"{steps:,} steps take {measured.time(steps)} ({measured.machine})"
            )
    return lines


def plan(material: Material) -> Markup:
    """Show a table an arm: planned, done. Nothing where nothing was trained."""
    tables = Markup()
    for name in material.arms:
        lines = plan_rows(material.run, material.recipe, name)
        if lines:
            columns = [name, "planned", "done"]
            tables += page.text_table(columns, [list(row) for row in lines], [])
    note = (
        "The plan is what `ttc-rl plan` computes from the recipe alone. Tokens are prompts and "
        "completions of all rollouts; the plan's are completions at their limit."
    )
    return page.paragraph(note, "note") + tables if tables else Markup()


def plan_rows(run: RunDir, recipe: Recipe, name: str) -> list[Row]:
    """Return planned and measured numbers of an arm, from its own files alone."""
    arm, folder = recipe.arm(name), run.arm(name, recipe)
    rows = list(read_jsonl(folder.metrics, "step"))
    if not rows:
        return []
    steps, _ = steps_and_padding(arm.train, arm.selection.size)
    rollouts = steps * arm.train.rollouts_per_step
    limit = arm.train.max_completion_tokens
    done = _rollouts(folder.rollouts)
    lines = [
        ("steps", f"{steps:,}", f"{rows[-1]['step']:,}"),
        ("rollouts", f"{rollouts:,}", f"{done['rollouts']:,}"),
        ("completion tokens", f"at most {rollouts * limit:,}", f"{done['tokens']:,}"),
        ("mean completion", f"at most {limit:,}", f"{done['mean']:,.1f} tokens"),
        ("completions at the limit", "-", f"{done['cut']:.1%}"),
    ]
    counted = [row["num_tokens"] for row in rows if "num_tokens" in row]
    if counted:
        lines.append(("tokens with prompts", "-", f"{int(counted[-1]):,}"))
    seconds = [row["step_time"] for row in rows if "step_time" in row]
    if seconds:
        each = f"{sum(seconds) / len(seconds):,.2f} a step"
        lines.append(("seconds in steps", *_seconds(arm, steps, sum(seconds), each)))
    peak = [row[PEAK] for row in rows if row.get(PEAK) is not None]
    if peak:
        lines.append(("peak GPU memory", _planned_weights(arm), f"{max(peak):,.2f} GB"))
    return lines


def _seconds(arm: Recipe, steps: int, done: float, each: str) -> tuple[str, str]:
    """Return planned and measured seconds, with the error of the plan where there is one."""
    measured = calibrated(arm)
    if measured is None:
        return "-", f"{done:,.1f} ({each})"
    planned = measured.seconds * steps
    return f"{planned:,.1f} (calibrated)", f"{done:,.1f} ({each}); plan {planned / done - 1:+.0%}"


PEAK = "memory/peak_gb"
"""Column of metrics.jsonl: the most that torch had allocated on the first GPU so far."""


def _planned_weights(recipe: Recipe) -> str:
    try:
        return f"float32 weights {4e-9 * shape_of(recipe.model).parameters:,.2f} GB"
    except UserError:
        return "-"


def _rollouts(folder: Any) -> dict[str, float]:
    tokens: list[int] = []
    cut = 0
    for path in sorted(folder.glob("step-*.parquet")):
        table = read_rollouts(path, ["tokens", "finish_reason"])
        tokens += table["tokens"].to_pylist()
        cut += table["finish_reason"].to_pylist().count("length")
    count = len(tokens)
    total = sum(tokens)
    return {
        "rollouts": count,
        "tokens": total,
        "mean": total / count if count else 0.0,
        "cut": cut / count if count else 0.0,
    }
