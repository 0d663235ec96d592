"""A study as one offline page: a sentence and a figure for each question, then the arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from ttc_eval.compare.answers import Answer, Asked
from ttc_eval.compare.comparison import OverSeeds
from ttc_eval.report import charts, page
from ttc_eval.report.tables import Table, points, share
from ttc_rl.run_dir import write_text


def sentence(asked: Asked) -> str:
    """Answer a question in one sentence."""
    first, _, second = asked.pair.partition(" - ")
    cell = asked.overall or next(iter(asked.by_target.values()))
    resolved = cell.lo is not None and cell.hi is not None and not cell.lo <= 0 <= cell.hi
    where = "over all targets" if asked.overall else f"on {next(iter(asked.by_target))}"
    seeds = f"{cell.seeds} seeds" if cell.seeds > 1 else "1 seed"
    verdict = f"{first} and {second} cannot be told apart"
    if resolved:
        better, worse = (first, second) if cell.value > 0 else (second, first)
        verdict = f"{better} beats {worse}"
    return f"{verdict}: {asked.pair} is {points(cell)} points of {asked.metric} {where} ({seeds})."


def answers_table(answers: Sequence[Answer]) -> Table:
    """Return arms by gain, cost and forgetting."""
    spent = [answer.flops for answer in answers if answer.flops]
    unit = min(spent, default=1.0)
    rows = [
        [
            answer.arm,
            share(answer.score),
            _points(answer.gain),
            _points(answer.over_random),
            "" if answer.flops is None else f"{answer.flops / unit:.1f}",
            "" if answer.elsewhere is None else f"{100 * answer.elsewhere:+.1f}",
        ]
        for answer in answers
    ]
    columns = ["arm", "on the targets, %", "over base", "over random", "cost", "elsewhere"]
    note = (
        f"cost: FLOPs of selection and training, in units of {unit:.2g}. elsewhere: change against "
        "base where no task is shared with a target. Differences in points, with 95 % intervals."
    )
    return Table("what should I do with this test?", columns, rows, note)


def study_markdown(
    asked: Sequence[Asked], answers: Sequence[Answer], notes: Sequence[str], rest: str
) -> str:
    """Return the study as Markdown; `rest` is the comparison behind it."""
    lines = [f"- {sentence(question)}" for question in asked]
    lines += ["", answers_table(answers).markdown(), *(f"{note}\n" for note in notes), rest]
    return "\n".join(lines)


def write_study(
    path: Path, asked: Sequence[Asked], answers: Sequence[Answer], notes: Sequence[str]
) -> None:
    lead, *more = [sentence(question) for question in asked] or ["No question was answered."]
    sections = [
        *((f"question-{i}", q.pair, _figure(q)) for i, q in enumerate(asked, start=1)),
        ("arms", "What should I do with this test?", page.number_table(answers_table(answers))),
    ]
    heading = f"Study: {', '.join(question.pair for question in asked)}"
    write_text(path, page.page("study", heading, lead, sections, [*more, *notes]))


def _figure(asked: Asked) -> Markup:
    first = page.css_class(asked.pair.partition(" - ")[0])
    cells: Mapping[str, OverSeeds] = dict(asked.by_target)
    if asked.overall:
        cells = {**cells, "all targets": asked.overall}
    chart = charts.interval_chart(
        [(name, first, cell) for name, cell in cells.items()],
        title=asked.pair,
        x_label=f"{asked.pair} in {asked.metric}, points",
        width=charts.FULL,
    )
    return page.figure(chart, f"{sentence(asked)} Dots with 95 % intervals over seeds.")


def _points(cell: OverSeeds | None) -> str:
    return "" if cell is None else points(cell)
