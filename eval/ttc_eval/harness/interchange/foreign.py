"""A row of another tool's file, and which of our tasks it answers. Never guessed.

By its id, as our content hash or as the source's own; else by its prompt, where exactly one task
has this prompt; else by its place in the benchmark, where the prompt that it was given holds our
task's whole problem; else by the end of the source's id, where one task's ends so. A row that none
of these settles is an error that names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ttc_eval.records import ModelResult
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.sampling.samples import Row
from ttc_rl.schema import Task, UserError


@dataclass(frozen=True)
class Foreign:
    """One completion as another tool wrote it down."""

    where: str
    """`file:line` or the like, for messages."""
    values: Row
    """`completion`, and of our sample row's other fields those that the file has."""
    id: str | None = None
    prompt: str = ""
    """What the model was asked, as far as the file says."""
    index: int | None = None
    """Place of the task in its benchmark, from 0."""
    sample: int | None = None

    @property
    def name(self) -> str:
        return self.id if self.id is not None else f"number {self.index}"


@dataclass(frozen=True)
class Exported:
    """What is written: a benchmark's tasks, and n rows for each."""

    benchmark: Benchmark
    model: str
    rows: Sequence[Sequence[Row]]
    result: ModelResult | None = None
    """MODEL.json."""
    made: float = 0.0
    """When, in seconds since 1970."""


class Finder:
    def __init__(self, tasks: Sequence[Task], aliases: Mapping[str, str]) -> None:
        self.tasks, self.aliases = tasks, aliases
        self.by_id: dict[str, list[Task]] = defaultdict(list)
        self.by_prompt: dict[str, list[Task]] = defaultdict(list)
        self.by_number: dict[str, list[Task]] = defaultdict(list)
        for task in tasks:
            for name in {task.id, source_id(task)}:
                self.by_id[name].append(task)
            if "/" in source_id(task):
                self.by_number[source_id(task).rpartition("/")[2]].append(task)
            for text in {_squeezed(task.prompt), _squeezed(str(task.meta.get("shown", "")))} - {""}:
                self.by_prompt[text].append(task)

    def find(self, row: Foreign) -> Task:
        """Return the task that a row answers; raise UserError where there is none."""
        task = self.known(row)
        if task is None:
            raise UserError(f"{row.where}: task {row.name!r} is not in this benchmark")
        return task

    def known(self, row: Foreign) -> Task | None:
        """Return the task that a row answers; None where the benchmark has no such task."""
        return (
            self._by_id(row) or self._by_prompt(row) or self._by_index(row) or self._by_number(row)
        )

    def _by_id(self, row: Foreign) -> Task | None:
        if row.id is None:
            return None
        names = [row.id]
        for theirs, ours in self.aliases.items():
            if row.id.startswith(theirs):
                names.append(ours + row.id.removeprefix(theirs))
        candidates = {task.id: task for name in names for task in self.by_id.get(name, ())}
        if len(candidates) > 1:
            raise UserError(f"{row.where}: task {row.id!r} may be {' or '.join(candidates)}")
        return next(iter(candidates.values()), None)

    def _by_number(self, row: Foreign) -> Task | None:
        """Return the task whose id ends with the row's, `olympiadbench/1606` for 1606, where one
        does. A prompt beside it has to hold the task."""
        candidates = self.by_number.get(str(row.id), [])
        if len(candidates) != 1:
            return None
        text = _squeezed(row.prompt)
        return candidates[0] if not text or _holds(text, candidates[0]) else None

    def _by_prompt(self, row: Foreign) -> Task | None:
        candidates = self.by_prompt.get(_squeezed(row.prompt), [])
        return candidates[0] if len(candidates) == 1 else None

    def _by_index(self, row: Foreign) -> Task | None:
        if row.index is None or not 0 <= row.index < len(self.tasks) or not row.prompt.strip():
            return None
        task = self.tasks[row.index]
        return task if _holds(_squeezed(row.prompt), task) else None


def _holds(text: str, task: Task) -> bool:
    """Return whether a prompt holds a task: of a choice, the question and its options in our
    order."""
    options = task.meta.get("options")
    pieces = [str(task.meta.get("question", "")), *options] if options else [task.prompt]
    start = 0
    for piece in map(_squeezed, map(str, pieces)):
        at = text.find(piece, start)
        if at < 0:
            return False
        start = at + len(piece)
    return True


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def source_id(task: Task) -> str:
    """Return the id by which others know a task, or its content hash."""
    return str(task.meta.get("id", task.id))
