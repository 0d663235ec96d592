"""Sample files of other tools: what is written can be read, and no row finds its task by guess."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ttc_eval.harness.evaluate import evaluate_model
from ttc_eval.harness.interchange import WRITERS, export, read_samples, sniff
from ttc_eval.harness.interchange.foreign import Finder, Foreign
from ttc_eval.harness.score import score
from ttc_eval.records import Sampling, read_result
from ttc_rl.config import Recipe
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.run_dir import RunDir, read_jsonl, write_jsonl
from ttc_rl.schema import Task, UserError

KEPT = ("completion", "answer", "correct", "status", "reason", "finish_reason", "tokens")


@pytest.fixture
def run(sums: Benchmark, guesser: Any, tmp_path: Path) -> RunDir:
    recipe = Recipe.model_validate({"model": "m", "corpus": "c.jsonl", "target": "sums"})
    run = RunDir.open(tmp_path / "run", recipe)
    evaluate_model(guesser, sums, Sampling(samples=3, k=[1]), run, "base")
    return run


def ours(run: RunDir) -> dict[tuple[str, int], dict[str, Any]]:
    rows = read_jsonl(run.samples("sums", "base"))
    return {(row["task_id"], row["sample"]): row for row in rows}


@pytest.mark.parametrize("to", WRITERS)
def test_what_is_exported_comes_back_whole_and_is_graded_the_same(
    run: RunDir, sums: Benchmark, to: str
):
    path = export(run, sums, "base", to)
    assert sniff(path) == to
    assert run.models("sums") == ["base"]  # an export is no result
    back, before = read_samples(path, sums), ours(run)
    assert list(back) == list(before)
    for key, row in back.items():
        assert [row.get(k) for k in KEPT] == [before[key][k] for k in KEPT]
    scored = score(path, sums)
    assert (scored.graded_before, scored.changed) == (12, [])
    old = read_result(run.result("sums", "base"))
    assert scored.result.metrics["avg@3"] == old.metrics["avg@3"]


def test_an_export_of_what_is_not_there_says_what_is(run: RunDir, sums: Benchmark):
    with pytest.raises(UserError, match="no such result; models with one on sums: base"):
        export(run, sums, "sift", "inspect")
    with pytest.raises(UserError, match="format 'csv': not one of humaneval, lighteval, inspect"):
        export(run, sums, "base", "csv")


# --------------------------------------------------------------------------- HumanEval, EvalPlus

INC = Task(
    "code",
    'def inc(x):\n    """x + 1"""\n',
    tests=({"type": "check", "code": "def check(f):\n    assert f(1) == 2", "entry_point": "inc"},),
    meta={"id": "HumanEvalPlus/0"},
)


def test_humaneval_results_and_evalplus_solutions_are_read(tmp_path: Path):
    benchmark = Benchmark("plus", [INC], aliases={"HumanEval/": "HumanEvalPlus/"})
    rows = [
        {"task_id": "HumanEval/0", "completion": "    return x + 1", "passed": True},
        {"task_id": "HumanEval/0", "solution": "def inc(x):\n    return x + 1\n"},
        {"task_id": "HumanEval/0", "solution": "def inc(x):\n    return x\n"},
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))  # no end of line after the last one
    scored = score(path, benchmark)
    assert scored.result.metrics["avg@3"].value == pytest.approx(2 / 3)
    assert (scored.graded_before, scored.changed) == (1, [])


def test_a_program_is_written_beside_what_the_model_wrote(tmp_path: Path, sums: Benchmark):
    text = "Here:\n```python\ndef inc(x):\n    return x + 1\n```"
    path = tmp_path / "theirs.jsonl"
    write_jsonl(path, [{"task_id": INC.id, "completion": text}])
    scored = score(path, Benchmark("inc", [INC]))
    (row,) = read_jsonl(scored.samples_path)
    assert row["correct"] is True
    from ttc_eval.harness.interchange import human_eval
    from ttc_eval.harness.interchange.foreign import Exported

    human_eval.write(Exported(Benchmark("inc", [INC]), "m", [[row]]), path)
    (row,) = read_jsonl(path)
    assert (row["task_id"], row["completion"]) == ("HumanEvalPlus/0", text)
    space: dict[str, Any] = {}
    exec(row["solution"], space)
    assert space["inc"](4) == 5


# --------------------------------------------------------------------------- lighteval


def details(**doc: Any) -> dict[str, Any]:
    """A row as lighteval 0.13 writes it."""
    return {
        "doc": {"query": "Solve: What is 2+3?", "choices": ["5"], "gold_index": 0, "id": "1"} | doc,
        "metric": {"extractive_match": 1.0},
        "model_response": {
            "input": "...", "text": [r"\boxed{5}"], "output_tokens": [[1, 2, 3]], "logprobs": [],
        },
    }  # fmt: skip


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    files.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_lighteval_details_are_matched_by_place_and_prompt(tmp_path: Path, sums: Benchmark):
    path = parquet(tmp_path / "details_sums.parquet", [details()])
    ((key, row),) = read_samples(path, sums).items()
    assert key == (sums.tasks[1].id, 0)
    assert (row["completion"], row["correct"], row["tokens"]) == (r"\boxed{5}", True, 3)


def test_a_place_that_the_prompt_does_not_bear_out_is_refused(tmp_path: Path, sums: Benchmark):
    path = parquet(tmp_path / "details_sums.parquet", [details(id="0")])
    with pytest.raises(UserError, match="parquet:1 completion 1: task 'number 0' is not in"):
        read_samples(path, sums)


def test_other_parquet_files_are_told(tmp_path: Path, sums: Benchmark):
    path = parquet(tmp_path / "other.parquet", [{"predictions": "x"}])
    with pytest.raises(UserError, match="needs doc and model_response, has predictions"):
        read_samples(path, sums)


# --------------------------------------------------------------------------- Inspect


def inspect_sample(**changes: Any) -> dict[str, Any]:
    """A sample as inspect_ai 0.3.285 writes it, without its events."""
    message = {"id": "8D", "content": r"so \boxed{2}", "source": "generate", "role": "assistant"}
    return {
        "id": "sums/0",
        "epoch": 1,
        "input": "What is 1+1?",
        "target": "2",
        "messages": [{"id": "Jq", "content": "What is 1+1?", "role": "user"}, message],
        "output": {
            "model": "mockllm/model",
            "choices": [{"message": message, "stop_reason": "max_tokens"}],
            "completion": r"so \boxed{2}",
            "usage": {"input_tokens": 3, "output_tokens": 12, "total_tokens": 15},
        },
        "scores": {"match": {"value": "I", "answer": "2", "explanation": "", "history": []}},
        "metadata": {},
        "attachments": {},
    } | changes


def json_log(path: Path, *samples: dict[str, Any]) -> Path:
    path.write_text(
        json.dumps({"version": 2, "status": "success", "eval": {}, "samples": samples}),
        encoding="utf-8",
    )
    return path


def test_an_inspect_log_is_read(tmp_path: Path, sums: Benchmark):
    again = inspect_sample(epoch=2, id=1)  # its own numbers begin at 1
    ((_, first), (key, _)) = read_samples(
        json_log(tmp_path / "log.json", inspect_sample(), again), sums
    ).items()
    assert first == {
        "completion": r"so \boxed{2}",
        "finish_reason": "length",
        "tokens": 12,
        "answer": "2",
        "correct": False,
    }
    assert key == (sums.tasks[0].id, 1)


def test_their_verdict_and_ours_are_compared(tmp_path: Path, sums: Benchmark):
    one = Benchmark("one", sums.tasks[:1])
    scored = score(json_log(tmp_path / "log.json", inspect_sample()), one)
    assert scored.changed == [(sums.tasks[0].id, 0, False, True)]
    assert scored.samples_path.name == "log.rescored.samples.jsonl"


def test_a_long_text_kept_apart_is_put_back(tmp_path: Path, sums: Benchmark):
    sample = inspect_sample(attachments={"77": r"\boxed{2}"})
    sample["output"]["completion"] = "attachment://77"
    (row,) = read_samples(json_log(tmp_path / "log.json", sample), sums).values()
    assert row["completion"] == r"\boxed{2}"


def test_a_sample_that_failed_is_told(tmp_path: Path, sums: Benchmark):
    sample = inspect_sample(output={"model": "m", "choices": []}, error={"message": "no network"})
    with pytest.raises(UserError, match="sample 1: sample 'sums/0' has no completion: no network"):
        read_samples(json_log(tmp_path / "log.json", sample), sums)


def test_a_log_packed_with_zstandard_is_read(tmp_path: Path, sums: Benchmark):
    pyarrow = pytest.importorskip("pyarrow")
    packed = pyarrow.compress(json.dumps(inspect_sample()).encode(), codec="zstd", asbytes=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as log:
        log.writestr("samples/sums/0_epoch_1.json", packed)
    raw = bytearray(buffer.getvalue())
    for magic, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", raw, raw.index(magic) + offset, 93)
    path = tmp_path / "log.eval"
    path.write_bytes(raw)
    (row,) = read_samples(path, sums).values()
    assert row["tokens"] == 12


# --------------------------------------------------------------------------- whose row it is


def choice(options: list[str]) -> Task:
    return Task("choice", "Which?", "A", meta={"question": "Which?", "options": options})


def test_a_row_is_found_by_id_then_prompt_then_place_and_never_guessed():
    tasks = [Task("math", "1+1?", "2", meta={"id": "a"}), Task("math", "2+2?", "4")]
    finder = Finder(tasks, {"x-": ""})
    assert finder.find(Foreign("f:1", {}, "a")) is tasks[0]
    assert finder.find(Foreign("f:1", {}, "x-a")) is tasks[0]
    assert finder.find(Foreign("f:1", {}, tasks[1].id)) is tasks[1]
    assert finder.find(Foreign("f:1", {}, "b", prompt=" 2+2?\n")) is tasks[1]
    assert finder.find(Foreign("f:1", {}, prompt="Q: 2+2? A:", index=1)) is tasks[1]
    for row in (Foreign("f:7", {}, "b"), Foreign("f:7", {}, prompt="Q: 2+2?", index=0)):
        with pytest.raises(UserError, match=r"f:7: task .* is not in this benchmark"):
            finder.find(row)


def test_options_in_another_order_are_another_task():
    finder = Finder([choice(["red", "blue"])], {})
    good = Foreign("f:1", {}, prompt="Which? A) red B) blue", index=0)
    assert finder.find(good) is finder.tasks[0]
    with pytest.raises(UserError, match="is not in this benchmark"):
        finder.find(Foreign("f:1", {}, prompt="Which? A) blue B) red", index=0))


def test_an_id_or_a_prompt_of_two_tasks_is_nobodys():
    twins = [Task("math", "1+1?", gold, meta={"id": "a"}) for gold in ("2", "3")]
    with pytest.raises(UserError, match="task 'a' may be"):
        Finder(twins, {}).find(Foreign("f:1", {}, "a"))
    with pytest.raises(UserError, match="is not in this benchmark"):
        Finder(twins, {}).find(Foreign("f:1", {}, "b", prompt="1+1?"))
