"""A benchmark of four sums, a completer that needs no model, and a run folder to put them in."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ttc_eval.harness.evaluate import evaluate_model
from ttc_eval.records import Sampling
from ttc_rl.config import Recipe, SourceConfig
from ttc_rl.corpus.benchmarks import Benchmark, benchmark_from_source
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import Completion, Task, sample_seed

SUMS = {"1+1": "2", "2+3": "5", "7+4": "11", "9+9": "18"}


def write_tasks(path: Path, sums: dict[str, str] = SUMS) -> Path:
    rows = [
        {
            "id": f"sums/{i}",
            "kind": "math",
            "prompt": f"What is {prompt}?",
            "answer": answer,
            "source": "sums",
            "meta": {"level": 1 + i % 2, "subject": ["Small Sums", "big"][i // 2 % 2]},
        }
        for i, (prompt, answer) in enumerate(sums.items())
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def sums(tmp_path: Path) -> Benchmark:
    return benchmark_from_source(
        "sums", SourceConfig(path=str(write_tasks(tmp_path / "sums.jsonl")))
    )


class Guesser:
    """Right with chance `skill`, else wrong, silent or cut; the same seed writes the same."""

    def __init__(self, skill: float = 0.5):
        self.skill, self.asked = skill, list[tuple[list[str], int, int]]()

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]:
        self.asked.append(([task.id for task in tasks], first, num_samples))
        samples = range(first, first + num_samples)
        return [
            [self.complete(t, random.Random(sample_seed(seed, t.id, i))) for i in samples]
            for t in tasks
        ]

    def complete(self, task: Task, rng: random.Random) -> Completion:
        answer = task.gold if rng.random() < self.skill else rng.choice(["3", "4", None])
        if answer is None:
            return Completion("hmm, hmm", "length", 8)
        return Completion(rf"so \boxed{{{answer}}}", "stop", 5)


@pytest.fixture
def guesser() -> Guesser:
    return Guesser()


def _make_run(
    folder: Path, target: str, seed: int, skills: dict[str, dict[str, float]], **keys: Any
) -> RunDir:
    """A finished run: `skills` is model -> benchmark -> chance to be right. Tasks are sums."""
    files = {name: write_tasks(folder.parent / f"{name}.jsonl", sums_of(name)) for name in KNOWN}
    recipe = Recipe.model_validate(
        {"model": "m", "corpus": "c.jsonl", "target": str(files[target]), "seed": seed} | keys
    )
    run = RunDir.open(folder, recipe)
    for model, by_benchmark in skills.items():
        for name, skill in by_benchmark.items():
            benchmark = benchmark_from_source(name, SourceConfig(path=str(files[name])))
            draws = hash_seed(seed, model)
            evaluate_model(
                Guesser(skill), benchmark, Sampling(samples=4, k=[1, 4]), run, model, seed=draws
            )
    return run


KNOWN = ("sums", "twos", "tens")


def sums_of(name: str) -> dict[str, str]:
    offset = {"sums": 0, "twos": 20, "tens": 100}[name]
    return {f"{i}+{offset}": str(i + offset) for i in range(offset + 10, offset + 22)}


def hash_seed(seed: int, model: str) -> int:
    return seed * 1000 + sum(model.encode())


@pytest.fixture
def make_run() -> Any:
    return _make_run
