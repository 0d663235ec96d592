"""Sample files of other tools, read and written: HumanEval and EvalPlus, lighteval, Inspect.

What a file is follows from what stands in it, not from its name. `read_samples` gives our sample
rows, to be graded anew; `export` writes a result of ours in one of the formats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ttc_eval.harness.interchange import human_eval, inspect_log, lighteval_details
from ttc_eval.harness.interchange.foreign import Exported, Finder, Foreign
from ttc_eval.harness.results import DRAW_ANEW
from ttc_eval.records import read_result
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.run_dir import RunDir, check_vouched
from ttc_rl.sampling.samples import Cells, complete_rows, read_cells
from ttc_rl.schema import UserError

READERS: dict[str, Callable[[Path], Iterator[Foreign]]] = {
    "humaneval": human_eval.read,
    "lighteval": lighteval_details.read,
    "inspect": inspect_log.read_zip,
    "inspect-json": inspect_log.read_json_log,
}
WRITERS: dict[str, tuple[str, Callable[[Exported, Path], None]]] = {
    "humaneval": (".jsonl", human_eval.write),
    "lighteval": (".parquet", lighteval_details.write),
    "inspect": (".eval", inspect_log.write_zip),
    "inspect-json": (".inspect.json", inspect_log.write_json_log),
}
"""Format -> ending of its files, and who writes it."""


ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".eval")
"""Of the files that are read out of a folder."""


def sniff(path: Path) -> str:
    """Return which of READERS a file is for."""
    if not path.exists():
        raise UserError(f"{path}: no such file")
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    if head.startswith(b"PAR1"):
        return "lighteval"
    if head.startswith(b"PK\x03\x04"):
        return "inspect"
    if path.name.endswith(".json") and head.startswith(b"{"):
        is_evalplus = human_eval.evalplus_results(path) is not None
        return "humaneval" if is_evalplus else "inspect-json"
    return "humaneval"


def read_samples(path: Path, benchmark: Benchmark, *, unknown: list[str] | None = None) -> Cells:
    """Read rows by (our task id, sample). A row that does not say which sample it is takes the
    next.

    `path` is a file, or a folder of files. With a list `unknown`, rows of other tasks are passed
    over, and their names noted there. Raises UserError naming the first row whose task is
    uncertain, or that occurs twice.
    """
    finder, cells, seen = Finder(benchmark.tasks, benchmark.aliases), Cells(), Counter[str]()
    for row in (row for file in _files(path) for row in READERS[sniff(file)](file)):
        task = finder.known(row)
        if task is None:
            if unknown is None:
                raise UserError(
                    f"{row.where}: task {row.name!r} is not in this benchmark; --skip-unknown "
                    "passes over such rows"
                )
            unknown.append(row.name)
            continue
        sample = row.sample if row.sample is not None else seen[task.id]
        if (task.id, sample) in cells:
            raise UserError(f"{row.where}: task {row.name} sample {sample} occurs twice")
        seen[task.id] += 1
        cells[task.id, sample] = row.values
    if not cells:
        raise UserError(f"{path}: holds no completions")
    return cells


def _files(path: Path) -> list[Path]:
    """Return the file, or those of a folder by name."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.name.endswith(ENDINGS))
    if not files:
        raise UserError(f"{path}: holds no sample file ({', '.join(ENDINGS)})")
    return files


def export(run: RunDir, benchmark: Benchmark, model: str, to: str, out: Path | None = None) -> Path:
    """Write one model's samples on a benchmark in another tool's format; returns the file.

    `out` is a file; RUN/export/BENCHMARK/MODEL.* when left out, since `eval/` holds results alone.
    """
    if to not in WRITERS:
        raise UserError(f"format {to!r}: not one of {', '.join(WRITERS)}")
    ending, write = WRITERS[to]
    samples, result = run.samples(benchmark.name, model), run.result(benchmark.name, model)
    if not samples.exists() or not result.exists():
        names = ", ".join(run.models(benchmark.name)) or "none"
        raise UserError(f"{samples}: no such result; models with one on {benchmark.name}: {names}")
    held = read_result(result)
    check_vouched(result, DRAW_ANEW, samples)
    cells = read_cells(samples, benchmark.tasks, held.samples)
    rows = complete_rows(cells, benchmark.tasks, held.samples)
    target = out or run.root / "export" / benchmark.name / f"{model}{ending}"
    write(Exported(benchmark, model, rows, held, samples.stat().st_mtime), target)
    return target
