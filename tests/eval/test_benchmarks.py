import gzip
from pathlib import Path
from typing import Any

import pytest

from eval import benchmarks
from eval.benchmarks import (
    Benchmark,
    benchmark_names,
    eval_benchmarks,
    load_benchmark,
    load_config,
    resolve_target,
    target_name,
)
from ttc_rl.config import Recipe
from ttc_rl.schema import UserError


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({"model": "m", "corpus": "c.jsonl", "target": "aime25"} | changes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sums: Benchmark) -> Path:
    """Benchmarks of our own: `sums`, whose parts are subjects, read from a file."""
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml" / "sums.yaml").write_text(
        "description: sums\nfile: sums.jsonl\nsubset: subject\nsampling: {samples: 2}\n"
    )
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "sums.jsonl").rename(tmp_path / "benchmarks" / "sums.jsonl")
    monkeypatch.setattr(benchmarks, "FOLDER", tmp_path / "yaml")
    return tmp_path


@pytest.mark.parametrize("name", benchmark_names())
def test_every_yaml_is_typed_and_its_default_k_fits(name: str):
    config = load_config(name)
    assert config.description
    assert config.sampling.samples is not None
    assert max(config.sampling.k or [1]) <= config.sampling.samples


def test_a_name_gives_tasks_and_defaults(folder: Path):
    loaded = load_benchmark("sums", str(folder))
    assert (len(loaded.tasks), loaded.sampling.samples) == (4, 2)


def test_a_packed_file_stands_in_too(folder: Path):
    plain = folder / "benchmarks" / "sums.jsonl"
    plain.with_name("sums.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    before = load_benchmark("sums", str(folder))
    plain.unlink()
    assert load_benchmark("sums", str(folder)).tasks_hash == before.tasks_hash


def test_a_part_and_several(folder: Path):
    big = load_benchmark("sums/big", str(folder))
    assert {task.meta["subject"] for task in big.tasks} == {"big"}
    assert len(load_benchmark("sums/big+small-sums", str(folder)).tasks) == 4
    assert big.name == "sums/big"


def test_an_unknown_part_is_told_what_there_is(folder: Path):
    with pytest.raises(UserError, match=r"'bog'; did you mean big\? known: big, small-sums"):
        load_benchmark("sums/bog", str(folder))


def test_an_unknown_benchmark_is_told_what_there_is():
    with pytest.raises(UserError, match=r"'aime52'; did you mean aime25\? known: aime24, aime25"):
        load_benchmark("aime52")


def test_a_missing_stand_in_is_named(folder: Path):
    (folder / "benchmarks" / "sums.jsonl").unlink()
    with pytest.raises(UserError, match=r"benchmarks/sums\.jsonl: no such file, nor with \.gz"):
        load_benchmark("sums", str(folder))
    with pytest.raises(UserError, match="set `data:` to a folder that holds benchmarks/sums"):
        load_benchmark("sums")


def test_a_repeated_task_is_kept_once_and_told(folder: Path):
    path = folder / "benchmarks" / "sums.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    loaded = load_benchmark("sums", str(folder))
    assert len(loaded.tasks) == 4
    assert loaded.problems == ("sums: 1 tasks repeat an earlier one and are left out",)


def test_a_target_may_be_a_file_a_source_or_a_prompt(folder: Path):
    path = str(folder / "benchmarks" / "sums.jsonl")
    for target in (path, {"path": path}):
        resolved = resolve_target(recipe(target=target))
        assert (resolved.name, len(resolved.tasks)) == ("sums", 4)
    prompt = resolve_target(recipe(target="How many primes are below 100?"))
    assert prompt.name == "prompt"
    assert [task.gold for task in prompt.tasks] == [None]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("aime25", "aime25"),
        ("skills/cipher+ends", "skills/cipher+ends"),
        ("a/b/mine.jsonl.gz", "mine"),
        ({"hub": "org/Set"}, "Set"),
        ({"skills": {"families": ["ends", "cipher"]}}, "ends-cipher"),
        ("two words", "prompt"),
    ],
)
def test_a_target_has_a_name_before_it_is_read(target: Any, name: str):
    assert target_name(recipe(target=target)) == name


def test_the_target_is_evaluated_first_and_a_prompt_is_not(folder: Path):
    evaluated = {"benchmarks": ["sums/big", "sums"]}
    data = str(folder)
    both = eval_benchmarks(recipe(target="sums", data=data, eval=evaluated))
    assert [benchmark.name for benchmark in both] == ["sums", "sums/big"]
    prompt = eval_benchmarks(recipe(target="one prompt", data=data, eval=evaluated))
    assert [benchmark.name for benchmark in prompt] == ["sums/big", "sums"]
