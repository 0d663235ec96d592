"""Grade published model outputs again and compare with what was published, sample by sample.

    python tests/benchmarks/published.py FOLDER [--data DATA] [--show N] [--limit N] [--only WORD]

FOLDER holds, at any depth, files as these repositories have them; what is not there is left out:

    openai/human-eval         data/example_samples.jsonl and data/example_problem.jsonl
    noahshinn/reflexion       programming_runs/root/RUN/*_pass_at_*1*.jsonl of humaneval-py
    openai/grade-school-math  grade_school_math/data/example_model_solutions.jsonl
    microsoft/ToRA            src/outputs/llm-agents/MODEL/gsm8k/test_*.jsonl and .metrics
    microsoft/rho             rho-1/outputs.zip, unpacked: MODEL/BENCHMARK/test_*.jsonl and .json
    TIGER-AI-Lab/MMLU-Pro     eval_results/model_outputs_*_5shots.zip
    LiveCodeBench/submissions MODEL/Scenario.codegeneration_*_eval_all.json

DATA is the folder of task files (TTC_RL_DATA); --show prints that many disagreements of each kind.
Not covered: LiveCodeBench's hidden tests; with public ones a program can only be let through.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import ast
import json
import math
import os
import re
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ttc_eval.harness.interchange.foreign import Finder, Foreign
from ttc_eval.harness.interchange.human_eval import read as read_human_eval
from ttc_eval.report.tables import Table
from ttc_rl.config import SourceConfig
from ttc_rl.corpus.benchmark_config import load_config
from ttc_rl.corpus.benchmarks import Benchmark, load_benchmark
from ttc_rl.corpus.sources import load_source
from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers import verify_many

DATA = os.environ.get("TTC_RL_DATA", str(Path(__file__).parents[3] / "shared" / "data"))


@dataclass
class Published:
    """One published file of one model: rows, and the score that its publisher gives."""

    benchmark: str
    model: str
    rows: list[Foreign]
    """`values` hold completion, and what the file says: correct, gold, and read (the answer)."""
    tasks: list[Task]
    score: float | None = None
    """As printed by the publisher; None where only the verdicts of samples are published."""
    fallback: bool = False
    """Read answers without a box: these models were not asked to box them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    rows, causes = [], Counter[str]()
    for published in find(asked.folder, asked.data):
        if asked.only.lower() in f"{published.benchmark} {published.model}".lower():
            published.rows = published.rows[: asked.limit]
            rows.append(compare(published, asked.show, causes))
            print(" ".join(rows[-1]), file=sys.stderr)
    if not rows:
        sys.exit(f"{asked.folder}: none of the published files is there; see --help")
    columns = ["benchmark, model", "n", "published", "theirs", "ours"]
    columns += ["same", "only theirs", "only ours", "undecided", "s"]
    note = "Shares in percent. theirs: mean of the verdicts in the file."
    print(Table("Published outputs, graded again", columns, rows, note).markdown())
    listed = [[cause, f"{count:,}"] for cause, count in sorted(causes.items())]
    print(Table("Why verdicts differ", ["benchmark, whose verdict is right, cause", "n"], listed)
          .markdown())  # fmt: skip


def compare(published: Published, show: int, causes: Counter[str]) -> list[str]:
    finder = Finder(published.tasks, {"": "mmlu_pro/"} | LCB)
    tasks = [finder.find(row) for row in published.rows]
    begun = time.monotonic()
    texts = [row.values["completion"] for row in published.rows]
    verdicts = verify_many(tasks, texts, fallback=published.fallback)
    seconds = time.monotonic() - begun
    theirs = [row.values.get("correct") for row in published.rows]
    pairs = list(zip(theirs, [v.correct is True for v in verdicts], strict=True))
    told = None not in theirs
    for kind, wanted in (("only theirs", (True, False)), ("only ours", (False, True))):
        found = [i for i, pair in enumerate(pairs) if pair == wanted]
        for n, i in enumerate(found):
            cause = why(tasks[i], published.rows[i], verdicts[i])
            causes[f"{published.benchmark.partition(',')[0]}, {kind}: {cause}"] += 1
            if n < show:
                explain(kind, tasks[i], published.rows[i], verdicts[i])
    return [
        f"{published.benchmark}, {published.model}",
        f"{len(tasks):,}",
        percent(published.score),
        percent(sum(map(bool, theirs)) / len(tasks)) if told else "-",
        percent(sum(v.correct is True for v in verdicts) / len(tasks)),
        f"{sum(a == b for a, b in pairs):,}" if told else "-",
        str(pairs.count((True, False))) if told else "-",
        str(pairs.count((False, True))) if told else "-",
        str(sum(v.correct is None for v in verdicts)),
        f"{seconds:.0f}",
    ]


def why(task: Task, row: Foreign, verdict: Verdict) -> str:
    """What can be told from the file and the verdict alone."""
    said = row.values
    if task.kind == "code":
        failed = "a test fails" if verdict.status == "ok" else verdict.status
        return "public tests let it through" if verdict.correct else failed
    if said.get("gold", task.gold) != task.gold:
        return "their file has another gold"
    letters = re.findall(r"answer is \(?([A-J])\b", said["completion"])
    if verdict.correct and task.kind == "math":
        return "the same value; they compare other words"
    if "\\\\" in str(verdict.answer):
        return "a doubled backslash, which they take for one"
    if verdict.answer is None and task.kind != "choice":
        return "no box; they read the program's output"
    if verdict.answer is None:
        return "we read no answer" if letters else "no letter after 'answer is': they guess one"
    if "read" in said and said["read"] is None:
        return "they read no answer"
    if task.kind == "choice":
        if said["read"] in letters:
            return "several answers: they read the first, we the last"
        return "no letter after 'answer is': they guess one, we read a box or the next line"
    if near(str(verdict.answer), str(task.gold)):
        return "a hundredth of the gold, or a hundred times it"
    return "read from other words"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def explain(kind: str, task: Task, row: Foreign, verdict: Verdict) -> None:
    print(f"--- {kind}: {task.meta.get('id')} ({row.where}) gold {task.gold!r}", file=sys.stderr)
    print(f"    read {str(verdict.answer)[-80:]!r}, {verdict.status}: {verdict.reason[:200]}",
          file=sys.stderr)  # fmt: skip
    print(f"    ... {row.values['completion'][-300:]!r}", file=sys.stderr)


# --------------------------------------------------------------------------- what is published


def find(folder: Path, data: str) -> Iterator[Published]:
    for path in sorted(folder.rglob("example_samples.jsonl")):
        yield human_eval(path)
    for path in sorted(folder.rglob("*human*eval*py*/*pass_at_*.jsonl")):
        yield reflexion(path, load_benchmark("humaneval", data))
    for path in sorted(folder.rglob("example_model_solutions.jsonl")):
        yield from grade_school_math(path, load_benchmark("gsm8k", data))
    for path in sorted(folder.rglob("gsm8k/test_*.jsonl")):
        if path.with_suffix(".metrics").exists():
            yield tora(path, load_benchmark("gsm8k", data))
    for name, ours in RHO.items():
        for path in sorted(folder.rglob(f"rho-math-*/{name}/test_*.jsonl")):
            yield rho(path, load_benchmark(ours, data))
    for path in sorted(folder.rglob("model_outputs_*.zip")):
        yield mmlu_pro(path, load_benchmark("mmlu-pro", data))
    for path in sorted(folder.rglob("Scenario.codegeneration_*_eval_all.json")):
        yield livecodebench(path, load_benchmark("livecodebench", data))


def human_eval(path: Path) -> Published:
    """Six completions of one problem; its README says 0.5."""
    known = load_config("humaneval").source
    problem = str(path.with_name("example_problem.jsonl"))
    source = SourceConfig(path=problem, shape="humaneval", meta=known.meta if known else {})
    return Published(
        "HumanEval example", "-", list(read_human_eval(path)), load_source(source).tasks, 0.5
    )


def reflexion(path: Path, benchmark: Benchmark) -> Published:
    """Programs of GPT-4, whole or from the body on, with `is_solved`."""
    rows = [
        replace(row, values=row.values | {"correct": str(row.values["is_solved"]) == "True"})
        for row in read_human_eval(path)
    ]
    return Published("HumanEval", path.parent.name, rows, benchmark.tasks)


def grade_school_math(path: Path, gsm8k: Benchmark) -> Iterator[Published]:
    """Solutions that end with `A: 18`, of four models, each with `is_correct`."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
        rows = [
            Foreign(
                f"{path.name}:{i}",
                {"completion": line[model]["solution"], "correct": line[model]["is_correct"]},
                prompt=line["question"],
            )
            for i, line in enumerate(lines, 1)
        ]
        yield Published("GSM8K", model, rows, gsm8k.tasks, fallback=True)


def tora(path: Path, gsm8k: Benchmark) -> Published:
    """Programs, their output and a boxed answer; the score stands in the file beside.

    The verdict is made of `pred` and `gt` by the rule of its src/eval/grader.py for numbers.
    """
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    rows = [
        Foreign(
            f"{path.name}:{i}",
            {"completion": line["code"][0], "correct": near(line["pred"][0], line["gt"])},
            prompt=line["question"],
        )
        for i, line in enumerate(lines, 1)
    ]
    said = re.search(r"Mean score: \[([\d.]+)\]", path.with_suffix(".metrics").read_text())
    score = float(said[1]) / 100 if said else None
    return Published("GSM8K", path.parents[1].name, rows, gsm8k.tasks, score)


RHO = {"gsm8k": "gsm8k", "minerva_math": "math500"}
"""Folder of a benchmark in microsoft/rho -> its name here."""


def rho(path: Path, benchmark: Benchmark) -> Published:
    """Solutions that end with "The final answer is $42$", or programs with a box, with verdicts.

    Those of the base models (`cot`) were never asked for a box.
    """
    (about,) = path.parent.glob(f"{path.stem}_*_metrics.json")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    rows = [
        Foreign(
            f"{path.parents[1].name}:{i}",
            {"completion": line["code"][0], "correct": line["score"][0], "read": line["pred"][0]},
            prompt=line["question"],
        )
        for i, line in enumerate(lines, 1)
    ]
    name = "GSM8K" if path.parent.name == "gsm8k" else "MATH-500"
    score = json.loads(about.read_text())["acc"] / 100
    fallback = path.name.startswith("test_cot")
    return Published(name, path.parents[1].name, rows, benchmark.tasks, score, fallback)


def near(predicted: str, gold: str) -> bool:
    """Equal to a relative 1e-4, or a hundred times or a hundredth of the gold."""
    try:
        value, right = (float(str(text).replace(",", "")) for text in (predicted, gold))
    except ValueError:
        return False
    return any(math.isclose(right * by, value, rel_tol=1e-4) for by in (0.01, 1, 100))


README = {"Qwen1.5-72B-Chat": 0.5264}
"""Overall accuracy in the README of MMLU-Pro, of models whose outputs are in the repository."""


def mmlu_pro(path: Path, benchmark: Benchmark) -> Published:
    """Five-shot completions with the letter that was read, `pred`."""
    model = re.sub(r"^model_outputs_|_5shots\.zip$", "", path.name)
    with zipfile.ZipFile(path) as packed:
        lines = json.loads(packed.read(packed.namelist()[0]))
    objects = [line for line in lines if isinstance(line, dict)]
    if len(objects) < len(lines):
        print(f"{path.name}: {len(lines) - len(objects)} rows are no objects", file=sys.stderr)
    rows = [
        Foreign(
            f"{path.name}:{i}",
            {
                "completion": said(line),
                "correct": line["pred"] == line["answer"],
                "read": line["pred"],
                "gold": line["answer"],
            },
            str(line["question_id"]),
        )
        for i, line in enumerate(objects, 1)
    ]
    return Published("MMLU-Pro", model, rows, benchmark.tasks, README.get(model))


def said(line: dict[str, Any]) -> str:
    return str(line["generated_text"] if "generated_text" in line else line["model_outputs"])


LCB = {"lcb:": "lcb/"}


def livecodebench(path: Path, benchmark: Benchmark) -> Published:
    """One completion a problem, graded on hidden tests too; two problems are not in our file."""
    known = {str(task.meta["id"]) for task in benchmark.tasks}
    rows = [
        Foreign(
            f"{path.parent.name}:{i}",
            {"completion": texts(line["output_list"])[0], "correct": line["graded_list"][0]},
            f"lcb:{line['question_id']}",
        )
        for i, line in enumerate(json.loads(path.read_text("utf-8")), 1)
        if f"lcb/{line['question_id']}" in known
    ]
    return Published("LiveCodeBench, public tests", path.parent.name, rows, benchmark.tasks)


def texts(value: Any) -> list[str]:
    """A list, or the text that Python prints for one."""
    return ast.literal_eval(value) if isinstance(value, str) else value


if __name__ == "__main__":
    main()
