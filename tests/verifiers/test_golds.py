"""Every gold we have: accepted itself, silence and another's gold rejected; the rest is listed."""

import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ttc_rl import load_tasks, verify
from ttc_rl.cli.app import app
from ttc_rl.corpus.sources import load_corpus
from ttc_rl.schema import Task
from ttc_rl.verifiers.golds import check_golds, markdown

SOURCES = [
    *("aime_1983_2021", "aqua_dev", "arc_challenge", "college_math", "commonsense_qa_train"),
    *("dapo_math_17k", "deepmind_mathematics", "deepscaler_subset", "gsm8k_train", "math_12k"),
    *("mmlu", "orz_subset", "quasar_mix", "scibench", "svamp", "theoremqa"),
    *("aime2024", "aime2025", "gsm8k_test", "math500", "mmlu_pro"),
]


@pytest.mark.parametrize("name", SOURCES)
def test_golds_of_every_source(data: Path, name: str):
    """At most 200 tasks a source; docs/verifiers.md has all of them."""
    (path,) = [*data.glob(f"corpus/{name}.jsonl*"), *data.glob(f"benchmarks/{name}.jsonl*")]
    tasks = load_tasks(str(path))
    for found in check_golds(random.Random(0).sample(tasks, min(200, len(tasks)))):
        assert found.failures == []
        assert found.accepted == found.silence_rejected == found.others_rejected == found.tasks


def test_what_cannot_be_graded_is_listed():
    golds = ["5", "~~", r"\frac{1}{", "the sum of all of its even terms", "yes", "1+1=3"]
    (found,) = check_golds([Task("math", "?", gold, meta={"id": gold}) for gold in golds])
    assert [line.partition(": ")[0] for line in found.unreadable] == [*golds[1:4], "1+1=3"]
    assert [line.partition(": ")[0] for line in found.failures] == [r"\frac{1}{"]
    assert markdown([found]).splitlines()[-1] == "|  | math | 6 | 5 | 6 | 6 | 4 |"


def test_a_command_lists_them(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"id": "a/1", "kind": "math", "prompt": "p", "answer": "~~"}\n'
        '{"id": "a/2", "kind": "choice", "prompt": "q", "answer": "E", '
        '"meta": {"options": ["x"]}}\n'
    )
    result = CliRunner().invoke(app, ["corpus", str(path), "--check"])
    assert "unreadable: a/1: '~~'" in result.output
    assert "failed: a/2: 'E': not accepted itself" in result.output
    assert "| t | choice | 1 | 0 | 1 | 1 | 0 |" in result.output


def test_rounded_golds_come_with_their_tolerance(data: Path):
    rounded = load_corpus(["scibench"], str(data)).tasks
    assert {task.meta["tolerance"] for task in rounded} == {0.05}
    task = next(task for task in rounded if task.gold == "0.0547")
    assert verify(task, r"\boxed{0.055}").correct is True
    assert verify(task, r"\boxed{0.06}").correct is False
    whole = next(t for t in load_corpus(["theoremqa"], str(data)).tasks if t.gold == "18")
    assert (whole.meta["tolerance"], whole.meta["answer_type"]) == (0.04, "integer")
    assert verify(whole, r"\boxed{18.5}").correct is False
