"""A benchmark of four sums, a completer that needs no model, and a run folder to put them in."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from eval.benchmarks import Benchmark, benchmark_from_source
from ttc_rl.config import SourceConfig
from ttc_rl.schema import Completion, Task

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
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def sums(tmp_path: Path) -> Benchmark:
    return benchmark_from_source(
        "sums", SourceConfig(path=str(write_tasks(tmp_path / "sums.jsonl")))
    )


class Guesser:
    """Right with chance `skill`, else wrong, silent or cut; the same seed writes the same."""

    def __init__(self, skill: float = 0.5):
        self.skill, self.seeds = skill, list[int]()

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int
    ) -> list[list[Completion]]:
        self.seeds.append(seed)
        rng = random.Random(seed)
        return [[self.complete(task, rng) for _ in range(num_samples)] for task in tasks]

    def complete(self, task: Task, rng: random.Random) -> Completion:
        answer = task.gold if rng.random() < self.skill else rng.choice(["3", "4", None])
        if answer is None:
            return Completion("hmm, hmm", "length", 8)
        return Completion(rf"so \boxed{{{answer}}}", "stop", 5)


@pytest.fixture
def guesser() -> Guesser:
    return Guesser()
