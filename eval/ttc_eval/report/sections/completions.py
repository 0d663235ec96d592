"""What the models wrote on the target, a few of each verdict, to be read by a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ttc_eval.compare.summary import Json
from ttc_eval.harness.results import DRAW_ANEW
from ttc_eval.report import page
from ttc_eval.report.addresses import FOLDER, TASKS
from ttc_eval.report.material import Material
from ttc_eval.report.templates import part
from ttc_rl.run_dir import check_vouched
from ttc_rl.sampling.samples import RowsByTask, numbered_rows

EXAMPLES = 6
"""Completions shown of each verdict of each model."""
VERDICTS = ("correct", "wrong", "no answer", "truncated", "undecided")


Written = tuple[str, Json, Json]
"""A model, the row of a completion, and its task; an empty task where the page shows it already."""


def completions(material: Material) -> Markup:
    """Show a few completions of each verdict of each model."""
    models = material.on_target
    if not models:
        return Markup()
    prompts = {row["task_id"]: row for result in models.values() for row in result.tasks}
    examples = articles(
        material,
        (
            (model, row, prompts.get(row["task_id"], {}))
            for model in models
            for row in _examples(_samples_path(material, model))
        ),
    )
    note = f"At most {EXAMPLES} of each verdict of each model, the first in the benchmark's order."
    filters = part(
        "filters",
        models=[(m, material.shown_name(m)) for m in models],
        verdicts=[(v, v) for v in VERDICTS],
    )
    every = page.links([(FOLDER + TASKS, "All completions, task by task, with search")])
    return page.paragraph(note, "note") + every + filters + examples


def vouched_samples(material: Material, model: str) -> RowsByTask:
    """Return a model's completions of the target, by task; of a file that is not here, none."""
    return RowsByTask(_samples_path(material, model))


def _samples_path(material: Material, model: str) -> Path:
    run, target = material.run, material.target
    path = run.samples(target, model)
    check_vouched(run.result(target, model), DRAW_ANEW, path)
    return path


def verdict_name(row: Mapping[str, Any]) -> str:
    if row["correct"] is None:
        return "undecided"
    if row["correct"]:
        return "correct"
    if row.get("finish_reason") == "length":
        return "truncated"
    return "no answer" if row["status"] == "no_answer" else "wrong"


def _examples(path: Path) -> Iterator[Json]:
    """Yield the first few rows of each verdict, no two on one task."""
    seen: dict[str, set[str]] = {verdict: set() for verdict in VERDICTS}
    if not path.exists():
        return
    for _, row in numbered_rows(path):
        tasks = seen[verdict_name(row)]
        if len(tasks) < EXAMPLES and row["task_id"] not in tasks:
            tasks.add(row["task_id"])
            yield row
        if all(len(examples) >= EXAMPLES for examples in seen.values()):
            return


def articles(material: Material, rows: Iterable[Written], *, whole: bool = False) -> Markup:
    """Show completions one below the other: whole, or shortened."""
    names = {model: material.shown_name(model) for model in material.on_target}
    shown = (_shown(model, names[model], row, task) for model, row, task in rows)
    return part("completions", completions=shown, whole=whole)


def _shown(model: str, name: str, row: Json, task: Json) -> Json:
    tokens = row.get("tokens")
    read = "no answer read" if row["answer"] is None else f"read: {row['answer']}"
    gold = f"; gold: {task['gold']}" if task.get("gold") else ""
    why = f" ({row['reason']})" if row["reason"] else ""
    return {
        "model": model,
        "name": name,
        "css": page.css_class(model),
        "verdict": verdict_name(row),
        "about": read + gold + why + ("" if tokens is None else f"; {tokens} tokens"),
        "tokens": "" if tokens is None else tokens,
        "prompt": task.get("prompt", ""),
        "written": row["completion"],
    }
