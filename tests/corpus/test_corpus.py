"""A corpus of several sources: names, paths and hub ids, and equal tasks once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ttc_rl.config import SourceConfig
from ttc_rl.corpus.sources import catalog, load_corpus, load_source, resolve_source
from ttc_rl.schema import UserError

DATA = Path(os.environ["TTC_RL_TEST_DATA"])
needs_data = pytest.mark.skipif(not (DATA / "corpus").is_dir(), reason="no task data here")


def write(path: Path, *golds: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"kind": "math", "prompt": "?", "answer": gold} for gold in golds]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_equal_tasks_of_two_sources_are_kept_once_and_the_first_wins(tmp_path: Path):
    first = write(tmp_path / "a.jsonl", "1", "2", "2")
    second = SourceConfig(path=write(tmp_path / "b.jsonl", "3", "1"))
    corpus = load_corpus([first, second])
    assert [(t.gold, t.source) for t in corpus.tasks] == [("1", "a"), ("2", "a"), ("3", "b")]
    assert corpus.duplicates == 2


def test_an_empty_corpus_is_refused():
    with pytest.raises(UserError, match="corpus: is empty"):
        load_corpus([])


@pytest.mark.parametrize(
    ("entry", "config"),
    [
        ("x/a.jsonl", SourceConfig(path="x/a.jsonl")),
        ("a.jsonl.gz", SourceConfig(path="a.jsonl.gz")),
        ("a/*.parquet", SourceConfig(path="a/*.parquet")),
        ("/x/a.json", SourceConfig(path="/x/a.json")),
        ("open-r1/codeforces", SourceConfig(hub="open-r1/codeforces")),
    ],
)
def test_what_an_entry_stands_for(entry: str, config: SourceConfig):
    assert resolve_source(entry) == config


def test_a_name_stands_for_its_hub_data_set():
    config = resolve_source("gsm8k-train")
    assert (config.hub, config.config, config.kind, config.gold_after) == (
        "openai/gsm8k",
        "main",
        "math",
        "####",
    )


def test_a_name_that_the_hub_lacks_asks_for_data():
    with pytest.raises(UserError, match=r"svamp is not on the hub; set `data:`.*svamp\.jsonl\.gz"):
        load_corpus(["svamp"])


def test_data_stands_in_for_the_hub(tmp_path: Path):
    write(tmp_path / "corpus" / "dapo_math_17k.jsonl.gz")
    config = resolve_source("dapo-math", str(tmp_path))
    assert config == SourceConfig(path=str(tmp_path / "corpus" / "dapo_math_17k.jsonl.gz"))
    with pytest.raises(UserError, match=r"gsm8k_train\.jsonl\.gz: no such file"):
        load_corpus(["gsm8k-train"], str(tmp_path))


def test_a_misspelt_name_is_told():
    with pytest.raises(UserError, match="no source named 'dapo-maths'; did you mean dapo-math"):
        load_corpus(["dapo-maths"])


def test_the_catalogue_says_licence_and_content_of_every_corpus():
    for name, entry in catalog().items():
        assert name == name.lower().replace("_", "-")
        assert entry.licence, name
        assert entry.description, name
        assert entry.file or entry.hub, name


@needs_data
def test_every_corpus_of_the_data_folder_has_a_name_and_reads_without_a_bad_row():
    files = {path.name for path in (DATA / "corpus").iterdir()}
    here = {name: entry.file for name, entry in catalog().items() if entry.file}
    assert set(here.values()) == files
    names = [name for name in here if name != "math-train"]  # the same file as math-12k
    corpus = load_corpus(names, str(DATA))
    print(f"{len(corpus.tasks)} tasks, {corpus.duplicates} duplicates")  # noqa: T201
    assert corpus.problems == []
    assert len(corpus.tasks) + corpus.duplicates == 80_586
    kinds = {task.kind for task in corpus.tasks}
    assert kinds == {"math", "choice", "code"}


# --------------------------------------------------------------------------- the hub


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that `datasets` reads as it reads the hub."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    rows = [{"question": "1+1?", "answer": "so #### 1,250"}, {"question": "", "answer": "2"}]
    (tmp_path / "set").mkdir()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "set" / "train.jsonl").write_text(text)
    return tmp_path / "set"


def test_a_data_set_is_read_with_its_columns(folder: Path):
    columns = {"prompt": "question", "gold": "answer"}
    loaded = load_source(SourceConfig(hub=str(folder), kind="math", columns=columns))
    assert [(t.prompt, t.gold) for t in loaded.tasks] == [("1+1?", "so #### 1,250")]
    assert loaded.problems == [f"{folder}:2: prompt: column 'question' is empty"]


def test_a_catalogue_entry_may_say_where_its_golds_begin(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    import dataclasses

    from ttc_rl.corpus import sources

    entry = dataclasses.replace(catalog()["gsm8k-train"], hub=str(folder), config=None)
    monkeypatch.setattr(sources, "catalog", lambda: {"sums": entry})
    loaded = load_corpus(["sums"])
    assert [task.gold for task in loaded.tasks] == ["1,250"]


def test_conditions_and_too_few_tests_leave_rows_out(folder: Path):
    rows = [
        {"q": "kept", "n": 7, "day": "2024-07-31", "tests": 5},
        {"q": "too late", "n": 7, "day": "2024-08-01", "tests": 5},
        {"q": "of another sort", "n": 8, "day": "2024-07-31", "tests": 5},
        {"q": "abc", "n": 7, "day": "2023-01-01", "tests": 5},
        {"q": "not wanted", "n": 7, "day": "2023-01-01", "tests": 5},
        {"q": "few tests", "n": 7, "day": "2024-07-31", "tests": 2},
        {"q": "few and long", "n": 7, "day": "2024-07-31", "tests": 1, "long": True},
    ]
    for row in rows:
        given = "1 " * (600 if row.pop("long", False) else 1)
        test = {"type": "stdin", "input": given, "output": "1"}
        row["tests"] = [test] * row["tests"]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(text)
    conditions = {
        "n": {"one_of": [7]},
        "day": {"before": "2024-08-01"},
        "q": {"none_of": ["not wanted"], "contains": "e"},
    }
    asked = {"hub": str(folder), "kind": "code", "columns": {"prompt": "q"}, "min_tests": 5}
    loaded = load_source(SourceConfig.model_validate({**asked, "where": conditions}))
    assert [task.prompt for task in loaded.tasks] == ["kept", "few and long"]
    assert loaded.problems == []
    with pytest.raises(UserError, match="there is no column 'm'"):
        load_source(SourceConfig.model_validate({**asked, "where": {"m": {"one_of": [1]}}}))


def test_what_the_catalogue_asks_of_the_hub_is_a_source():
    remote = {n: resolve_source(n) for n, entry in catalog().items() if entry.hub}
    assert {"livecodebench-train", "taco-verified", "webinstruct"} <= set(remote)
    assert remote["livecodebench-train"].where["contest_date"].before == "2024-08-01"


def test_missing_columns_split_and_data_set_are_one_line(folder: Path):
    for keys, message in [
        ({"hub": str(folder), "kind": "math"}, "no task could be read .*'prompt' is missing"),
        ({"hub": str(folder), "split": "tset"}, "split tset.*: cannot be loaded: Unknown split"),
        ({"hub": str(folder), "config": "x"}, "config x.*: cannot be loaded"),
        ({"hub": f"{folder}/gone"}, "cannot be loaded|no such data set|cannot be reached"),
        ({"hub": "nobody/nothing"}, "the hub cannot be reached .*set `data:`"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            load_source(SourceConfig.model_validate(keys))
        assert "\n" not in str(error.value)


def test_sources_load_without_heavy_packages():
    code = (
        "import sys, ttc_rl.corpus.sources; "
        "print([m for m in ('torch', 'datasets', 'pyarrow', 'sympy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
