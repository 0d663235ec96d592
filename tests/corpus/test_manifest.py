"""corpus.json says where every task came from."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

from ttc_rl.config import SkillsConfig, SourceConfig
from ttc_rl.corpus.manifest import manifest
from ttc_rl.corpus.sources import catalog, load_corpus
from ttc_rl.run_dir import read_json


def write(path: Path, numbers: range) -> str:
    rows = [{"kind": "math", "prompt": f"{n}+1", "gold": str(n + 1)} for n in numbers]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_every_entry_has_its_tasks_and_the_rows_add_up(tmp_path: Path):
    entries = [
        write(tmp_path / "first.jsonl", range(5)),
        SourceConfig(path=write(tmp_path / "second.jsonl", range(3, 9)), limit=5),
        SourceConfig(skills=SkillsConfig(tasks_per_family=2, families=["count"])),
    ]
    loaded = load_corpus(entries)
    rows = manifest(entries, None, loaded)
    assert [row["tasks"] for row in rows] == [5, 3, 2]  # two of the second are in the first
    assert sum(row["tasks"] for row in rows) == len(loaded.tasks)
    assert rows[1]["limit"] == 5
    assert "licence" in rows[0]
    assert "columns" not in rows[0]
    other = manifest(entries, None, replace(loaded, tasks=loaded.tasks[::-1]))
    assert all(a["hash"] != b["hash"] for a, b in zip(rows, other, strict=True))


def test_a_named_corpus_keeps_its_licence(tmp_path: Path):
    (tmp_path / "corpus").mkdir()
    write(tmp_path / "corpus" / "svamp.jsonl", range(4))
    text = (tmp_path / "corpus" / "svamp.jsonl").read_bytes()
    (tmp_path / "corpus" / "svamp.jsonl.gz").write_bytes(gzip.compress(text))
    (row,) = manifest(["svamp"], str(tmp_path), load_corpus(["svamp"], str(tmp_path)))
    assert (row["name"], row["licence"], row["tasks"]) == ("svamp", catalog()["svamp"].licence, 4)


def test_a_run_leaves_it(undisturbed: Path):
    (row,) = read_json(undisturbed / "corpus.json", list)
    assert row["tasks"] == 160
    assert row["skills"]["split"] == "train"
