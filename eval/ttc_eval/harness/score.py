"""Grade completions that exist already: no model, no GPU.

Reads our own sample files and those of other tools; see eval/interchange.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ttc_eval.harness.interchange import read_samples
from ttc_eval.harness.measures import Measured, measure
from ttc_eval.harness.results import write_measured
from ttc_eval.records import Asked, GradedBefore, ModelResult
from ttc_rl.config import Recipe
from ttc_rl.config.marks import DEFAULT, Mark, marks_of
from ttc_rl.corpus.benchmarks import Benchmark, check_gradable, marked
from ttc_rl.run_dir import RESCORED, RunDir, write_jsonl
from ttc_rl.sampling.samples import Cells, Row, check_complete, verdict_row
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import BUILT_IN, Graders


@dataclass(frozen=True)
class Scored:
    """Where verdicts and numbers were written, the numbers, and what became of old verdicts."""

    samples_path: Path
    result_path: Path
    result: ModelResult
    graded_before: int
    changed: list[tuple[str, int, bool | None, bool | None]]
    """task_id, sample, correct before, correct now."""
    unread: Sequence[Mark]
    """The marks behind which no maths completion has an answer, where none was read otherwise."""


def score(
    samples_path: Path,
    benchmark: Benchmark,
    *,
    k: Sequence[int] = (),
    out: Path | None = None,
    fallback: bool = False,
    partial: bool = False,
    skip_unknown: bool = False,
    stop: Sequence[str] = (),
    graders: Graders = BUILT_IN,
) -> Scored:
    """Grade a sample file anew; `out` is the folder of the two files written, else beside it.

    With `fallback`, maths answers without a mark are read otherwise; each reason then says how.
    Samples in a run folder are read behind the marks of that run's recipe; its own kinds need its
    `graders`.

    The number of samples is that of the task with most. A task with fewer is an error; with
    `partial` it is left out, and counted. With `skip_unknown`, rows of tasks that the benchmark
    does not have are passed over, and counted. A completion is graded up to the first of the `stop`
    texts: base models run on.
    """
    check_gradable(benchmark.name, benchmark.tasks)
    recipe = recipe_of(samples_path)
    benchmark = marked(benchmark, recipe.answer_marks) if recipe else benchmark
    unknown: list[str] = []
    cells = read_samples(samples_path, benchmark, unknown=unknown if skip_unknown else None)
    for row in cells.values() if stop else ():
        row["completion"] = _cut(row["completion"], stop)
    counted = Counter(task_id for task_id, _ in cells)
    samples = max(counted.values())
    whole = [task for task in benchmark.tasks if counted[task.id] == samples]
    left_out = len(benchmark.tasks) - len(whole)
    if left_out and not partial:
        try:
            check_complete(cells, benchmark.tasks, samples)
        except UserError as error:
            raise UserError(f"{error}; --partial leaves such tasks out") from None
    benchmark = replace(benchmark, tasks=whole)
    counts = _fitting_k(benchmark, k, samples)
    stem = re.sub(r"(\.(jsonl|json|eval|parquet|samples|inspect))+$", "", samples_path.name)
    target = (out or samples_path.parent) / f"{stem}{RESCORED}.samples.jsonl"
    old, measured = _Old(), list[Measured]()

    def graded_rows() -> Iterator[Row]:
        for task, group in _graded(benchmark.tasks, cells, samples, fallback, old, graders):
            measured.append(measure(task, group, counts, graders))
            yield from group

    write_jsonl(target, graded_rows())
    result_path = target.with_name(f"{stem}{RESCORED}.json")
    maths = [task for task in benchmark.tasks if task.kind == "math"]
    marks: tuple[Mark, ...] = tuple(
        dict.fromkeys(mark for task in maths for mark in marks_of(task))
    )
    question = Asked(
        benchmark=benchmark.name,
        tasks_hash=benchmark.tasks_hash,
        samples_file=str(samples_path),
        fallback=fallback,
        answer_marks=list(marks) if marks not in ((), DEFAULT) else None,
        graded_before=old.counted(),
        left_out=left_out or None,
        unknown=len(unknown) or None,
        stop=list(stop) or None,
    )
    result = write_measured(result_path, benchmark, question, measured)
    silent = old.maths > 0 and old.silent == old.maths and not fallback
    unread = marks if silent else ()
    return Scored(target, result_path, result, old.graded, old.changed, unread)


def _cut(text: str, stop: Sequence[str]) -> str:
    """Return a text up to the first of the stops."""
    ends = [place for place in (text.find(word) for word in stop) if place >= 0]
    return text[: min(ends)] if ends else text


def recipe_of(samples_path: Path) -> Recipe | None:
    """Return the recipe of the run folder that an evaluation left the samples in."""
    for folder in samples_path.absolute().parents:
        if folder.name == "eval" and (run := RunDir(folder.parent)).recipe.exists():
            return run.load_recipe()
    return None


@dataclass
class _Old:
    """What the file's own verdicts were."""

    graded: int = 0
    by_others: int = 0
    """Of those, by another version of the verifier."""
    maths: int = 0
    silent: int = 0
    """Of the maths completions, those without an answer."""
    changed: list[tuple[str, int, bool | None, bool | None]] = field(default_factory=list)

    def compare(self, before: Row, now: Row) -> None:
        if str(now["verifier"]).startswith("math-"):
            self.maths += 1
            self.silent += now["status"] == "no_answer"
        if "correct" in before:
            self.graded += 1
            self.by_others += before.get("verifier") != now["verifier"]
            if before["correct"] is not now["correct"]:
                change = (now["task_id"], now["sample"], before["correct"], now["correct"])
                self.changed.append(change)

    def counted(self) -> GradedBefore | None:
        """Return what the result file says of them; None where there were none."""
        if not self.graded:
            return None
        moves = Counter(_direction(before, now) for _, _, before, now in self.changed)
        return GradedBefore(
            verdicts=self.graded,
            moved=len(self.changed),
            by_another_verifier=self.by_others,
            **{name: moves[name] for name in DIRECTIONS},
        )


DIRECTIONS = ("wrong_to_right", "right_to_wrong", "to_undecided", "from_undecided")


def _direction(before: bool | None, now: bool | None) -> str:
    """Return one of `DIRECTIONS`; the two verdicts differ."""
    if now is None:
        return "to_undecided"
    if before is None:
        return "from_undecided"
    return "wrong_to_right" if now else "right_to_wrong"


_FIELDS = "task_id sample completion answer correct status reason verifier finish_reason tokens"
"""The fields of a row, in their order, where the file that is graded does not have them."""


AT_ONCE = 4096
"""About so many completions are graded in one go: enough for all cores, few to hold."""


def _graded(
    tasks: Sequence[Task],
    cells: Cells,
    samples: int,
    fallback: bool,
    old: _Old,
    graders: Graders,
) -> Iterator[tuple[Task, list[Row]]]:
    """Yield each task with its graded rows. `cells` is emptied on the way: no row is held twice."""
    step = max(1, AT_ONCE // samples)
    for start in range(0, len(tasks), step):
        chunk = tasks[start : start + step]
        rows = [cells.pop((task.id, sample)) for task in chunk for sample in range(samples)]
        owners = [task for task in chunk for _ in range(samples)]
        texts = [row["completion"] for row in rows]
        verdicts = graders.verify_many(owners, texts, fallback=fallback)
        for place, task in enumerate(chunk):
            group = list[Row]()
            for sample in range(samples):
                row, verdict = rows[place * samples + sample], verdicts[place * samples + sample]
                now = {"task_id": task.id, "sample": sample, "completion": row["completion"]}
                now |= verdict_row(task, verdict, graders)
                group.append({**dict.fromkeys(_FIELDS.split()), **row, **now})
                old.compare(row, group[-1])
            yield task, group


def _fitting_k(benchmark: Benchmark, k: Sequence[int], samples: int) -> list[int]:
    """Return `k` as asked for, refused above the number of samples; else the defaults that fit."""
    if k and max(k) > samples:
        raise UserError(
            f"pass@{max(k)} needs at least {max(k)} samples per task; there are {samples}"
        )
    return list(k) or [count for count in benchmark.sampling.k or [1] if count <= samples]
