import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ttc_eval.harness.results import summarise
from ttc_eval.harness.score import score
from ttc_eval.records import GradedBefore, read_result
from ttc_eval.report.tables import result_table
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.run_dir import read_jsonl, write_jsonl
from ttc_rl.sampling.drawing import Drawing, draw
from ttc_rl.schema import Task, UserError


def test_our_own_samples_keep_their_verdicts(sums: Benchmark, guesser: Any, tmp_path: Path):
    path = tmp_path / "base.samples.jsonl"
    draw(guesser, Drawing("sums", sums.tasks, 4, path))
    scored = score(path, sums, k=[1, 4])
    assert (scored.graded_before, scored.changed) == (16, [])
    assert scored.samples_path.read_bytes() == path.read_bytes()
    assert scored.result == read_result(tmp_path / "base.rescored.json")
    assert set(scored.result.metrics) == {"avg@4", "pass@1", "pass@4", "maj@1", "maj@4"}


def test_a_verdict_that_changed_is_listed(sums: Benchmark, guesser: Any, tmp_path: Path):
    path = tmp_path / "base.samples.jsonl"
    draw(guesser, Drawing("sums", sums.tasks, 2, path))
    rows = list(read_jsonl(path))
    rows[3]["correct"] = not rows[3]["correct"]
    write_jsonl(path, rows)
    (change,) = score(path, sums).changed
    assert change == (rows[3]["task_id"], 1, rows[3]["correct"], not rows[3]["correct"])


def test_verdicts_of_another_verifier_are_counted_in_the_result(
    sums: Benchmark, guesser: Any, tmp_path: Path
):
    path = tmp_path / "base.samples.jsonl"
    draw(guesser, Drawing("sums", sums.tasks, 2, path))
    rows = list(read_jsonl(path))
    for row in rows[:3]:
        row["verifier"] = "math-00000000"
    told = [row["correct"] for row in rows]
    for index, wrong in {0: not told[0], 1: None, 2: not told[2]}.items():
        rows[index]["correct"] = wrong
    write_jsonl(path, rows)
    before = score(path, sums).result.graded_before
    right = [told[0], told[2]].count(True)
    assert before == GradedBefore(
        verdicts=8, moved=3, by_another_verifier=3, wrong_to_right=right,
        right_to_wrong=2 - right, to_undecided=0, from_undecided=1,
    )  # fmt: skip


def test_answers_without_a_box_are_pointed_out(sums: Benchmark, tmp_path: Path):
    rows = [{"task_id": task.meta["id"], "completion": f"#### {task.gold}"} for task in sums.tasks]
    write_jsonl(tmp_path / "theirs.jsonl", rows)
    assert score(tmp_path / "theirs.jsonl", sums).unread == ("boxed",)
    assert not score(tmp_path / "theirs.jsonl", sums, fallback=True).unread


def foreign(sums: Benchmark, samples: int) -> list[dict[str, str]]:
    return [
        {"task_id": task.meta["id"], "completion": rf"\boxed{{{task.gold if i else 0}}}"}
        for task in sums.tasks
        for i in range(samples)
    ]


def test_rows_with_the_sources_own_ids_are_graded(sums: Benchmark, tmp_path: Path):
    write_jsonl(tmp_path / "theirs.jsonl", foreign(sums, 2))
    scored = score(tmp_path / "theirs.jsonl", sums, out=tmp_path / "out")
    assert scored.samples_path == tmp_path / "out" / "theirs.rescored.samples.jsonl"
    assert scored.result.metrics["avg@2"].value == 0.5
    assert scored.result.rates.mean_tokens is None
    assert scored.graded_before == 0


def test_a_file_that_ends_early_is_not_divided_by_less(sums: Benchmark, tmp_path: Path):
    write_jsonl(tmp_path / "theirs.jsonl", foreign(sums, 2)[:-3])
    with pytest.raises(UserError, match=r"\(1 tasks lack 1, 1 tasks lack 2\).*; --partial"):
        score(tmp_path / "theirs.jsonl", sums)
    result = score(tmp_path / "theirs.jsonl", sums, partial=True).result
    assert (result.tasks, result.left_out) == (2, 2)
    assert result.metrics["avg@2"].value == 0.5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", r"theirs\.jsonl:9: not JSON"),
        ("[1]", r"theirs\.jsonl:9: a row is an object, got list"),
        (json.dumps({"task_id": "sums/0"}), r":9: needs 'completion' with a string, got None"),
        (json.dumps({"task_id": "sums/7", "completion": ""}), r":9: task 'sums/7' is not in"),
        (json.dumps({"task_id": "sums/0", "completion": "", "sample": 0}), "occurs twice"),
        (json.dumps({"task_id": "sums/0", "completion": "", "sample": "x"}), "sample 'x' is not"),
    ],
)
def test_a_bad_row_is_named(sums: Benchmark, tmp_path: Path, line: str, message: str):
    path = tmp_path / "theirs.jsonl"
    write_jsonl(path, foreign(sums, 2))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=message):
        score(path, sums)


def test_the_result_is_shown_as_a_table(sums: Benchmark, tmp_path: Path):
    write_jsonl(tmp_path / "theirs.jsonl", foreign(sums, 2))
    table = result_table(score(tmp_path / "theirs.jsonl", sums, k=[2]).result)
    assert table.columns == ["model", "avg@2", "pass@2", "maj@2", "truncated", "tokens"]
    assert table.rows[0][1] == "50.0 [21.0, 79.0]"  # four tasks that agree, and are still four
    assert table.rows[0][4] == "n/a"  # their file does not say why a completion ended


def test_more_draws_than_samples_are_refused(sums: Benchmark, tmp_path: Path):
    write_jsonl(tmp_path / "theirs.jsonl", foreign(sums, 2))
    with pytest.raises(UserError, match="pass@8 needs at least 8 samples per task; there are 2"):
        score(tmp_path / "theirs.jsonl", sums, k=[8])


def test_summarise_of_the_written_rows_is_the_result(sums: Benchmark, tmp_path: Path):
    write_jsonl(tmp_path / "theirs.jsonl", foreign(sums, 2))
    scored = score(tmp_path / "theirs.jsonl", sums, k=[1])
    rows = list(read_jsonl(scored.samples_path))
    scores = summarise(sums.tasks, [rows[i : i + 2] for i in range(0, 8, 2)], [1])
    assert scores.metrics == scored.result.metrics


def test_many_chunks_give_what_one_gives(
    sums: Benchmark, guesser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "base.samples.jsonl"
    draw(guesser, Drawing("sums", sums.tasks, 4, path))
    once = score(path, sums, k=[1, 4], out=tmp_path / "once")
    monkeypatch.setattr("ttc_eval.harness.score.AT_ONCE", 4)
    often = score(path, sums, k=[1, 4], out=tmp_path / "often")
    assert often.samples_path.read_bytes() == once.samples_path.read_bytes()
    assert often.result == once.result
    assert (often.graded_before, often.changed) == (16, [])


def test_rows_that_cannot_be_made_leave_no_file(tmp_path: Path):
    def rows() -> Iterator[dict[str, int]]:
        yield {"a": 1}
        raise UserError("no more")

    with pytest.raises(UserError):
        write_jsonl(tmp_path / "x.jsonl", rows())
    assert list(tmp_path.iterdir()) == []


def test_rows_of_other_tasks_are_passed_over_when_asked(sums: Benchmark, tmp_path: Path):
    rows = [*foreign(sums, 1), {"task_id": "other/1", "completion": "x"}]
    write_jsonl(tmp_path / "theirs.jsonl", rows)
    with pytest.raises(UserError, match=r"'other/1' is not in this benchmark; --skip-unknown"):
        score(tmp_path / "theirs.jsonl", sums)
    result = score(tmp_path / "theirs.jsonl", sums, skip_unknown=True).result
    assert (result.tasks, result.unknown) == (4, 1)


def test_a_completion_that_runs_on_is_cut_where_the_next_question_begins(
    sums: Benchmark, tmp_path: Path
):
    rows = [
        {
            "task_id": task.meta["id"],
            "completion": rf"\boxed{{{task.gold}}}" + "\nQuestion: next\n" + r"\boxed{0}",
        }
        for task in sums.tasks
    ]
    write_jsonl(tmp_path / "theirs.jsonl", rows)
    assert score(tmp_path / "theirs.jsonl", sums).result.metrics["avg@1"].value == 0
    cut = score(tmp_path / "theirs.jsonl", sums, stop=["Question:", "Problem:"]).result
    assert cut.metrics["avg@1"].value == 1
    assert cut.stop == ["Question:", "Problem:"]


def write_gz(rows: list[dict[str, Any]], folder: Path) -> Path:
    path = folder / "theirs.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def write_list(rows: list[dict[str, Any]], folder: Path) -> Path:
    path = folder / "theirs.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def write_folder(rows: list[dict[str, Any]], folder: Path) -> Path:
    (folder / "theirs").mkdir()
    write_jsonl(folder / "theirs" / "a.jsonl", rows[:3])
    write_jsonl(folder / "theirs" / "b.jsonl", rows[3:])
    return folder / "theirs"


@pytest.mark.parametrize("write", [write_gz, write_list, write_folder])
def test_files_as_people_have_them(sums: Benchmark, tmp_path: Path, write: Any):
    path = write(foreign(sums, 2), tmp_path)
    assert score(path, sums, out=tmp_path / "out").result.metrics["avg@2"].value == 0.5


def test_numbers_for_ids_as_the_source_has_them(sums: Benchmark, tmp_path: Path):
    rows = [{**row, "task_id": int(row["task_id"].rpartition("/")[2])} for row in foreign(sums, 1)]
    write_jsonl(tmp_path / "theirs.jsonl", rows)
    assert score(tmp_path / "theirs.jsonl", sums).result.tasks == 4
    write_jsonl(tmp_path / "wrong.jsonl", [{**rows[0], "prompt": "Another question?"}])
    with pytest.raises(UserError, match="is not in this benchmark"):
        score(tmp_path / "wrong.jsonl", sums)


def test_evalplus_results_are_read_with_their_verdicts(tmp_path: Path):
    task = Task(
        "code", "def one():\n", tests=({"type": "assert", "code": "assert one() == 1"},),
        meta={"id": "HumanEval/0"},
    )  # fmt: skip
    result = {"task_id": "HumanEval/0", "base_status": "pass", "plus_status": "fail"}
    programs = ["def one():\n    return 1\n", "def one():\n    return 2\n"]
    rows = [{**result, "solution": program, "plus_fail_tests": []} for program in programs]
    path = tmp_path / "run_eval_results.json"
    path.write_text(json.dumps({"date": "", "hash": "", "eval": {"HumanEval/0": rows}}))
    scored = score(path, Benchmark("one", [task]))
    assert scored.result.metrics["avg@2"].value == 0.5
    assert scored.graded_before == 2
    assert len(scored.changed) == 1
