# ruff: noqa: T201
"""Seconds and memory to score, sum up and report a large sample file. Not run by pytest.

    python tests/benchmarks/scale.py make FOLDER [TASKS SAMPLES CHARACTERS]   1000 100 500
    python tests/benchmarks/scale.py score FOLDER            grade, MODEL.json, MODEL.tasks.jsonl
    python tests/benchmarks/scale.py summary FOLDER          summary.json of two such models
    python tests/benchmarks/scale.py report FOLDER           report.html and its pages

Limits to stay under, on one core, for 100,000 samples of 500 characters (48 MB): graded in 20 CPU
seconds and 250 MiB, summed up in 5 seconds and 150 MiB, reported with a page for each of the 1,000
tasks in 40 seconds and 250 MiB. Measured: 12 s and 153 MiB, 2 s and 99 MiB; the report of both
models on 2026-11-30, on a busy machine, 27 s and 185 MiB, nearly all of it for the 143 MB of pages.
Before rows were streamed and maj@k merged the classes that cannot win, grading took 20 s and
375 MiB.

Each stage is a process of its own: CPU seconds, its children's too, and the largest resident set.
Boxed integers among padding; a task's wrong answers are few and common, or many and rare.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import sys
import time
from pathlib import Path

from ttc_rl.config import Recipe, SourceConfig
from ttc_rl.corpus.benchmarks import Benchmark, benchmark_from_source
from ttc_rl.run_dir import RunDir

K = [1, 8, 16, 64]
WORDS = [
    "so",
    "we",
    "then",
    "find",
    "that",
    "the",
    "sum",
    "of",
    "both",
    "sides",
    "is",
    "equal",
    "half",
]


def make(folder: Path, tasks: int = 1000, samples: int = 100, characters: int = 500) -> None:
    rng = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "tasks.jsonl").open("w") as file:
        for i in range(tasks):
            row = {
                "id": f"t/{i}",
                "kind": "math",
                "prompt": f"Problem {i}?",
                "answer": str(1000 + i),
            }
            file.write(json.dumps(row) + "\n")
    for model, lift in (("base", 0.0), ("sift", 0.15)):
        with (folder / f"{model}.samples.jsonl").open("w") as file:
            for i in range(tasks):
                chance, wrong = min(1.0, rng.betavariate(0.4, 0.8) + lift), rng.choice([3, 12, 60])
                for _ in range(samples):
                    text = " ".join(rng.choices(WORDS, k=characters // 5))[: characters - 12]
                    if rng.random() < 0.97:
                        right = rng.random() < chance
                        answer = 1000 + i if right else 5000 + rng.randrange(wrong)
                        text += rf" \boxed{{{answer}}}"
                    file.write(json.dumps({"task_id": f"t/{i}", "completion": text}) + "\n")


def benchmark(folder: Path) -> Benchmark:
    return benchmark_from_source("large", SourceConfig(path=str(folder / "tasks.jsonl")))


def score(folder: Path) -> None:
    from ttc_eval.harness.score import score as grade

    grade(folder / "base.samples.jsonl", benchmark(folder), k=K)


def run_dir(folder: Path) -> RunDir:
    """A run folder around both results, graded where they are not yet."""
    from ttc_eval.harness.score import score as grade

    recipe = {"model": "m", "corpus": "c.jsonl", "target": str(folder / "tasks.jsonl")}
    run = RunDir.open(folder / "run", Recipe.model_validate(recipe), resume=True)
    name = "tasks"
    for model in ("base", "sift"):
        if not run.result(name, model).exists():
            grade(folder / f"{model}.samples.jsonl", benchmark(folder), k=K)
            run.result(name, model).parent.mkdir(parents=True, exist_ok=True)
            for end in (".json", ".tasks.jsonl", ".samples.jsonl"):
                source = folder / f"{model}.rescored{end}"
                target = run.result(name, model).with_name(model + end)
                target.write_bytes(source.read_bytes())
    return run


def summary(folder: Path) -> None:
    from ttc_eval.compare.summary import summary as whole
    from ttc_eval.records import write_record

    run = run_dir(folder)
    write_record(run.summary, whole(run, run.load_recipe()))


def report(folder: Path) -> None:
    from ttc_eval.report.material import read_material
    from ttc_eval.report.run_page import write_page

    run = run_dir(folder)
    write_page(read_material(run, run.load_recipe()))


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    stage, folder, *sizes = sys.argv[1:]
    start = time.perf_counter()
    {"make": make, "score": score, "summary": summary, "report": report}[stage](
        Path(folder), *map(int, sizes)
    )
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    cpu = sum(used.ru_utime + used.ru_stime for used in (own, children))
    print(f"{stage}: {time.perf_counter() - start:.1f} s, {cpu:.1f} CPU s, ", end="")
    print(f"{own.ru_maxrss / 1024:.0f} MiB (children {children.ru_maxrss / 1024:.0f})")
    for path in sorted(Path(folder).rglob("*.json")):
        if path.name.endswith("rescored.json"):
            print(f"  {path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}")


if __name__ == "__main__":
    main()
