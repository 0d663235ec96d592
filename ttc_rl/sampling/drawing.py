"""Completions of tasks, drawn, graded, and kept as they come: every drawing of the tool.

Evaluation, solve rates for a selection, the look before training, evaluation while training, and
the search for a mixture of experts all draw n completions of each task into a file (samples.py). A
file only ever grows: killed at any moment, the next call draws what is missing, with the seeds it
would have had, and appends it. Several processes share the work through `work_queue.Queue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ttc_rl.corpus.benchmarks import check_gradable
from ttc_rl.run_dir import QUEUE, append_jsonl, drop_cut_line, write_jsonl
from ttc_rl.sampling.samples import (
    Cells,
    Row,
    complete_rows,
    numbered_rows,
    read_cells,
    verdict_row,
)
from ttc_rl.sampling.work_queue import Queue, Unit, units
from ttc_rl.schema import Completer, Completion, Task, Undrawn, UserError, sample_seed
from ttc_rl.verifiers import BUILT_IN, Graders, check_infra_errors

MAX_INFRA_ERRORS = 0.05
"""An evaluation stops when more than this share of its verdicts failed for reasons of ours."""
Progress = Callable[[int, int, int], None]
"""Called at first and after every batch: samples done, samples in all, tokens written here."""


UNITS = 64
"""Into about as many units a shared drawing is cut: enough for a balanced end on many engines."""


@dataclass(frozen=True)
class Drawing:
    """`samples` completions of each task, in one file.

    `model` is kept in every row: another model does not add to the file. Without `graders` nothing
    is graded, and no gold is read. A `common` file also holds what other drawings of the same model
    and decoding put there: other tasks, and further samples.
    """

    name: str
    tasks: Sequence[Task]
    samples: int
    path: Path
    seed: int = 0
    model: str | None = None
    graders: Graders | None = BUILT_IN
    max_infra_errors: float = MAX_INFRA_ERRORS
    common: bool = False

    @property
    def expected(self) -> int:
        return len({task.id for task in self.tasks}) * self.samples

    def cells(self) -> Cells:
        """Return what the file holds so far. Raises UserError where another model drew it."""
        rows = read_cells(self.path, self.tasks, self.samples, common=self.common)
        drawn_by = {row.get("model") for row in rows.values()} - {None, self.model}
        if drawn_by:
            raise UserError(
                f"{self.path}: holds completions of weights {drawn_by.pop()}, now {self.model} are "
                "evaluated; delete it to draw anew"
            )
        return rows

    @property
    def lacking(self) -> int:
        """Return how many completions are still to be drawn; with 0 there is no need to load a
        model."""
        return self.expected - len(self.cells())

    def groups(self) -> list[Group]:
        """Return each task's completions; raise UserError where one is missing."""
        rows = complete_rows(self.cells(), self.tasks, self.samples)
        return [Group.of(group) for group in rows]

    @property
    def queue_folder(self) -> Path:
        return self.path.with_name(f"{self.path.name.removesuffix('.samples.jsonl')}{QUEUE}")

    def queue(self, *, batch: int, workers: int = 1) -> Queue:
        """Return the queue of this drawing's units, shared with every process that opens it."""
        size = min(batch, max(1, -(-self.expected // UNITS)))
        question = {
            "name": self.name,
            "tasks": [task.id for task in self.tasks],
            "samples": self.samples,
            "seed": self.seed,
            "model": self.model,
        }
        return Queue(
            self.queue_folder, units(len(self.tasks), self.samples, size), question, workers=workers
        )


@dataclass(frozen=True)
class Group:
    """The completions of one task. `correct` is empty where nobody graded."""

    texts: list[str]
    finished: list[bool]
    tokens: list[int]
    correct: list[bool | None]
    prompt_tokens: int = 0

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Group:
        return cls(
            [row["completion"] for row in rows],
            [row["finish_reason"] != "length" for row in rows],
            [row["tokens"] for row in rows],
            [row["correct"] for row in rows if "correct" in row],
            rows[0]["prompt_tokens"],
        )


def draw(
    completer: Completer, drawing: Drawing, *, batch: int = 64, progress: Progress | None = None
) -> None:
    """Fill the drawing's file until it holds every sample; `batch` of them at once.

    Raises UserError where some could not be had; what could is kept.
    """
    _check(drawing)
    drop_cut_line(drawing.path)
    cells = grade_again(drawing)
    tally = _Tally(drawing, set(cells), cells.values(), progress)
    for unit in units(len(drawing.tasks), drawing.samples, batch):
        lacking = tally.lacking(unit)
        if lacking:
            rows, lost = _draw(completer, drawing, lacking)
            append_jsonl(drawing.path, rows)
            tally.count(rows, lost)
    tally.complain()


def _check(drawing: Drawing) -> None:
    if drawing.graders is not None:
        check_gradable(drawing.name, drawing.tasks)


def share(
    completer: Callable[[], Completer],
    drawing: Drawing,
    queue: Queue,
    *,
    batch: int = 64,
    progress: Progress | None = None,
) -> None:
    """Do units of the queue until others hold all that are left. Nothing is written to the file."""
    _check(drawing)
    tally = None
    while mine := queue.claim(batch):
        with queue.keep_alive(mine):
            drawn_by = completer()  # loading takes longer than a lease lasts
            tally = tally or _Tally(drawing, set(drawing.cells()), (), progress)
            lacking = [pair for unit in mine for pair in tally.lacking(unit)]
            rows, lost = _draw(drawn_by, drawing, lacking) if lacking else ([], "")
            tally.count(rows, lost)
            tally.complain()
            place = {task.id: i for i, task in enumerate(drawing.tasks)}
            for unit in mine:
                queue.finish(unit, [row for row in rows if _is_in(unit, place, row)])


def gather(drawing: Drawing, queue: Queue) -> None:
    """Gather all units' rows in the file, each sample once, whole or not at all."""
    cells = drawing.cells()
    for row in queue.rows():
        cells.setdefault((row["task_id"], row["sample"]), row)
    if len(cells) < drawing.expected:
        raise UserError(
            f"{queue.folder}: {drawing.expected - len(cells)} of {drawing.expected} completions "
            "are lacking; evaluate again to draw them"
        )
    place = {task.id: i for i, task in enumerate(drawing.tasks)}
    rows = sorted(cells.values(), key=lambda row: (place[row["task_id"]], row["sample"]))
    write_jsonl(drawing.path, rows)


def _is_in(unit: Unit, place: Mapping[str, int], row: Row) -> bool:
    in_samples = unit.first <= row["sample"] < unit.first + unit.count
    return in_samples and unit.start <= place[row["task_id"]] < unit.stop


class _Tally:
    """What is done, what failed, and what could not be had."""

    def __init__(
        self,
        drawing: Drawing,
        done: set[tuple[str, int]],
        rows: Iterable[Row],
        progress: Progress | None,
    ) -> None:
        self.drawing, self.done, self.progress = drawing, done, progress
        self.failed = sum(map(_is_infra_error, rows))
        self.tokens = 0
        self.lost = ""
        self._tell()

    def lacking(self, unit: Unit) -> list[tuple[Task, range]]:
        """Return each task's missing samples, as runs."""
        runs: list[tuple[Task, range]] = []
        for task in self.drawing.tasks[unit.start : unit.stop]:
            for sample in range(unit.first, unit.first + unit.count):
                if (task.id, sample) in self.done:
                    continue
                if runs and runs[-1][0] is task and runs[-1][1].stop == sample:
                    runs[-1] = task, range(runs[-1][1].start, sample + 1)
                else:
                    runs.append((task, range(sample, sample + 1)))
        return runs

    def count(self, rows: Sequence[Row], lost: str) -> None:
        """Raise UserError where no completion arrived, or too many verdicts failed."""
        self.done |= {(row["task_id"], row["sample"]) for row in rows}
        self.failed += sum(map(_is_infra_error, rows))
        self.tokens += sum(row["tokens"] for row in rows)
        self.lost = lost or self.lost
        self._tell()
        if lost and not rows:
            self.complain()

    def complain(self) -> None:
        if self.lost:
            raise UserError(
                f"{self.drawing.name}: {self.drawing.expected - len(self.done)} of "
                f"{self.drawing.expected} completions are lacking; evaluate again to draw them. "
                f"{self.lost}"
            )

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(len(self.done), self.drawing.expected, self.tokens)
        drawing = self.drawing
        check_infra_errors(self.failed, drawing.expected, drawing.max_infra_errors, drawing.name)


def _draw(
    completer: Completer, drawing: Drawing, lacking: Sequence[tuple[Task, range]]
) -> tuple[list[Row], str]:
    """Draw; return graded rows in the order of tasks and samples, and why some are missing."""
    by_run: dict[range, list[Task]] = {}
    for task, run in lacking:
        by_run.setdefault(run, []).append(task)
    drawn: dict[tuple[str, int], tuple[Task, Completion]] = {}
    lost = ""
    for run, tasks in by_run.items():
        groups: Sequence[Sequence[Completion | None]]
        try:
            groups = completer(tasks, len(run), seed=drawing.seed, first=run.start)
        except Undrawn as error:
            groups, lost = error.groups, str(error)
        if [len(group) for group in groups] != [len(run)] * len(tasks):
            raise ValueError(f"the completer owes {len(run)} completions for each of {len(tasks)}")
        for task, group in zip(tasks, groups, strict=True):
            completions = zip(run, group, strict=True)
            drawn |= {(task.id, i): (task, c) for i, c in completions if c is not None}
    keys = [(task.id, i) for task, run in lacking for i in run if (task.id, i) in drawn]
    return _graded(drawing, {key: drawn[key] for key in keys}), lost


def _graded(
    drawing: Drawing, drawn: Mapping[tuple[str, int], tuple[Task, Completion]]
) -> list[Row]:
    tasks, texts = [t for t, _ in drawn.values()], [c.text for _, c in drawn.values()]
    verdicts = _verdicts(drawing, tasks, texts)
    return [
        {"task_id": task.id, "sample": sample, "completion": completion.text}
        | verdict
        | {
            "finish_reason": completion.finish_reason,
            "tokens": completion.tokens,
            "prompt_tokens": completion.prompt_tokens,
            "confidence": completion.confidence,
            "seed": sample_seed(drawing.seed, task.id, sample),
            "model": drawing.model,
        }
        for ((_, sample), (task, completion)), verdict in zip(drawn.items(), verdicts, strict=True)
    ]


def _verdicts(drawing: Drawing, tasks: Sequence[Task], texts: Sequence[str]) -> list[Row]:
    """Return what each row says of its verdict; nothing where nobody grades."""
    graders = drawing.graders
    if graders is None:
        return [{} for _ in tasks]
    verdicts = graders.verify_many(tasks, texts)
    return [verdict_row(t, v, graders) for t, v in zip(tasks, verdicts, strict=True)]


def drop_repeats(drawing: Drawing) -> int:
    """Write the file anew where it holds the same rows twice; how many went."""
    cells = drawing.cells()
    if not cells:
        return 0
    repeated = sum(1 for _ in numbered_rows(drawing.path)) - len(cells)
    if repeated:
        write_jsonl(drawing.path, cells.values())
    return repeated


def grade_again(drawing: Drawing) -> Cells:
    """Return what the file holds; verdicts that failed for reasons of ours are given anew.

    So are those that a common file lacks, where its completions were drawn without a grader.
    """
    cells = drawing.cells()
    if drawing.graders is None:
        return cells
    failed = [key for key, row in cells.items() if "correct" not in row or _is_infra_error(row)]
    if failed:
        by_id = {task.id: task for task in drawing.tasks}
        texts = [cells[key]["completion"] for key in failed]
        verdicts = _verdicts(drawing, [by_id[task_id] for task_id, _ in failed], texts)
        for key, verdict in zip(failed, verdicts, strict=True):
            cells[key] = cells[key] | verdict
        rows = {(row["task_id"], row["sample"]): row for _, row in numbered_rows(drawing.path)}
        write_jsonl(drawing.path, (rows | cells).values())
    return cells


def _is_infra_error(row: Row) -> bool:
    return row.get("status") == "infra_error"
