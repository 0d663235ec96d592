"""How a comparison of runs opens: one sentence with its news, and in what the recipes differ."""

from __future__ import annotations

from collections.abc import Mapping

from ttc_eval.compare.comparison import Comparison, OverSeeds
from ttc_eval.report.tables import Table, comparison_tables, points, share

FOLDERS_SHOWN = 3


def opening(comparison: Comparison) -> list[str]:
    """Return the news of a comparison in one sentence, and what `base` stands for in another."""
    models = list(dict.fromkeys(run.model for run in comparison.runs))
    base = models[0] if len(models) == 1 else f"one of {', '.join(models)}"
    return [_news(comparison), f"base is {base}, before training."]


def differing_table(comparison: Comparison) -> list[Table]:
    """Return a row for each value of each key in which the recipes differ; nothing where they
    agree."""
    rows = []
    for key, values in comparison.differing.items():
        for value in dict.fromkeys(values):
            same = zip(comparison.runs, values, strict=True)
            rows.append([key, value, _folders([run.folder for run, own in same if own == value])])
    return [Table("how the recipes differ", ["key", "value", "runs"], rows)] if rows else []


def comparison_markdown(comparison: Comparison, *, every_benchmark: bool = False) -> str:
    """Return the opening and all tables as Markdown."""
    tables = [
        *differing_table(comparison),
        *comparison_tables(comparison, every_benchmark=every_benchmark),
    ]
    return "\n".join([" ".join(opening(comparison)), "", *(table.markdown() for table in tables)])


def _folders(names: list[str]) -> str:
    more = len(names) - FOLDERS_SHOWN
    return ", ".join(names[:FOLDERS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def headline_differences(comparison: Comparison) -> tuple[dict[str, OverSeeds], str, str]:
    """Return `arm - other` -> the difference in avg@n, the metric, and where it was measured: over
    all targets where there are several, else on the one."""
    if comparison.overall:
        differences, where = comparison.overall.differences, "mean over all targets"
    else:
        where, part = next(iter(comparison.targets.items()))
        differences = part.benchmarks[where].differences if where in part.benchmarks else {}
        where = f"on {where}"
    metric = _average(differences)
    cells = {pair: of[metric] for pair, of in differences.items() if metric in of}
    return cells, metric, where


def _average(rows: Mapping[str, Mapping[str, OverSeeds]]) -> str:
    return next((m for cells in rows.values() for m in cells if m.startswith("avg@")), "")


def _news(comparison: Comparison) -> str:
    """Say how many differences are resolved, and the largest: all are counted, so that the largest
    of many is not taken for the only one."""
    cells, metric, where = headline_differences(comparison)
    if not cells:
        return _scores(comparison)
    between = {p: cell for p, cell in cells.items() if not _against_base(p)}
    kind = "between arms" if between else "from base"
    family = between or cells
    resolved = {pair: cell for pair, cell in family.items() if _resolved(cell)}
    pair, largest = max((resolved or family).items(), key=lambda item: abs(item[1].value))
    size = f"{pair} is {points(largest)} points of {metric}, {where}{_seeds(largest)}"
    if len(family) == 1:
        verdict = "" if resolved else ": not resolved"
        return f"{size}{verdict}."
    count = f"{len(resolved) or 'None'} of {len(family)} differences {kind}"
    verb = "is" if len(resolved) <= 1 else "are"
    return f"{count} {verb} resolved; the largest: {size}."


def _against_base(pair: str) -> bool:
    """Return whether a pair is an arm and its base, and not two of a kind."""
    arm, _, other = pair.partition(" - ")
    return other.partition(" [")[0] == "base" != arm.partition(" [")[0]


def _resolved(cell: OverSeeds) -> bool:
    """Return whether a difference stands: after Holm where that was asked, else by its interval."""
    if cell.p_holm is not None:
        return cell.p_holm < 0.05
    return cell.lo is not None and cell.hi is not None and not cell.lo <= 0 <= cell.hi


def _seeds(cell: OverSeeds) -> str:
    return f" ({cell.seeds} seeds)" if cell.seeds > 1 else " (1 seed)"


def _scores(comparison: Comparison) -> str:
    """Say what each model scored where nothing is compared with anything."""
    target, part = next(iter(comparison.targets.items()))
    name = target if target in part.benchmarks else next(iter(part.benchmarks))
    models = part.benchmarks[name].models
    metric = _average(models)
    scores = [f"{model} scores {share(cells[metric])} %" for model, cells in models.items()]
    return f"{'; '.join(scores)} in {metric} on {name}; there is nothing to compare it with."
