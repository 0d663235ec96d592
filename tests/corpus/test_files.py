"""Files of tasks: good rows become tasks, and each bad one is a line that says where and what."""

import gzip
import json
from pathlib import Path

import pytest

from ttc_rl.config import SkillsConfig, SourceConfig
from ttc_rl.corpus.sources import Loaded, load_corpus, load_source, load_tasks
from ttc_rl.schema import Task, UserError

GOOD = {
    "id": "s/1",
    "kind": "math",
    "prompt": "1+1?",
    "answer": "2",
    "source": "Sums",
    "split": "train",
    "meta": {"level": 3},
}


def write(path: Path, *rows: object) -> str:
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    data = text.encode("utf-8", "surrogateescape")
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return str(path)


def load(path: str, **keys: object) -> Loaded:
    return load_source(SourceConfig.model_validate({"path": path, **keys}))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_row_becomes_a_task(tmp_path: Path, name: str):
    (task,) = load(write(tmp_path / name, GOOD)).tasks
    assert task == Task("math", "1+1?", "2", source="Sums", meta=task.meta)
    assert task.meta == {"level": 3, "id": "s/1", "split": "train"}


def test_a_task_without_source_is_named_after_its_file(tmp_path: Path):
    (task,) = load(write(tmp_path / "sums.jsonl", {**GOOD, "source": None})).tasks
    assert task.source == "sums"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{broken\n", "not valid JSON: Expecting property name"),
        ("[" * 100_000 + "\n", "not valid JSON"),
        ("\udcff{}\n", "not UTF-8 (byte 1)"),
        ("[1]\n", "a row is an object with columns, got a list"),
        ({**GOOD, "prompt": None}, "no prompt: column 'prompt' is missing (the row has id, kind"),
        ({**GOOD, "prompt": 3}, "prompt: column 'prompt' should be text, got int"),
        ({**GOOD, "prompt": " \n"}, "prompt: column 'prompt' is empty"),
        ({**GOOD, "prompt": "\ud800"}, "holds half of a surrogate pair"),
        ({**GOOD, "answer": None}, "no gold: column 'answer' is missing or empty"),
        ({**GOOD, "answer": " "}, "no gold: column 'answer' is missing or empty"),
        ({**GOOD, "answer": ["2"]}, "gold: column 'answer' should be text or a number, got a list"),
        ({**GOOD, "answer": True}, "gold: column 'answer' should be text or a number, got true"),
        ({**GOOD, "kind": "maths"}, "unknown kind 'maths'; did you mean math?"),
        ({**GOOD, "kind": 7}, "unknown kind 7; known: math, exact"),
        ({**GOOD, "kind": None}, "no kind, and a format that I do not know"),
        ({**GOOD, "kind": "code"}, "no tests (a code task needs them)"),
        ({**GOOD, "kind": "code", "tests": [1]}, "tests: should be a list of objects"),
        ({**GOOD, "kind": "code", "tests": "[{"}, "tests: not JSON"),
        ({**GOOD, "meta": 1}, "meta: should be an object, got int"),
    ],
)
def test_a_bad_row_is_left_out_and_told(tmp_path: Path, row: object, problem: str):
    path = write(tmp_path / "a.jsonl", GOOD, "\n", row)
    loaded = load(path)
    assert len(loaded.tasks) == 1
    (line,) = loaded.problems
    assert line.startswith(f"{path}:3: {problem}")
    assert "\n" not in line


def test_equal_tasks_are_kept_once_and_counted(tmp_path: Path):
    loaded = load(write(tmp_path / "a.jsonl", GOOD, {**GOOD, "id": "s/2"}, {**GOOD, "answer": 3}))
    assert [task.gold for task in loaded.tasks] == ["2", "3"]
    assert loaded.duplicates == 1


def test_limit_counts_tasks_not_rows(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", GOOD, GOOD, "{\n", {**GOOD, "answer": "5"}, "{\n", GOOD)
    loaded = load(path, limit=2)
    assert [task.gold for task in loaded.tasks] == ["2", "5"]
    assert len(loaded.problems) == 1


def test_columns_reach_into_nested_ones(tmp_path: Path):
    row = {
        "messages": [{"role": "user", "content": "6*7?"}],
        "reward": {"truth": 42},
        "a.b": 1,
        "tests": '[{"type": "assert", "code": "assert True"}]',
    }
    columns = {
        "prompt": "messages.0.content",
        "gold": "reward.truth",
        "meta.level": "a.b",
        "meta.none": "a.c",
    }
    (task,) = load(write(tmp_path / "a.jsonl", row), kind="math", columns=columns).tasks
    assert (task.prompt, task.gold, task.meta) == ("6*7?", "42", {"level": 1})
    assert task.tests == ({"type": "assert", "code": "assert True"},)


def test_a_column_for_no_field_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no field 'answer'; did you mean gold"):
        load(write(tmp_path / "a.jsonl", GOOD), columns={"answer": "x"})


def test_a_source_of_unknown_kind_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="unknown kind 'choices'; did you mean choice"):
        load(write(tmp_path / "a.jsonl", GOOD), kind="choices")


def test_a_file_with_no_good_row_stops(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", "{\n", {})
    with pytest.raises(UserError, match=r"no task could be read \(2 bad rows, first: .*a.jsonl:1:"):
        load(path)
    with pytest.raises(UserError, match=r"no task could be read .*nothing in it"):
        load(write(tmp_path / "empty.jsonl"))


def test_a_missing_file_is_told_with_a_near_name(tmp_path: Path):
    write(tmp_path / "algebra.jsonl", GOOD)
    with pytest.raises(UserError, match=r"no such file; did you mean .*algebra\.jsonl\?"):
        load(str(tmp_path / "algbra.jsonl"))
    with pytest.raises(UserError, match="and no folder"):
        load(str(tmp_path / "gone" / "algbra.jsonl"))


def test_what_is_not_a_task_file_is_refused(tmp_path: Path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 99)[:-9])
    for name, message in {
        "a.txt": "not a file of tasks",
        "": "is a folder",
        "*.parquet": "no file matches",
        "cut.jsonl.gz": "damaged gzip",
    }.items():
        with pytest.raises(UserError, match=message):
            load(str(tmp_path / name))


def test_a_glob_reads_files_by_name(tmp_path: Path):
    write(tmp_path / "b.jsonl", {**GOOD, "answer": "b"})
    write(tmp_path / "a.jsonl.gz", {**GOOD, "answer": "a"}, "{\n")
    loaded = load(str(tmp_path / "*.jsonl*"))
    assert [task.gold for task in loaded.tasks] == ["a", "b"]
    assert loaded.problems[0].startswith(str(tmp_path / "a.jsonl.gz:2: "))


def test_parquet_rows_are_numbered(tmp_path: Path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    rows = [{"q": "1?", "r": {"a": 1}}, {"q": None, "r": {"a": 2}}, {"q": "3?", "r": {"a": 3}}]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    loaded = load(str(path), kind="math", columns={"prompt": "q", "gold": "r.a"})
    assert [(task.prompt, task.gold) for task in loaded.tasks] == [("1?", "1"), ("3?", "3")]
    assert loaded.problems == [f"{path}:2: no prompt: column 'q' is missing (the row has q, r)"]
    path.write_bytes(b"not parquet at all")
    with pytest.raises(UserError, match="not a readable parquet file"):
        load(str(path))


def test_load_tasks_is_strict_unless_told(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", GOOD, "{\n", {})
    with pytest.raises(UserError, match=r"a\.jsonl:2: .*\(and 1 more bad rows\)"):
        load_tasks(path)
    assert len(load_tasks(path, strict=False)) == 1


def test_the_procedural_source_is_a_source():
    config = SourceConfig(skills=SkillsConfig(families=["sort"], tasks_per_family=5))
    loaded = load_source(config)
    assert len(loaded.tasks) == 5
    assert loaded.problems == []


def test_a_gold_that_is_no_number_is_a_bad_row(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    golds = ["NaN", "1e999", "-Infinity", "2"]
    rows = [f'{{"kind": "math", "prompt": "p{g}", "answer": {g}}}' for g in golds]
    path.write_text("\n".join(rows) + "\n")
    loaded = load_corpus([str(path)])
    assert [task.gold for task in loaded.tasks] == ["2"]
    where = [line.partition(": ")[0] for line in loaded.problems]
    assert where == [f"{path}:{i}" for i in (1, 2, 3)]
    assert "holds inf, which is no answer" in loaded.problems[1]
