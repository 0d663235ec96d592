"""The script that grades published outputs again, on files of a few rows in their formats."""

import json
import runpy
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ttc_rl.corpus.benchmarks import load_benchmark

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "published.py"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def lines(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_nothing_found_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with pytest.raises(SystemExit, match="none of the published files is there"):
        run(monkeypatch, str(tmp_path))


def test_samples_of_human_eval(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any):
    problem = {"task_id": "test/0", "prompt": "def one():\n", "canonical_solution": "    return 1"}
    check = {"test": "def check(candidate):\n    assert candidate() == 1", "entry_point": "one"}
    lines(tmp_path / "data" / "example_problem.jsonl", problem | check)
    texts = ["    return 1", "  return 1", "    return 2", "\treturn 1"]
    samples = [{"task_id": "test/0", "completion": text} for text in texts]
    lines(tmp_path / "data" / "example_samples.jsonl", *samples)
    run(monkeypatch, str(tmp_path), "--data", "nowhere")
    assert "| HumanEval example, - | 4 | 50.00 | - | 75.00 |" in capsys.readouterr().out


def test_verdicts_are_compared_and_differences_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path, capsys: Any
):
    tasks = load_benchmark("mmlu-pro", str(data)).tasks[:3]
    said = ["The answer is ({}).", "The answer is ({}). Next: the answer is (Z).", "I do not know."]
    rows = [
        {
            "question_id": int(str(task.meta["id"]).partition("/")[2]),
            "answer": task.gold,
            "pred": task.gold,
            "generated_text": text.format(task.gold),
        }
        for task, text in zip(tasks, said, strict=True)
    ]
    with zipfile.ZipFile(tmp_path / "model_outputs_tiny_5shots.zip", "w") as packed:
        packed.writestr("tiny.json", json.dumps(rows))
    run(monkeypatch, str(tmp_path), "--data", str(data))
    out = capsys.readouterr().out
    assert "| MMLU-Pro, tiny | 3 | - | 100.00 | 33.33 | 1 | 2 | 0 | 0 |" in out
    assert "| MMLU-Pro, only theirs: we read no answer | 1 |" in out
    assert "| MMLU-Pro, only theirs: no letter after 'answer is': they guess one | 1 |" in out


def test_solutions_that_state_an_answer_without_a_box(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path, capsys: Any
):
    tasks = load_benchmark("math500", str(data)).tasks[:3]
    said = "Final Answer: The final answer is ${}$. I hope it is correct."
    rows = [
        {
            "question": task.prompt,
            "code": [said.format(text)],
            "pred": [text],
            "score": [True],
        }
        for task, text in zip(tasks, [tasks[0].gold, tasks[1].gold, r"\\frac{1}{2}"], strict=True)
    ]
    path = tmp_path / "rho-math-1b-v0.1" / "minerva_math" / "test_cot_-1.jsonl"
    lines(path, *rows)
    path.with_name("test_cot_-1_cot_metrics.json").write_text('{"acc": 100.0}')
    run(monkeypatch, str(tmp_path), "--data", str(data))
    out = capsys.readouterr().out
    assert "| MATH-500, rho-math-1b-v0.1 | 3 | 100.00 | 100.00 | 66.67 | 2 | 1 | 0 |" in out
    assert "only theirs: a doubled backslash, which they take for one | 1 |" in out
