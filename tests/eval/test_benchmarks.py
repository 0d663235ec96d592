import gzip
from pathlib import Path
from typing import Any

import pytest

from ttc_eval.harness.variants import eval_benchmarks
from ttc_rl.config import Recipe
from ttc_rl.corpus import benchmark_config
from ttc_rl.corpus.benchmarks import (
    Benchmark,
    load_benchmark,
    resolve_target,
    resolve_targets,
    target_name,
    target_shares,
)
from ttc_rl.sampling.prompts import render
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
    monkeypatch.setattr(benchmark_config, "FOLDER", tmp_path / "yaml")
    return tmp_path


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
    with pytest.raises(UserError, match=r"'aime52'; did you mean aime2\d\? known: aime24, aime25"):
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


def test_a_published_size_counts_repeats_and_a_mismatch_is_told(folder: Path):
    path = folder / "benchmarks" / "sums.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    yaml = folder / "yaml" / "sums.yaml"
    yaml.write_text(yaml.read_text() + "size: 6\n")
    loaded = load_benchmark("sums", str(folder))
    assert len({task.id for task in loaded.tasks}) == 5
    assert loaded.tasks[4].prompt == loaded.tasks[0].prompt
    assert loaded.problems == (
        "sums: 1 tasks repeat an earlier one and are counted again, as published",
        "sums: 5 tasks, 6 were published",
    )


def test_an_erratum_is_told_and_a_gold_it_gives_is_graded_against(folder: Path):
    yaml = folder / "yaml" / "sums.yaml"
    yaml.write_text(
        yaml.read_text()
        + "errata:\n  sums/1: {wrong: says 5, source: a letter, gold: '6'}\n"
        + "  sums/2: {wrong: too easy, source: a letter}\n"
    )
    loaded = load_benchmark("sums", str(folder))
    assert [task.gold for task in loaded.tasks] == ["2", "6", "11", "18"]
    assert loaded.tasks[1].meta["published_gold"] == "5"
    assert set(loaded.errata) == {task.id for task in loaded.tasks[1:3]}
    assert loaded.problems == (
        "sums: task sums/1: says 5 (a letter); graded against 6",
        "sums: task sums/2: too easy (a letter)",
    )
    big = load_benchmark("sums/small-sums", str(folder))
    assert len(big.problems) == len(big.errata) == 1


def test_a_wording_is_shown_and_does_not_change_the_task(folder: Path):
    plain = load_benchmark("sums", str(folder))
    yaml = folder / "yaml" / "sums.yaml"
    yaml.write_text(yaml.read_text() + "prompt: |\n  {prompt} Be quick.\n\n  See {meta.none}\n")
    worded = load_benchmark("sums", str(folder))
    assert worded.tasks_hash == plain.tasks_hash
    assert render(worded.tasks[0], {"math": "<{prompt}>"}) == "<What is 1+1? Be quick.>"


def test_a_file_may_be_given_to_a_benchmark(folder: Path):
    ours = folder / "benchmarks" / "sums.jsonl"
    loaded = load_benchmark(f"sums/big={ours}")
    assert (loaded.name, len(loaded.tasks), loaded.sampling.samples) == ("sums/big", 2, 2)
    target = f"sums={ours}"
    assert (
        target_name(recipe(target=target).targets)
        == resolve_target(recipe(target=target).target_sources).name
        == "sums"
    )
    published = folder / "rows.jsonl"
    published.write_text('{"q": "What is 2+2?", "a": "so #### 4"}\n')
    (folder / "yaml" / "theirs.yaml").write_text(
        "description: theirs\nsource: {hub: org/set, kind: math, gold_after: '####', "
        "columns: {prompt: q, gold: a}}\n"
    )
    assert [task.gold for task in load_benchmark(f"theirs={published}").tasks] == ["4"]


def test_a_target_may_be_a_file_a_source_or_a_prompt(folder: Path):
    path = str(folder / "benchmarks" / "sums.jsonl")
    for target in (path, {"path": path}):
        resolved = resolve_target(recipe(target=target).target_sources)
        assert (resolved.name, len(resolved.tasks)) == ("sums", 4)
    prompt = resolve_target(recipe(target="How many primes are below 100?").target_sources)
    assert prompt.name == "prompt"
    assert [task.gold for task in prompt.tasks] == [None]


def test_several_targets_are_one_for_selection_and_apart_for_evaluation(folder: Path):
    several = ["sums/big", "sums"]
    made = recipe(target=several, data=str(folder), eval={"retention": []})
    big, whole = resolve_targets(made.target_sources)
    assert [task.id for task in big.tasks] == [t.id for t in whole.tasks if t in big.tasks]
    both = resolve_target(made.target_sources)
    assert (both.name, len(both.tasks), target_name(made.targets)) == (
        "sums/big+sums",
        4,
        "sums/big",
    )
    assert [one.name for one in eval_benchmarks(made)] == ["sums/big", "sums"]
    with pytest.raises(UserError, match="target: sums is named twice; name each target once"):
        resolve_targets(recipe(target=["sums", "sums"], data=str(folder)).target_sources)


def test_a_target_counts_by_its_share_and_not_by_its_size(folder: Path):
    def weights(**selection: Any) -> dict[str, float]:
        made = recipe(target=["sums/big", "sums"], data=str(folder), selection=selection)
        return target_shares(made.selection.shares, resolve_targets(made.target_sources))

    made = recipe(target=["sums/big", "sums"], data=str(folder))
    big, whole = ([task.id for task in one.tasks] for one in resolve_targets(made.target_sources))
    for shares, alone in ({}, 1 / 2 + 1 / 4), ({"sums": 3.0}, 1 / 2 + 3 / 4):
        found, rest = weights(shares=shares), shares.get("sums", 1.0) / 4
        assert sum(found.values()) == pytest.approx(4)
        for task_id in whole:
            other = next(i for i in whole if i not in big)
            ratio = alone / rest if task_id in big else 1.0
            assert found[task_id] / found[other] == pytest.approx(ratio)
    with pytest.raises(UserError, match=r"selection\.shares: sum is no target"):
        weights(shares={"sum": 2.0})


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
    assert target_name(recipe(target=target).targets) == name


def test_the_target_is_evaluated_first_and_a_prompt_is_not(folder: Path):
    evaluated = {"benchmarks": ["sums/big", "sums"]}
    data = str(folder)
    both = eval_benchmarks(recipe(target="sums", data=data, eval=evaluated))
    assert [benchmark.name for benchmark in both] == ["sums", "sums/big"]
    prompt = eval_benchmarks(recipe(target="one prompt", data=data, eval=evaluated))
    assert [benchmark.name for benchmark in prompt] == ["sums/big", "sums"]
