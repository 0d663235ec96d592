"""Targets near the corpus, far from it, and unrelated to it come apart, on real texts."""

import os
from pathlib import Path

import numpy as np
import pytest

from ttc_rl.config import EmbedConfig
from ttc_rl.corpus.sources import load_tasks
from ttc_rl.embed.encoders import open_encoder
from ttc_rl.selection.certificate import coverage
from ttc_rl.selection.explain import VERDICTS, in_short, verdicts

DATA = Path(os.environ["TTC_RL_TEST_DATA"])
ODD = [
    "བོད་ཡིག་གི་ཡི་གེ་འདི་ཀློག་དང་། ཚིག་གི་དོན་ཅི་ཡིན།",
    "Show that the derived category of coherent sheaves of X determines its canonical ring.",
    "qwz xkjv plorf gnarble tzzt 9fj wibb frumious",
]


def summary(corpus: np.ndarray, targets: np.ndarray, prompts: list[str]) -> dict:
    found = coverage(corpus, targets, np.arange(20), 0.1)
    return {
        "method": "random",
        "uncertainty": {"start": 1.0, "after": 0.5, "random": found.random},
        "targets": [
            {"prompt": prompt, "uncertainty": left}
            for prompt, left in zip(prompts, found.targets, strict=True)
        ],
    }


def test_siblings_other_mathematics_and_nonsense_come_apart():
    file = DATA / "corpus" / "svamp.jsonl.gz"
    if not file.exists():
        pytest.skip(f"needs {file}")
    problems = [task.prompt for task in load_tasks(str(file))]
    aime = [task.prompt for task in load_tasks(str(DATA / "benchmarks" / "aime2025.jsonl"))]
    groups = [problems[900:940], aime, ODD]
    with open_encoder(EmbedConfig(), None) as encode:
        corpus = encode(problems[:900])
        found = [verdicts(summary(corpus, encode(texts), texts)) for texts in groups]
    counts = [[len(v[verdict]) for verdict in VERDICTS] for v in found if v is not None]
    siblings, other, nonsense = counts
    assert siblings == [40, 0, 0]
    assert other[1] > 0.8 * len(aime)
    assert nonsense == [0, 0, 3]


def test_a_selection_of_an_earlier_version_is_not_called_covered():
    old = {"uncertainty": {"start": 1, "after": 1}, "targets": [{"uncertainty": {"floor": 0.0}}]}
    assert verdicts(old) is None


def test_the_certificate_is_told_of_sift_alone():
    left = {"start": 64.0, "after": 2.11}
    told = {"uncertainty": left, "certificate": {"share": 0.975}, "size": 48}
    assert in_short({"method": "random"} | told) == "uncertainty about the target 64.00 -> 2.11"
    assert "certified to remove at least 97.5%" in in_short({"method": "sift"} | told)
