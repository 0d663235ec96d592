"""Draw completions for a benchmark, grade them, and write every one down.

A sample file only ever grows: killed at any moment, the next call draws what lacks, with the seeds
it would have had, and appends it. Several processes share the work through `eval.work.Queue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttc_eval.harness.results import (
    DRAW_ANEW,
    Cells,
    Row,
    check_gradable,
    complete_rows,
    numbered_rows,
    read_cells,
    write_result,
)
from ttc_eval.records import Asked, ModelResult, Sampling, read_result
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.run_dir import (
    QUEUE,
    RunDir,
    append_jsonl,
    check_vouched,
    drop_cut_line,
    sha256,
    write_jsonl,
)
from ttc_rl.sampling.work_queue import Queue, Unit, units
from ttc_rl.schema import Completer, Completion, Task, Undrawn, UserError, Verdict, sample_seed
from ttc_rl.verifiers import BUILT_IN, Graders, check_infra_errors

MAX_INFRA_ERRORS = 0.05
"""An evaluation stops when more than this share of its verdicts failed for reasons of ours."""
Progress = Callable[[int, int, int], None]
"""Called at first and after every batch: samples done, samples in all, tokens written here."""


@dataclass(frozen=True)
class Drawing:
    """What is drawn: `samples` completions of each task, into one file.

    `model` is kept in every row: a file is not gone on with by another model.
    """

    name: str
    tasks: Sequence[Task]
    samples: int
    path: Path
    seed: int = 0
    model: str | None = None
    graders: Graders = BUILT_IN

    @property
    def expected(self) -> int:
        return len(self.tasks) * self.samples

    def cells(self) -> Cells:
        """What the file holds so far. Raises UserError where another model drew it."""
        rows = read_cells(self.path, self.tasks, self.samples)
        drawn_by = {row.get("model") for row in rows.values()} - {None, self.model}
        if drawn_by:
            raise UserError(
                f"{self.path}: holds completions of weights {drawn_by.pop()}, now {self.model} are "
                "evaluated; delete it to draw anew"
            )
        return rows

    @property
    def lacking(self) -> int:
        """How many completions are still to be drawn; with 0 there is no need to load a model."""
        return self.expected - len(self.cells())

    @property
    def queue_folder(self) -> Path:
        return self.path.with_name(f"{self.path.name.removesuffix('.samples.jsonl')}{QUEUE}")

    def queue(self, *, batch: int, workers: int = 1) -> Queue:
        """The units of this drawing, shared with whoever opens the same queue."""
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


UNITS = 64
"""Into about as many units a shared drawing is cut: enough for a balanced end on many engines."""


def evaluate(
    completer: Completer, drawing: Drawing, *, batch: int = 64, progress: Progress | None = None
) -> None:
    """Fill the drawing's file until it holds every sample, graded; `batch` of them at once.

    Raises UserError where some could not be had; what could is kept.
    """
    check_gradable(drawing.name, drawing.tasks)
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


def share(
    completer: Callable[[], Completer],
    drawing: Drawing,
    queue: Queue,
    *,
    batch: int = 64,
    progress: Progress | None = None,
) -> None:
    """Do units of the queue until others hold all that are left. Nothing is written to the file."""
    check_gradable(drawing.name, drawing.tasks)
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
    """All units' rows into the file, each sample once, whole or not at all."""
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
        """Each task's missing samples, as runs."""
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
        """Raises UserError where not one completion could be had, or too many verdicts failed."""
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
        check_infra_errors(self.failed, self.drawing.expected, MAX_INFRA_ERRORS, self.drawing.name)


def _draw(
    completer: Completer, drawing: Drawing, lacking: Sequence[tuple[Task, range]]
) -> tuple[list[Row], str]:
    """Graded rows in the order of tasks and samples, and why some are lacking."""
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
    verdicts = drawing.graders.verify_many(tasks, texts)
    return [
        sample_row(task, sample, completion.text, verdict, drawing.graders)
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
    """What the file holds; verdicts that failed for reasons of ours are given anew."""
    cells = drawing.cells()
    failed = [key for key, row in cells.items() if _is_infra_error(row)]
    if failed:
        by_id = {task.id: task for task in drawing.tasks}
        texts = [cells[key]["completion"] for key in failed]
        verdicts = drawing.graders.verify_many([by_id[task_id] for task_id, _ in failed], texts)
        for key, text, verdict in zip(failed, texts, verdicts, strict=True):
            row = sample_row(by_id[key[0]], key[1], text, verdict, drawing.graders)
            cells[key] = cells[key] | row
        write_jsonl(drawing.path, cells.values())
    return cells


def _is_infra_error(row: Row) -> bool:
    return row.get("status") == "infra_error"


def sample_row(task: Task, sample: int, completion: str, verdict: Verdict, graders: Graders) -> Row:
    row = {
        "task_id": task.id,
        "sample": sample,
        "completion": completion,
        "answer": verdict.answer,
        "correct": verdict.correct,
        "status": verdict.status,
        "reason": verdict.reason,
        "verifier": graders.version(task.kind),
    }
    return row if verdict.share is None else row | {"share": verdict.share}


# --------------------------------------------------------------------------- in a run folder


def greedy_path(run: RunDir, benchmark: str, model: str) -> Path:
    return run.samples(benchmark, f"{model}.greedy")


def drawings(
    run: RunDir,
    benchmark: Benchmark,
    model: str,
    samples: int,
    *,
    greedy: bool = False,
    seed: int = 0,
    weights: str | None = None,
    graders: Graders = BUILT_IN,
) -> list[Drawing]:
    """What one model owes on one benchmark: its samples and, if asked, a greedy completion each."""
    path = run.samples(benchmark.name, model)
    all_drawings = [Drawing(benchmark.name, benchmark.tasks, samples, path, seed, weights, graders)]
    if greedy:
        path = greedy_path(run, benchmark.name, model)
        all_drawings.append(
            Drawing(benchmark.name, benchmark.tasks, 1, path, seed, weights, graders)
        )
    return all_drawings


def evaluate_model(
    completer: Completer | None,
    benchmark: Benchmark,
    sampling: Sampling,
    run: RunDir,
    model: str,
    *,
    greedy: Completer | None = None,
    batch: int = 64,
    seed: int = 0,
    weights: str | None = None,
    progress: Progress | None = None,
    engine: str | None = None,
    prompts: dict[str, str] | None = None,
    versions: dict[str, Any] | None = None,
    graders: Graders = BUILT_IN,
) -> ModelResult:
    """Write everything one model leaves on one benchmark; return what MODEL.json holds.

    A completer may be None where nothing is lacking: then the numbers are made anew from the sample
    files. `greedy` is one at temperature 0. MODEL.json keeps `engine`, `prompts` and `versions`.
    """
    result = run.result(benchmark.name, model)
    _same_question(result, sampling, seed)
    tasks, samples = benchmark.tasks, sampling.samples
    all_drawings = drawings(
        run,
        benchmark,
        model,
        samples,
        greedy=greedy is not None,
        seed=seed,
        weights=weights,
        graders=graders,
    )
    _same_samples(result, all_drawings)
    for drawing, drawn_by in zip(all_drawings, (completer, greedy), strict=False):
        if drawn_by is not None:
            evaluate(drawn_by, drawing, batch=batch, progress=progress)
    path, once_path = run.samples(benchmark.name, model), greedy_path(run, benchmark.name, model)
    rows = complete_rows(read_cells(path, tasks, samples), tasks, samples)
    greedy_rows = None
    if once_path.exists():
        greedy_rows = [g[0] for g in complete_rows(read_cells(once_path, tasks, 1), tasks, 1)]
    files = [path, *([once_path] if once_path.exists() else [])]
    question = Asked(
        benchmark=benchmark.name,
        tasks_hash=benchmark.tasks_hash,
        model=model,
        seed=seed,
        sampling=sampling,
        weights=weights,
        samples_sha256=sha256(path),
        engine=engine,
        prompts=prompts,
        versions=versions,
    )
    return write_result(result, benchmark, question, rows, sampling.k, greedy_rows, files, graders)


def _same_samples(result: Path, all_drawings: Sequence[Drawing]) -> None:
    """Raise UserError where samples that were counted hold something else now.

    What was cut is drawn again. Verdicts that failed for reasons of ours are given anew, and a kill
    may come before they are counted.
    """
    if not result.exists() or read_result(result).rates.infra_error:
        return
    whole = (drawing.path for drawing in all_drawings if not drawing.lacking)
    check_vouched(result, f"{DRAW_ANEW}; without {result} it is counted as it stands", *whole)


def _same_question(result: Path, sampling: Sampling, seed: int) -> None:
    """Refuse to go on with a finished result under other sampling; another k only counts anew."""
    if not result.exists():
        return
    old = read_result(result)
    first = {} if old.sampling is None else old.sampling.model_dump(exclude={"k"})
    for key, now in (sampling.model_dump(exclude={"k"}) | {"seed": seed}).items():
        before = (first | {"seed": old.seed}).get(key)
        if before != now:
            raise UserError(
                f"{result}: was evaluated with {key} {before}, now {now} is asked; delete "
                f"{result.with_suffix('')}.* to evaluate anew"
            )
