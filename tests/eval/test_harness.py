import itertools
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttc_eval.harness.evaluate import drawings, evaluate_model
from ttc_eval.harness.measures import columns
from ttc_eval.harness.results import measure_all, read_tasks, resolve_sampling, summarise
from ttc_eval.records import Sampling, read_result
from ttc_rl.config import EvalConfig, SamplingConfig
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.sampling.drawing import Drawing, draw, drop_repeats
from ttc_rl.sampling.samples import complete_rows, read_cells
from ttc_rl.schema import Task, Undrawn, UserError

FOUR = Sampling(samples=4, k=[1, 2, 4])


def drawn_bytes(
    completer: Any, benchmark: Benchmark, path: Path, samples: int = 4, seed: int = 0, **kwargs: Any
):
    drawing = Drawing(benchmark.name, benchmark.tasks, samples, path, seed)
    draw(completer, drawing, **({"batch": 8} | kwargs))
    return path.read_bytes()


def test_every_task_gets_its_samples_in_order(sums: Benchmark, guesser: Any, tmp_path: Path):
    drawn_bytes(guesser, sums, tmp_path / "s.jsonl")
    keys = [(row["task_id"], row["sample"]) for row in read_jsonl(tmp_path / "s.jsonl")]
    assert keys == list(itertools.product([task.id for task in sums.tasks], range(4)))
    assert [len(tasks) for tasks, _, _ in guesser.asked] == [2, 2]


def test_a_finished_file_is_left_alone(sums: Benchmark, guesser: Any, tmp_path: Path):
    whole = drawn_bytes(guesser, sums, tmp_path / "s.jsonl")
    guesser.asked.clear()
    assert drawn_bytes(guesser, sums, tmp_path / "s.jsonl") == whole
    assert guesser.asked == []


def test_a_run_killed_anywhere_ends_with_the_same_bytes(
    sums: Benchmark, guesser: Any, tmp_path: Path
):
    path = tmp_path / "s.jsonl"
    whole = drawn_bytes(guesser, sums, path, seed=7)
    for cut in range(0, len(whole), 97):
        path.write_bytes(whole[:cut])
        assert drawn_bytes(guesser, sums, path, seed=7) == whole


def test_another_seed_draws_other_samples(sums: Benchmark, guesser: Any, tmp_path: Path):
    one = drawn_bytes(guesser, sums, tmp_path / "1.jsonl", seed=1)
    assert drawn_bytes(guesser, sums, tmp_path / "2.jsonl", seed=2) != one


def test_the_batch_changes_the_order_of_rows_at_most(sums: Benchmark, guesser: Any, tmp_path: Path):
    one = drawn_bytes(guesser, sums, tmp_path / "1.jsonl", samples=7, batch=100)
    two = drawn_bytes(guesser, sums, tmp_path / "2.jsonl", samples=7, batch=3)
    assert sorted(one.splitlines()) == sorted(two.splitlines())
    assert {(first, count) for _, first, count in guesser.asked[1:]} == {(0, 3), (3, 3), (6, 1)}


def test_only_what_lacks_is_drawn(sums: Benchmark, guesser: Any, tmp_path: Path):
    path = tmp_path / "s.jsonl"
    whole = drawn_bytes(guesser, sums, path).splitlines(keepends=True)
    path.write_bytes(b"".join(line for i, line in enumerate(whole) if i not in (2, 5, 7)))
    guesser.asked.clear()
    assert sorted(drawn_bytes(guesser, sums, path).splitlines(keepends=True)) == sorted(whole)
    first, second = (task.id for task in sums.tasks[:2])
    assert guesser.asked == [([first], 2, 1), ([second], 1, 1), ([second], 3, 1)]


def test_progress_counts_samples_and_tokens(sums: Benchmark, guesser: Any, tmp_path: Path):
    seen: list[tuple[int, int, int]] = []
    drawn_bytes(guesser, sums, tmp_path / "s.jsonl", progress=lambda *told: seen.append(told))
    assert [told[:2] for told in seen] == [(0, 16), (8, 16), (16, 16)]
    assert seen[-1][2] == sum(row["tokens"] for row in read_jsonl(tmp_path / "s.jsonl"))


def test_what_could_be_had_is_kept_and_the_rest_is_told(
    sums: Benchmark, guesser: Any, tmp_path: Path
):
    def half(tasks: Any, num_samples: int, *, seed: int, first: int = 0):
        groups = guesser(tasks, num_samples, seed=seed, first=first)
        raise Undrawn("server gone", [[*group[:-1], None] for group in groups])

    path = tmp_path / "s.jsonl"
    with pytest.raises(UserError, match=r"sums: 4 of 16 completions are lacking; .* server gone"):
        drawn_bytes(half, sums, path)
    assert len(list(read_jsonl(path))) == 12
    whole = drawn_bytes(guesser, sums, tmp_path / "whole.jsonl")
    assert sorted(drawn_bytes(guesser, sums, path).splitlines()) == sorted(whole.splitlines())


def test_an_endpoint_that_gives_nothing_is_not_asked_for_the_rest(sums: Benchmark, tmp_path: Path):
    asked: list[int] = []

    def gone(tasks: Any, num_samples: int, *, seed: int, first: int = 0):
        asked.append(len(tasks))
        raise Undrawn("connection refused", [[None] * num_samples for _ in tasks])

    with pytest.raises(UserError, match=r"16 of 16 .* connection refused"):
        drawn_bytes(gone, sums, tmp_path / "s.jsonl")
    assert asked == [2]


def test_another_model_does_not_go_on_with_a_file(sums: Benchmark, guesser: Any, tmp_path: Path):
    path = tmp_path / "s.jsonl"
    draw(guesser, Drawing("sums", sums.tasks, 4, path, model="first"))
    with pytest.raises(UserError, match="holds completions of weights first, now second"):
        draw(guesser, Drawing("sums", sums.tasks, 8, path, model="second"))


def test_tasks_without_gold_are_refused(guesser: Any, tmp_path: Path):
    prompt = Benchmark("prompt", [Task(kind="math", prompt="What is love?")])
    with pytest.raises(UserError, match="1 of 1 tasks have neither gold nor tests"):
        drawn_bytes(guesser, prompt, tmp_path / "s.jsonl")


def test_a_file_of_more_samples_says_what_to_do(sums: Benchmark, guesser: Any, tmp_path: Path):
    drawn_bytes(guesser, sums, tmp_path / "s.jsonl")
    with pytest.raises(UserError, match="sample 2, but 2 samples per task were asked; delete"):
        drawn_bytes(guesser, sums, tmp_path / "s.jsonl", samples=2)


def test_rows_of_another_benchmark_say_what_to_do(sums: Benchmark, guesser: Any, tmp_path: Path):
    drawn_bytes(guesser, sums, tmp_path / "s.jsonl")
    fewer = replace(sums, tasks=sums.tasks[:3])
    with pytest.raises(UserError, match=r"s\.jsonl:13: task .* is not in this benchmark; delete"):
        drawn_bytes(guesser, fewer, tmp_path / "s.jsonl")


def test_a_row_twice_counts_once_and_two_for_one_sample_are_refused(
    sums: Benchmark, guesser: Any, tmp_path: Path
):
    path = tmp_path / "s.jsonl"
    whole = drawn_bytes(guesser, sums, path)
    first = whole.splitlines(keepends=True)[0]
    path.write_bytes(whole + first)
    drawing = Drawing("sums", sums.tasks, 4, path)
    assert drawing.lacking == 0
    assert (drop_repeats(drawing), drop_repeats(drawing)) == (1, 0)
    assert path.read_bytes() == whole
    path.write_bytes(whole + first.replace(b'"tokens": ', b'"tokens": 1'))
    with pytest.raises(UserError, match=r"s\.jsonl:17: .* sample 0 stands here twice"):
        drawn_bytes(guesser, sums, path)


def test_a_spoilt_line_is_named(sums: Benchmark, guesser: Any, tmp_path: Path):
    path = tmp_path / "s.jsonl"
    path.write_text("{oops\n")
    with pytest.raises(UserError, match=r"s\.jsonl:1: not JSON"):
        drawn_bytes(guesser, sums, path)


def test_missing_samples_are_an_error_not_fewer(sums: Benchmark, guesser: Any, tmp_path: Path):
    path = tmp_path / "s.jsonl"
    whole = drawn_bytes(guesser, sums, path).splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:9]))
    with pytest.raises(UserError, match=r"2 of 4 tasks .* \(1 tasks lack 3, 1 tasks lack 4\)"):
        complete_rows(read_cells(path, sums.tasks, 4), sums.tasks, 4)


def rows_of(sums: Benchmark, table: list[list[str | None]]) -> list[list[dict[str, Any]]]:
    return [
        [
            {
                "answer": answer,
                "correct": None if answer == "?" else answer == task.gold,
                "status": "no_answer" if answer is None else "ok",
                "finish_reason": "length" if answer is None else "stop",
                "tokens": 10,
            }
            for answer in answers
        ]
        for task, answers in zip(sums.tasks, table, strict=True)
    ]


TABLE: list[list[str | None]] = [
    ["2", "2", "3", None],
    ["5", "6", "7", "7"],
    [None, None, None, None],
    ["?", "?", "18", None],
]


def test_values_by_task_match_a_count_by_hand(sums: Benchmark):
    values = columns([m.values for m in measure_all(sums.tasks, rows_of(sums, TABLE), [1, 4])])
    assert values["avg@4"].tolist() == [0.5, 0.25, 0.0, 0.25]
    assert values["pass@4"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert values["maj@4"].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert values["pass@1"] == pytest.approx(values["avg@4"])


def test_rates_count_every_sample(sums: Benchmark):
    scores = summarise(sums.tasks, rows_of(sums, TABLE), [1])
    assert scores.metrics["avg@4"].value == 0.25
    assert asdict(scores.rates) == {
        "truncated": 6 / 16,
        "prompt_too_long": 0.0,
        "no_answer": 6 / 16,
        "undecided": 2 / 16,
        "timeout": 0.0,
        "infra_error": 0.0,
        "mean_tokens": 10.0,
    }


def test_a_model_leaves_samples_tasks_and_numbers(sums: Benchmark, guesser: Any, tmp_path: Path):
    run = RunDir(tmp_path / "run")
    owed = drawings(run, sums, "base", 4, greedy=True)
    assert [one.lacking for one in owed] == [16, 4]
    result = evaluate_model(guesser, sums, FOUR, run, "base", greedy=guesser, batch=8)
    assert [one.lacking for one in owed] == [0, 0]
    assert (run.benchmarks(), run.models("sums")) == (["sums"], ["base"])
    assert result == read_result(run.result("sums", "base"))
    assert result.tasks_hash == sums.tasks_hash
    assert set(result.metrics) == {
        *("avg@4", "pass@1", "pass@2", "pass@4", "maj@1", "maj@2", "maj@4", "greedy")
    }
    for metric, estimate in result.metrics.items():
        mean = np.mean([row[metric] for row in read_tasks(run.result("sums", "base"))])
        assert estimate.value == pytest.approx(mean)


def test_numbers_are_made_anew_without_a_model(sums: Benchmark, guesser: Any, tmp_path: Path):
    run = RunDir(tmp_path / "run")
    before = evaluate_model(guesser, sums, FOUR, run, "base", greedy=guesser)
    run.result("sums", "base").unlink()
    assert evaluate_model(None, sums, FOUR, run, "base") == before


def test_a_result_is_not_gone_on_with_under_other_sampling(
    sums: Benchmark, guesser: Any, tmp_path: Path
):
    run = RunDir(tmp_path / "run")
    evaluate_model(guesser, sums, FOUR, run, "base")
    with pytest.raises(UserError, match=r"temperature 0\.6, now 1\.0 is asked; delete .*base\.\*"):
        evaluate_model(guesser, sums, FOUR.model_copy(update={"temperature": 1.0}), run, "base")
    again = evaluate_model(None, sums, FOUR.model_copy(update={"k": [2]}), run, "base")
    assert set(again.metrics) == {"avg@4", "pass@2", "maj@2"}


def test_the_recipe_speaks_before_the_benchmark():
    benchmark = SamplingConfig(samples=32, temperature=0.6, k=[1, 8, 32], max_tokens=8192)
    resolved = resolve_sampling(EvalConfig(samples=8, top_p=1.0), benchmark)
    expected = Sampling(samples=8, temperature=0.6, top_p=1.0, k=[1, 8], max_tokens=8192)
    assert resolved == expected


def test_a_k_that_was_asked_is_refused_above_the_samples():
    with pytest.raises(UserError, match="pass@64 needs at least 64 samples per task"):
        resolve_sampling(EvalConfig(k=[64]), SamplingConfig(samples=16))


def test_rows_are_json_with_the_promised_fields(sums: Benchmark, guesser: Any, tmp_path: Path):
    row = json.loads(drawn_bytes(guesser, sums, tmp_path / "s.jsonl").splitlines()[0])
    assert list(row) == [
        *("task_id", "sample", "completion", "answer", "correct", "status", "reason"),
        *("verifier", "finish_reason", "tokens", "prompt_tokens", "confidence", "seed", "model"),
    ]
