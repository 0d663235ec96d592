"""Every benchmark's YAML is complete, and its tasks are gradable where a file holds them."""

import io
import random
from pathlib import Path

import pytest
from rich.console import Console

from ttc_eval.report.benchmark_text import benchmark_table, describe, kind
from ttc_rl.corpus.benchmark_config import FOLDER, benchmark_names, load_config
from ttc_rl.corpus.benchmarks import load_benchmark
from ttc_rl.corpus.rows import RowReader
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import verify_many
from ttc_rl.verifiers.golds import check_golds

NAMES = benchmark_names()
BROKEN = {"HumanEvalPlus/32"}
SLOW = {"HumanEvalPlus/15", "HumanEvalPlus/36", "HumanEvalPlus/139"}


@pytest.mark.parametrize("name", NAMES)
def test_a_yaml_is_complete(name: str):
    config = load_config(name)
    sampling = config.sampling
    assert config.description
    assert (FOLDER / f"{name}.yaml").read_text().startswith("# ")
    assert None not in (sampling.samples, sampling.temperature, sampling.top_p, sampling.max_tokens)
    assert max(sampling.k or [0]) <= (sampling.samples or 0)
    assert config.source is not None
    RowReader(
        config.source.columns, config.source.kind
    )  # refuses fields and kinds it does not know
    assert kind(config) in ("math", "choice", "code", "exact")
    for published in config.published:
        assert len(published.source) > 10
        assert 0 < published.value < 1
    for erratum in config.errata.values():
        assert erratum.wrong
        assert erratum.source.startswith("https://")


def test_all_benchmarks_are_shown_and_each_is_described():
    table = benchmark_table()
    assert [row[0] for row in table.rows] == NAMES
    assert len(NAMES) >= 20
    text = describe("livecodebench")
    assert "livecodebench/v6 (1,055)" in text
    assert "lcb/abc337_e: interactive" in text
    assert "20.61 avg@4 Qwen/Qwen3-8B, v6/2025-02..2025-04" in text
    for name in NAMES:
        assert describe(name).startswith(f"{name}: ")
    shown = io.StringIO()
    Console(file=shown, width=200).print(table)
    assert "google-research-datasets/mbpp" in shown.getvalue()


def test_an_unknown_one_is_told_what_there_is():
    with pytest.raises(UserError, match="did you mean mmlu-pro"):
        describe("mmlu_pro")


def local(name: str, data: Path):
    try:
        return load_benchmark(name, str(data))
    except UserError as error:
        if "no such file" not in str(error):
            raise
        pytest.skip(f"no file for {name} here")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "skills"])
def test_its_file_has_the_published_size_or_says_how_it_differs(name: str, data: Path):
    config, loaded = load_config(name), local(name, data)
    assert {task.kind for task in loaded.tasks} == {kind(config)}
    assert len({task.id for task in loaded.tasks}) == len(loaded.tasks)
    told = [line for line in loaded.problems if "were published" in line]
    assert bool(told) == (config.size not in (None, len(loaded.tasks)))
    assert not told or config.file_differs
    assert set(loaded.errata) <= {task.id for task in loaded.tasks}
    assert bool(loaded.errata) == bool(config.errata)


@pytest.mark.parametrize("name", ["aime24", "aime25", "math500", "gsm8k", "mmlu-pro"])
def test_golds_are_accepted_and_silence_is_not(name: str, data: Path):
    tasks = random.Random(0).sample(local(name, data).tasks, 30)
    (found,) = check_golds(tasks)
    assert found.failures == []
    assert found.accepted == found.silence_rejected == 30


@pytest.mark.parametrize("name", ["humaneval", "humaneval-plus", "mbpp", "mbpp-plus"])
def test_reference_solutions_pass_and_silence_does_not(name: str, data: Path):
    tasks = [t for t in local(name, data).tasks if t.meta["id"] not in BROKEN | SLOW]
    tasks = random.Random(0).sample(tasks, 12)
    verdicts = verify_many(tasks, [reply(task) for task in tasks])
    assert [v.correct for v in verdicts] == [True] * 12, [v.reason for v in verdicts]
    assert {v.correct for v in verify_many(tasks, [""] * 12)} == {False}


def reply(task: Task) -> str:
    solution = str(task.meta["reference_solution"])
    whole = task.prompt + solution if task.tests[0]["type"] == "check" else solution
    return f"```python\n{whole}\n```"


@pytest.mark.parametrize("name", ["livecodebench", "codeelo", "code-contests"])
def test_a_program_that_prints_nothing_passes_no_task(name: str, data: Path):
    tasks = random.Random(0).sample(local(name, data).tasks, 12)
    verdicts = verify_many(tasks, ["```python\npass\n```"] * 12)
    assert {v.correct for v in verdicts} == {False}


def test_repeats_count_as_published(data: Path):
    loaded = local("mmlu-pro", data)
    assert len(loaded.tasks) == 12_032
    golds = {(t.prompt, t.meta.get("published_gold", t.gold)) for t in loaded.tasks}
    assert len(golds) == 12_032 - 159
    assert any(
        "159 tasks repeat an earlier one and are counted again" in p for p in loaded.problems
    )


def test_parts_of_real_benchmarks(data: Path):
    assert len(local("mmlu-pro/law@100", data).tasks) == 100
    window = local("livecodebench/2024-08..2025-01", data)
    assert 200 < len(window.tasks) < 400
    assert min(t.meta["contest_date"] for t in window.tasks) >= "2024-08-01"
    with pytest.raises(UserError, match="holds release v5"):
        load_benchmark("livecodebench/v6", str(data))


def test_the_wording_shows_what_the_statement_lacks(data: Path):
    task = local("mbpp", data).tasks[0]
    assert "assert remove_Occ" in task.meta["shown"]
    starts = ["starter_code" in t.meta for t in local("livecodebench", data).tasks]
    begins = ["Begin with this" in t.meta["shown"] for t in local("livecodebench", data).tasks]
    assert begins == starts
    assert any(starts)
    assert not all(starts)
