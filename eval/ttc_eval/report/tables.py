"""Results as tables, printed by a rich console as they stand, or turned into Markdown.

Shares are shown in percent, differences in points, with their 95 % interval: `41.7 [33.1, 50.2]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rich.table import Table as RichTable
from rich.text import Text

from ttc_eval.compare.comparison import (
    Comparison,
    Dose,
    Flips,
    Matrix,
    OverSeeds,
    PooledBenchmark,
    PooledRetention,
    TargetComparison,
)
from ttc_eval.records import BenchmarkSummary, ModelResult, Scores, Summary
from ttc_rl.metrics import Difference, Elo, Estimate

if TYPE_CHECKING:
    from ttc_rl.train.weights.geometry import Changed

EQUAL_TO_AVG = ("pass@1", "maj@1")  # in the files, but one number three times in a table
RATES = {
    "truncated": "truncated",
    "prompt_too_long": "prompt too long",
    "no_answer": "no answer",
    "undecided": "undecided",
    "timeout": "timeout",
    "infra_error": "infra error",
}
"""Field of `Rates` -> what it is called here."""


Shown = TypeVar("Shown", bound=Estimate)


@dataclass(frozen=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __rich__(self) -> RichTable:
        caption = Text(self.note) if self.note else None
        drawn = RichTable(title=Text(self.title), caption=caption, title_justify="left")
        for i, column in enumerate(self.columns):
            drawn.add_column(
                Text(column), justify="right" if i else "left", overflow="fold", no_wrap=i == 0
            )
        for row in self.rows:
            drawn.add_row(*(Text(cell) for cell in row))
        return drawn

    def markdown(self) -> str:
        lines = [
            f"**{self.title}**",
            "",
            _line(self.columns),
            _line(["---" if i == 0 else "---:" for i in range(len(self.columns))]),
            *(_line(row) for row in self.rows),
        ]
        return "\n".join(lines + (["", self.note] if self.note else [])) + "\n"


def share(estimate: Estimate) -> str:
    """Return `41.7 [33.1, 50.2]`; without an interval it says so."""
    return _with_interval(estimate, "{:.1f}")


def points(estimate: Estimate) -> str:
    """Return `+5.2 [+1.1, +9.3]`."""
    return _with_interval(estimate, "{:+.1f}")


def percent(rate: float | None) -> str:
    return "n/a" if rate is None else f"{100 * rate:.1f} %"


def _with_interval(estimate: Estimate, form: str) -> str:
    value, lo, hi = (
        None if number is None else form.format(100 * number + 0.0)
        for number in (estimate.value, estimate.lo, estimate.hi)
    )
    return f"{value} [n/a]" if lo is None else f"{value} [{lo}, {hi}]"


def shown(metrics: Iterable[str], *, every_k: bool = True) -> list[str]:
    """Return each metric once, without those that equal avg@n; of pass@k and maj@k perhaps the
    largest."""
    distinct = [metric for metric in dict.fromkeys(metrics) if metric not in EQUAL_TO_AVG]
    largest = {m.partition("@")[0]: m for m in sorted(distinct, key=_k)}
    return [m for m in distinct if every_k or largest[m.partition("@")[0]] == m]


def _k(metric: str) -> int:
    return int(metric.partition("@")[2] or 0)


# --------------------------------------------------------------------------- what to show


def summary_tables(summary: Summary, *, every_k: bool = True, base: str = "base") -> list[Table]:
    """Return for each benchmark, the target first, its models and their differences.

    `base` is what the base model is called in the tables of models.
    """
    target, benchmarks = summary.target, summary.benchmarks
    tables: list[Table] = []
    for name in sorted(benchmarks, key=lambda n: (n != target, n)):
        part = benchmarks[name]
        size = f"{part.tasks} tasks x {part.samples} samples"
        title = f"{name}{' (target)' if name == target else ''}: {size}, %"
        models = {base if name == "base" else name: m for name, m in part.models.items()}
        tables.append(_models_table(title, models, every_k))
        if part.differences:
            title = f"{name}: differences on the same tasks, points"
            tables.append(_grid(title, part.differences, _marked, every_k, difference_note(part)))
    return tables


def result_table(result: ModelResult) -> Table:
    """Return the table of one MODEL.json, as `ttc-rl score` prints it."""
    title = f"{result.benchmark}: {result.tasks} tasks x {result.samples} samples, %"
    return _models_table(title, {result.model or result.samples_file or "": result})


def _models_table(title: str, models: Mapping[str, Scores], every_k: bool = True) -> Table:
    metrics = shown((m for model in models.values() for m in model.metrics), every_k=every_k)
    rates = [
        rate
        for rate in RATES
        if rate == "truncated" or any(getattr(m.rates, rate) for m in models.values())
    ]
    rated = any(model.elo for model in models.values())
    rows = [
        [
            name,
            *(share(m.metrics[k]) if k in m.metrics else "" for k in metrics),
            *([elo(m.elo) if m.elo else ""] if rated else []),
            *(percent(getattr(m.rates, rate)) for rate in rates),
            "" if m.rates.mean_tokens is None else f"{m.rates.mean_tokens:.0f}",
        ]
        for name, m in models.items()
    ]
    columns = ["model", *metrics, *(["Elo"] if rated else []), *(RATES[r] for r in rates), "tokens"]
    return Table(title, columns, rows, _models_note(models))


def _models_note(models: Mapping[str, Scores]) -> str:
    unread = {name: m.gold_not_read for name, m in models.items() if m.gold_not_read}
    counts = ", ".join(f"{count} of {name}" for name, count in unread.items())
    notes = [f"the gold stands in completions not found correct, worth a look: {counts}"]
    notes = notes if unread else []
    if any(model.elo for model in models.values()):
        notes.append("Elo: likeliest on the problems' ratings, not a contest's")
    return "; ".join(notes)


def elo(rating: Elo) -> str:
    """Return `1512 [1460, 1563]`, or the one bound that there is."""
    ends = (rating.value, rating.lo, rating.hi)
    value, lo, hi = (None if number is None else f"{number:.0f}" for number in ends)
    if value is None:
        return f"at most {hi}" if lo is None else f"at least {lo}"
    return f"{value} [n/a]" if lo is None else f"{value} [{lo}, {hi}]"


def _grid(
    title: str,
    rows: Mapping[str, Mapping[str, Shown]],
    show: Callable[[Shown], str] = points,
    every_k: bool = True,
    note: str = "",
) -> Table:
    metrics = shown((metric for cells in rows.values() for metric in cells), every_k=every_k)
    body = [[n, *(show(c[m]) if m in c else "" for m in metrics)] for n, c in rows.items()]
    return Table(title, ["", *metrics], body, note)


def _marked(difference: Difference) -> str:
    """Return points, with a star where the difference stands up to Holm over its family."""
    star = difference.p_holm is not None and difference.p_holm < 0.05
    return points(difference) + (" *" if star else "")


def star_note(differences: Mapping[str, object]) -> str:
    if len(differences) < 2:
        return "* p < 0.05" if differences else ""
    return f"* p < 0.05 after Holm over the {len(differences)} differences of a column"


def difference_note(part: BenchmarkSummary | PooledBenchmark, seeds: str = "") -> str:
    """Say what the star means, and what could have been seen: by these tasks, or by these seeds."""
    star = star_note(part.differences)
    notes = [star] if star else []
    if part.power:
        resolvable = sorted(power.resolvable for power in part.power.values() if power.resolvable)
        ends = dict.fromkeys(f"{100 * end:.1f}" for end in (resolvable[:1] + resolvable[-1:]))
        size = seeds or f"{part.tasks} tasks x {part.samples} samples"
        notes.append(
            f"{size} can resolve {' to '.join(ends)} points in {part.avg_name} (80 % power)"
            if ends
            else f"what {size} can resolve is not known: nothing varied"
        )
    return "; ".join(notes)


def comparison_tables(comparison: Comparison, *, every_benchmark: bool = False) -> list[Table]:
    """Return tables over all targets, how specific the gains are, then target by target.

    Other benchmarks than the target show in retention and matrix, or each with `every_benchmark`.
    """
    tables: list[Table] = []
    if overall := comparison.overall:
        count = f"{len(overall.targets)} targets"
        tables.append(_grid(f"mean over {count}, on the target, %", overall.models, share))
        tables.append(_grid(f"mean over {count}: differences, points", overall.differences))
    tables += [_matrix_table(arm, matrix) for arm, matrix in comparison.matrix.items()]
    for target, part in comparison.targets.items():
        for name, cells in part.benchmarks.items():
            if name != target and target in part.benchmarks and not every_benchmark:
                continue
            what = f"{name} (target)" if name == target else f"{name}, trained for {target}"
            size = f"{cells.tasks} tasks x {cells.samples} samples"
            title = f"{what}: {size}, {_seeds(cells.models)}"
            tables.append(_grid(f"{title}, %", cells.models, share))
            if cells.differences:
                differences = cells.differences
                note = difference_note(cells, _seed_count(cells.models))
                tables.append(
                    _grid(f"{what}: differences, points", differences, _marked, note=note)
                )
            if cells.flips:
                tables.append(_flips_table(what, cells.flips))
        if part.retention:
            tables.append(_retention_table(target, part.retention))
    tables += _dose_tables(comparison.doses) + _sigma_tables(comparison.targets)
    return tables + _legend(comparison.variants)


def _dose_tables(doses: Mapping[str, Dose]) -> list[Table]:
    """Show each arm's gain by the size of its curriculum, and where the curve ends."""
    return [
        Table(
            f"{arm}: gain over base by tasks trained on, points",
            ["tasks", "gain"],
            [[f"{size:,}", points(gain)] for size, gain in dose.gains.items()],
            f"A (1 - exp(-n / b)): A = {points(dose.asymptote)}, nine tenths of it from "
            f"{dose.nine_tenths:,.0f} tasks",
        )
        for arm, dose in doses.items()
    ]


def changes_table(arm: str, about: Mapping[str, object], found: Sequence[Changed]) -> Table:
    """Show what training changed, and with what it was trained: the share says that too."""
    rows = [
        [
            one.module,
            f"{one.weights:,}",
            f"{100 * one.changed:.1f}",
            f"{100 * one.relative:.3f}",
            "" if one.rank is None else f"{one.rank:.0f} of {one.full_rank}",
        ]
        for one in found
    ]
    columns = ["module", "weights", "changed in bfloat16, %", "relative, %", "effective rank"]
    how = ", ".join(f"{key} {value}" for key, value in about.items())
    return Table(f"{arm}: what training changed", columns, rows, how)


def _legend(variants: Mapping[str, str]) -> list[Table]:
    """Explain the letters behind the arms."""
    rows = [[letter, keys] for letter, keys in variants.items()]
    return (
        [Table("variants: runs differ in more than their seed", ["", "keys"], rows)] if rows else []
    )


def changed_tasks_tables(comparison: Comparison) -> list[Table]:
    """List the tasks that each pair of arms changed most on the target, best and worst."""
    return [
        Table(
            f"{target}: tasks most changed by {pair}, solved %",
            ["task", "before", "after"],
            [
                [_short(task.prompt), f"{100 * task.before:.0f}", f"{100 * task.after:.0f}"]
                for task in flips.most_changed
            ],
        )
        for target, part in comparison.targets.items()
        if target in part.benchmarks
        for pair, flips in part.benchmarks[target].flips.items()
        if flips.most_changed
    ]


def _short(prompt: str, limit: int = 90) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _flips_table(what: str, flips: Mapping[str, Flips]) -> Table:
    columns = ["", "more often", "less often", "first time", "not any more", "majority flips", "p"]
    rows = [
        [
            pair,
            *(str(count) for count in (f.up, f.down, f.first, f.lost)),
            f"+{f.majority_up} -{f.majority_down}",
            "n/a" if f.p is None else f"{f.p:.2g}",
        ]
        for pair, f in flips.items()
    ]
    note = "majority flips: solved in more than half of the samples by one only; McNemar's exact p"
    return Table(f"{what}: tasks that changed hands", columns, rows, note)


def _seed_counts(models: Mapping[str, Mapping[str, OverSeeds]]) -> tuple[int, int]:
    """Return the fewest and the most seeds that an estimate of a table is over."""
    counts = {estimate.seeds for cells in models.values() for estimate in cells.values()}
    return min(counts), max(counts)


def _seed_count(models: Mapping[str, Mapping[str, OverSeeds]]) -> str:
    """Return `3 seeds`; empty where there is one, so that tasks are what repeats."""
    fewest, most = _seed_counts(models)
    if most == 1:
        return ""
    return f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"


def _seeds(models: Mapping[str, Mapping[str, OverSeeds]]) -> str:
    """Say how many seeds the estimates of a table are over, and what their intervals mean."""
    fewest, most = _seed_counts(models)
    if most == 1:
        return "1 seed, interval over tasks"
    tasks = ", or over tasks where there is 1" if fewest == 1 else ""
    return f"{_seed_count(models)}, interval over seeds{tasks}"


def _retention_table(target: str, retention: Mapping[str, PooledRetention]) -> Table:
    rows = [
        [arm, points(retained.mean), f"{points(retained.worst_change)} on {retained.worst}"]
        for arm, retained in retention.items()
    ]
    title = f"trained for {target}: change against base on the other benchmarks, avg@n, points"
    return Table(title, ["arm", "mean", "worst"], rows)


def _sigma_tables(targets: Mapping[str, TargetComparison]) -> list[Table]:
    """Show by target and arm whether the variance left by selection predicts the gain; nothing
    without selections."""
    sigmas = {target: part.sigma for target, part in targets.items() if part.sigma}
    arms = list(dict.fromkeys(arm for row in sigmas.values() for arm in row))
    rows = [
        [target, *(_correlation(row[arm]) if arm in row else "" for arm in arms)]
        for target, row in sigmas.items()
    ]
    note = "Spearman's rho over the target's tasks; below 0: more was gained where less was unknown"
    title = "sigma left by selection, before training, against gain in avg@n after it"
    return [Table(title, ["target", *arms], rows, note)] if rows else []


def _correlation(estimate: Estimate) -> str:
    value, lo, hi = estimate.value, estimate.lo, estimate.hi
    return f"{value:+.2f} [n/a]" if lo is None else f"{value:+.2f} [{lo:+.2f}, {hi:+.2f}]"


def _matrix_table(arm: str, matrix: Matrix) -> Table:
    rows = [
        [row, *("" if gain is None else f"{100 * gain:+.1f}" for gain in gains)]
        for row, gains in zip(matrix.rows, matrix.gain, strict=True)
    ]
    note = ""
    if matrix.diagonal_minus_rest is not None:
        note = (
            f"diagonal minus rest {100 * matrix.diagonal_minus_rest:+.1f} points, "
            f"p = {matrix.p_value:.3g} over shuffled row labels"
        )
    title = f"{arm}: gain over base in avg@n, points (rows: trained for, columns: evaluated on)"
    return Table(title, ["trained for", *matrix.columns], rows, note)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
