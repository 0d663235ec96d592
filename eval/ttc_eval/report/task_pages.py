"""Pages of the target's tasks: one for each with all that every model wrote, one to find them.

pages/tasks.html       a search over prompts, golds, answers and completions
pages/task-0001.html   one task, numbered from 1 in the benchmark's order

A page holds the completions of one task at a time, so that large sample files need no more memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ttc_eval.compare.summary import Json
from ttc_eval.report import page
from ttc_eval.report.addresses import REPORT, TASKS, task_page
from ttc_eval.report.material import Material
from ttc_eval.report.sections.completions import VERDICTS, articles, verdict_name, vouched_samples
from ttc_eval.report.templates import part
from ttc_rl.run_dir import write_text
from ttc_rl.sampling.samples import RowsByTask

SEARCHED = 4_000_000
"""Characters of completions that tasks.html holds, so that a browser searches them at once."""
ANSWERS_SHOWN = 5
Rows = Mapping[str, Sequence[Json]]
"""Model -> its completions of one task."""


def write_task_pages(material: Material) -> None:
    """Write a page for each task of the target, and the page that finds them; nothing where no
    model was evaluated on it."""
    models = list(material.on_target)
    if not models:
        return
    search = _Search(models, {model: vouched_samples(material, model) for model in models})
    tasks = material.on_target[models[0]].tasks
    for number, task in enumerate(tasks, 1):
        rows = {m: list(samples.rows(task["task_id"])) for m, samples in search.samples.items()}
        search.add(task, rows)
        _write(material, task_page(number), _task_page(material, number, len(tasks), task, rows))
    _write(material, TASKS, _search_page(material, search))


def _write(material: Material, name: str, html: str) -> None:
    material.run.pages.mkdir(parents=True, exist_ok=True)
    write_text(material.run.pages / name, html)


# --------------------------------------------------------------------------- one task


def _task_page(material: Material, number: int, tasks: int, task: Json, rows: Rows) -> str:
    links = [(REPORT, "Report"), (TASKS, "All tasks")]
    links += [(task_page(number - 1), "Task before")] if number > 1 else []
    links += [(task_page(number + 1), "Next task")] if number < tasks else []
    all_rows = ((model, row, {}) for model, own in rows.items() for row in own)
    written = articles(material, all_rows, whole=True)
    missing = [material.shown_name(m) for m, own in rows.items() if not own]
    note = f"No sample file here of {', '.join(missing)}." if missing else ""
    sections = [
        ("task", "Task", part("task", prompt=task["prompt"], gold=task["gold"] or "")),
        ("models", "Models", _models(material, rows)),
        ("completions", "Completions", page.paragraph(note, "note") + _filters(material) + written),
    ]
    solved = "; ".join(f"{material.shown_name(m)} {_solved(own)}" for m, own in rows.items())
    heading = f"{material.target}, task {number} of {tasks}: {material.run.root.name}"
    return page.page(heading, heading, f"Solved: {solved}.", sections, links=links)


def _filters(material: Material) -> Markup:
    models = [(model, material.shown_name(model)) for model in material.on_target]
    return part("filters", models=models, verdicts=[(name, name) for name in VERDICTS])


def _models(material: Material, rows: Rows) -> Markup:
    """Show how each model fares on the task: how often it is right, and what it answers most."""
    table = [
        [
            material.shown_name(model),
            _solved(own),
            ", ".join(f"{n} {name}" for name, n in Counter(map(verdict_name, own)).most_common()),
            ", ".join(f"{answer} ({n})" for answer, n in _answers(own)),
        ]
        for model, own in rows.items()
    ]
    return page.text_table(["model", "solved", "verdicts", "answers"], table, ["answers"])


def _answers(rows: Sequence[Json]) -> list[tuple[str, int]]:
    given = Counter(str(row["answer"]) for row in rows if row["answer"] is not None)
    return given.most_common(ANSWERS_SHOWN)


def _solved(rows: Sequence[Json]) -> str:
    return f"{sum(row['correct'] is True for row in rows)} of {len(rows)}"


# --------------------------------------------------------------------------- all tasks


@dataclass(frozen=True)
class _Found:
    """A task on the page that finds them."""

    number: int
    prompt: str
    solved: str

    @property
    def address(self) -> str:
        return task_page(self.number)


class _Search:
    """Collects what tasks.html searches: of a long completion its end, where the answer stands."""

    def __init__(self, models: Sequence[str], paths: Mapping[str, RowsByTask]):
        self.models, self.samples = list(models), paths
        self.limit = SEARCHED // max(1, sum(map(len, paths.values())))
        self.cut = False
        self.tasks = list[_Found]()
        self.texts = list[str]()
        self.rows = list[tuple[int, int, int, int | None, str]]()
        """Task, model and verdict by their place, tokens, text."""

    def add(self, task: Json, rows: Rows) -> None:
        place = len(self.tasks)
        solved = "; ".join(f"{model} {_solved(own)}" for model, own in rows.items())
        self.tasks.append(_Found(place + 1, task["prompt"], solved))
        self.texts.append(f"{task['prompt']}\n{task['gold'] or ''}")
        for number, own in enumerate(rows.values()):
            for row in own:
                verdict = VERDICTS.index(verdict_name(row))
                text = f"{row['answer'] or ''}\n{self._end(row['completion'])}"
                self.rows.append((place, number, verdict, row.get("tokens"), text))

    def _end(self, completion: str) -> str:
        self.cut |= len(completion) > self.limit
        return completion[max(0, len(completion) - self.limit) :]


def _search_page(material: Material, search: _Search) -> str:
    note = "The search reads prompts, golds, answers and completions; all its words must occur."
    if search.cut:
        note += f" Of a completion it reads the last {search.limit:,} characters."
    held = {
        "models": search.models,
        "verdicts": VERDICTS,
        "tasks": search.texts,
        "rows": search.rows,
    }
    inside = _filters(material) + part("task_list", tasks=search.tasks, samples=held)
    sections = [("find", "Find a task", page.paragraph(note, "note") + inside)]
    heading = f"All tasks of {material.target}: {material.run.root.name}"
    completions = sum(map(len, search.samples.values()))
    lead = f"{len(search.tasks):,} tasks, {completions:,} completions."
    return page.page(heading, heading, lead, sections, links=[(REPORT, "Report")])
