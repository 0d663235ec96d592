"""Files in other people's formats, with not a word of configuration."""

import csv
import json
import logging
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
from formats import NAMES, outcome

from ttc_rl.config import EmbedConfig, SourceConfig
from ttc_rl.corpus.shapes.guess import guess
from ttc_rl.corpus.sources import load_source, resolve_source
from ttc_rl.embed.encoders import text_of
from ttc_rl.sampling.prompts import conversation
from ttc_rl.schema import Task, UserError

DOCS = Path(__file__).parents[2] / "docs"


def loaded(path: Path, **keys: Any) -> list[Task]:
    return load_source(SourceConfig(path=str(path), **keys)).tasks


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_format_loads_shows_and_grades_without_configuration(name: str):
    found = outcome(name)
    assert found.loads
    assert found.graded
    assert found.options in (True, None)
    maths = [s for t, s in zip(found.tasks, found.shown, strict=True) if t.kind == "math"]
    assert all("####" not in text and "Answer:" not in text for text in maths)
    assert all(text.count("boxed") == 1 for text in maths)


def test_the_page_holds_what_the_files_give():
    sys.path.insert(0, str(DOCS))
    import formats_table

    assert formats_table.page() == (DOCS / "data.md").read_text(encoding="utf-8")
    assert "NO" not in formats_table.table()


def test_it_says_how_it_read_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = written(tmp_path / "said.jsonl", {"question": "1 + 1?", "answer": "two\n#### 2"})
    with caplog.at_level(logging.INFO, "ttc_rl"):
        assert loaded(path)[0].gold == "2"
        assert loaded(path)
    assert [r.message for r in caplog.records] == ["said: read as GSM8K: gold after ####"]


def test_what_is_declared_goes_before_a_guess(tmp_path: Path):
    row = {"problem": "1 + 1", "answer": "2", "solution": r"\boxed{3}"}
    path = written(tmp_path / "d.jsonl", row)
    assert loaded(path)[0].gold == "2"
    declared = {"kind": "exact", "columns": {"prompt": "solution", "gold": "problem"}}
    assert (loaded(path, **declared)[0].prompt, loaded(path, **declared)[0].gold) == (
        r"\boxed{3}", "1 + 1",
    )  # fmt: skip
    own = {"kind": "exact", "prompt": "Say a", "gold": "a", "problem": "x", "solution": "y"}
    assert loaded(written(tmp_path / "own.jsonl", own))[0].gold == "a"


def test_an_unknown_format_says_what_to_give(tmp_path: Path):
    path = written(tmp_path / "u.jsonl", {"q": "1 + 1", "a": "2"})
    with pytest.raises(UserError, match=r"u\.jsonl:1: no kind, .* \(the row has q, a\); give the"):
        loaded(path)
    assert guess({"question": "Why?", "answer": "Because."}) is None


def test_a_system_turn_and_earlier_turns_reach_the_model(tmp_path: Path):
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And 2 + 2?"},
    ]
    path = written(tmp_path / "c.jsonl", {"prompt": turns, "answer": "4"})
    task = loaded(path)[0]
    shown = conversation(task, {"math": "{prompt}"})
    assert shown == turns
    assert task.prompt == "And 2 + 2?"
    alone = written(tmp_path / "a.jsonl", {"prompt": turns[-1:], "answer": "4"})
    assert loaded(alone)[0].id != task.id


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"problem": "Prove it.", "solution": "...", "answer": "proof"}, "asks for a proof"),
        ({"problem": "1 + 1", "solution": "it is 2"}, r"no \\boxed\{\} in `solution`"),
        ({"question": "?", "choices": ["a", "b"], "answer": 2}, "none of 2 options"),
        ({"prompt": [{"role": "assistant", "content": "hi"}], "answer": "4"}, "no user turn"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "nothing to grade against"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image"}]}], "answer": "4"},
            "something other than text",
        ),
        (
            {"prompt": "3 4 6 -> 24", "reward_model": {"ground_truth": {"target": 24}}},
            "no answer but an object",
        ),
        (
            {"prompt": "x", "task_type": "swe", "verification_info": "{}"},
            "task_type swe: no ground_truth",
        ),
        ({"kind": "choice", "prompt": "Which one?", "gold": "A"}, "shows no options"),
    ],
)
def test_a_row_that_cannot_be_graded_is_told_at_its_line(
    tmp_path: Path, row: dict[str, Any], says: str
):
    with pytest.raises(UserError, match=rf"bad\.jsonl:1: .*{says}"):
        loaded(written(tmp_path / "bad.jsonl", row))


def test_options_that_a_column_holds_are_shown_and_an_index_becomes_a_letter(tmp_path: Path):
    row = {"q": "Which is a square?", "o": ["2", "4", "3"], "i": 1}
    columns = {"prompt": "q", "gold": "i", "meta.options": "o"}
    task = loaded(written(tmp_path / "o.jsonl", row), kind="choice", columns=columns)[0]
    assert task.prompt == "Which is a square?\n\nA. 2\nB. 4\nC. 3"
    assert task.gold == "B"


def test_numbers_among_the_options_are_no_index_when_the_gold_is_text(tmp_path: Path):
    row = {"question": "2 + 1?", "options": ["1", "2", "3"], "answer": "3"}
    assert loaded(written(tmp_path / "t.jsonl", row))[0].gold == "C"


def test_the_published_corpus_is_embedded_by_its_description():
    tasks = outcome("verifiable_corpus").tasks
    assert [text_of(task, EmbedConfig()) for task in tasks] == [
        "Double a number.", "Print a greeting.", "Capital of Peru?",
    ]  # fmt: skip


# --------------------------------------------------------------------------- files

ROWS = [{"question": "1 + 1?", "answer": "2"}, {"question": "2 + 2?", "answer": "4"}]


def save_json(path: Path) -> Path:
    path.write_text(json.dumps({"version": "1", "data": ROWS}), encoding="utf-8")
    return path


def save_csv(path: Path) -> Path:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter="\t" if "tsv" in path.name else ",")
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def save_arrow(path: Path) -> Path:
    datasets.Dataset.from_list(ROWS).save_to_disk(str(path))
    return path


@pytest.mark.parametrize(
    ("name", "save"),
    [("a.json", save_json), ("a.csv", save_csv), ("a.tsv", save_csv), ("a", save_arrow)],
)
def test_other_kinds_of_file_hold_the_same_tasks(tmp_path: Path, name: str, save: Any):
    path = save(tmp_path / name)
    assert resolve_source(str(path)).path == str(path)
    assert [(t.prompt, t.gold) for t in loaded(path)] == [("1 + 1?", "2"), ("2 + 2?", "4")]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.json", '{"a": 1}\n{"a": 2}\n', "one object a line is called .jsonl"),
        ("x.json", '"text"', "should hold a list of objects"),
        ("x.csv", "question,answer\n1 + 1,2,3\n", r"x\.csv:2: has more fields than the 2 columns"),
        ("x.csv", 'question,answer\n"1 + 1,2\n', "not readable as csv"),
        ("x.csv", "question,answer,answer\n1 + 1,2,3\n", "two columns are called 'answer'"),
    ],
)
def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path, name: str, text: str, says: str):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        loaded(path)


def test_a_saved_data_set_of_several_splits_asks_for_one(tmp_path: Path):
    path = tmp_path / "both"
    data = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(str(path))
    with pytest.raises(UserError, match=rf"holds several splits; name one: {path}/test"):
        loaded(path)
    assert len(loaded(path / "train")) == 2
