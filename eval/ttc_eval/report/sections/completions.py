"""What the models wrote on the target, a few of each verdict, to be read by a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ttc_eval.compare.summary import Json
from ttc_eval.harness.results import DRAW_ANEW
from ttc_eval.report import page
from ttc_eval.report.material import Material
from ttc_eval.report.templates import part
from ttc_rl.run_dir import RunDir, check_vouched
from ttc_rl.sampling.samples import numbered_rows

EXAMPLES = 6
"""Completions shown of each verdict of each model."""
VERDICTS = ("correct", "wrong", "no answer", "truncated", "undecided")


def completions(material: Material) -> Markup:
    """Show a few completions of each verdict of each model."""
    models = material.on_target
    if not models:
        return Markup()
    prompts = {row["task_id"]: row for result in models.values() for row in result.tasks}
    articles = Markup().join(
        _article(model, row, prompts.get(row["task_id"], {}))
        for model in models
        for row in _examples(_vouched(material.run, material.target, model))
    )
    note = f"At most {EXAMPLES} of each verdict of each model, the first in the benchmark's order."
    filters = part("filters", models=models, verdicts=VERDICTS)
    return page.paragraph(note, "note") + filters + articles


def _vouched(run: RunDir, target: str, model: str) -> Path:
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


def _article(model: str, row: Mapping[str, Any], task: Mapping[str, Any]) -> Markup:
    verdict = verdict_name(row)
    read = "no answer read" if row["answer"] is None else f"read: {row['answer']}"
    gold = f"; gold: {task['gold']}" if task.get("gold") else ""
    why = f" ({row['reason']})" if row["reason"] else ""
    return part(
        "completion",
        model=model,
        css=page.css_class(model),
        verdict=verdict,
        about=read + gold + why,
        prompt=task.get("prompt", row["task_id"]),
        written=row["completion"],
    )
