"""Discovery: scheduling problems, a small model that proposes, the study, one's own functions."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ttc_rl.config.discovery import DiscoveryStudy, ScheduleConfig, load_discovery
from ttc_rl.corpus.schedules import NONE, lessons, make_problems, score
from ttc_rl.run_dir import ArmDir, read_json, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.discovery_study import discovery_tables, run_discovery
from ttc_rl.train.methods import discovery
from ttc_rl.train.methods.discovery import Problem, discover
from ttc_rl.train.schedule_model import schedule_model

SMALL = {"jobs": 5, "machines": 2, "count": 2, "hidden": 32, "mlp": 64, "pretraining": 60}
FAST = {"steps": 4, "groups": 2, "rollouts": 4, "max_completion_tokens": 8, "save_steps": 2}


def study(**more: Any) -> DiscoveryStudy:
    return DiscoveryStudy.model_validate({"schedules": SMALL, **FAST, **more})


# --------------------------------------------------------------------------- problems


def test_a_schedule_is_worth_the_shortest_there_could_be_over_its_length():
    problem = {"lengths": [10, 20, 30, 40], "machines": 2}
    assert score(problem, " a b b a ") == ("a b b a", 1.0)
    assert score(problem, "a a a a") == ("a a a a", 0.5)
    one_long = {"lengths": [90, 10, 10], "machines": 2}
    assert score(one_long, "a b b") == ("a b b", 1.0)  # no machine is done before the longest job


@pytest.mark.parametrize("text", ["", "a b", "a b b a a", "a b b c", "abba", "1 2 2 1", "a,b,b,a"])
def test_what_leaves_a_job_without_a_machine_is_no_schedule(text: str):
    assert score({"lengths": [10, 20, 30, 40], "machines": 2}, text) is None


def test_lessons_are_schedules_and_say_nothing_of_what_is_good():
    config = ScheduleConfig(jobs=6, machines=3)
    values = {True: [], False: []}
    for prompt, reply in lessons(config, 400, seed=0):
        lengths = [int(word) for word in prompt.split() if word.isdigit()]
        found = score({"lengths": lengths, "machines": 3}, reply)
        assert found is not None
        values[f" {NONE} " in prompt].append(found[1])
    rng = random.Random(0)
    blind = [
        score(p, " ".join(rng.choices("abc", k=6)))[1]
        for p in make_problems(ScheduleConfig(jobs=6, machines=3, count=400), 1)
    ]
    for kind in values.values():
        assert abs(sum(kind) / len(kind) - sum(blind) / len(blind)) < 0.03


# --------------------------------------------------------------------------- the study


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("discovery")
    run_discovery(study(), folder)
    return folder


def test_every_way_gets_as_many_completions_and_keeps_the_best_ever(ran: Path):
    rows = list(read_jsonl(ran / "discovery.jsonl"))
    assert len(rows) == 2 * 5
    problems = {p["id"]: p for p in make_problems(ScheduleConfig(**SMALL), 0)}
    for row in rows:
        assert len(row["curve"]) == FAST["steps"]
        known = [value for value in row["curve"] if value is not None]
        assert known == sorted(known)
        assert row["best"] == known[-1]
        assert score(problems[row["problem"]], row["answer"]) == (row["answer"], row["best"])
    assert not list((ran / "cells").iterdir())


def test_the_page_has_a_line_for_each_way_and_a_finished_study_trains_nothing(
    ran: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(discovery, "discover", None)
    found = run_discovery(study(), ran)
    page = discovery_tables(found)
    assert "2 problems, 32 completions each" in page
    for way in study().ways:
        assert f"| {way} |" in page
    assert list(found.differences) == [
        f"discover - {way}" for way in ("best-of-n", "reuse", "train", "mean")
    ]
    with pytest.raises(UserError, match="another study"):
        run_discovery(study(steps=5), ran)


def test_only_ways_that_train_move_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    base = schedule_model(ScheduleConfig(**SMALL))
    row = make_problems(ScheduleConfig(**SMALL), 0)[0]
    before = load_file(base / "model.safetensors")
    for way, moves in (("reuse", False), ("discover", True)):
        cell = ArmDir(tmp_path / way)
        discover(study(), Problem(row, score, 0.0), way, base, cell, NONE)
        after = load_file(cell.checkpoints / "checkpoint-4" / "model.safetensors")
        same = all(torch.equal(before[name], after[name]) for name in before)
        assert same is not moves
        assert read_json(cell.root / "best.json")["value"] > 0


def test_a_killed_search_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    base = schedule_model(ScheduleConfig(**SMALL))
    row = make_problems(ScheduleConfig(**SMALL), 0)[0]
    whole = discover(
        study(), Problem(row, score, 0.0), "discover", base, ArmDir(tmp_path / "a"), NONE
    )

    calls = 0

    def killed(problem: Any, text: str) -> Any:
        nonlocal calls
        calls += 1
        if calls > 2 * 8:  # after the second step, which has a checkpoint
            raise KeyboardInterrupt
        return score(problem, text)

    cell = ArmDir(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        discover(study(), Problem(row, killed, 0.0), "discover", base, cell, NONE)
    again = discover(study(), Problem(row, score, 0.0), "discover", base, cell, NONE)
    assert again.state_dict() == whole.state_dict()


# --------------------------------------------------------------------------- one's own


def own(tmp_path: Path, body: str, rows: list[dict[str, Any]]) -> Path:
    (tmp_path / "my_scores.py").write_text(f"def value(problem, completion):\n    {body}\n")
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = schedule_model(ScheduleConfig(**SMALL))
    text = f"model: {base}\nproblems: mine.jsonl\nscore: my_scores:value\nways: [discover]\n"
    settings = "".join(f"{key}: {value}\n" for key, value in FAST.items())
    (tmp_path / "mine.yaml").write_text(text + settings)
    return tmp_path / "mine.yaml"


ROW = {"id": "one", "prompt": "jobs 10 20 30 40 50 now {answer} >", "start": ["a a a a a"]}


def test_problems_and_a_function_from_outside(tmp_path: Path):
    body = (
        "return (completion.strip(), float(completion.count('b'))) if completion.strip() else None"
    )
    path = own(tmp_path, body, [ROW])
    found = run_discovery(load_discovery(path), tmp_path / "run")
    (row,) = read_jsonl(tmp_path / "run" / "discovery.jsonl")
    assert row["answer"].count("b") == row["best"] == found.best["discover"][-1].value


@pytest.mark.parametrize(
    ("body", "row", "message"),
    [
        ("return 1.0", ROW, r"score: returned 1.0 for problem one; return \(answer, value\)"),
        ("return 'x', float('nan')", ROW, "score: nan for problem one"),
        (
            "return 'x', -1",
            ROW,
            "score: -1.0 for problem one; a value is finite and at least floor",
        ),
        ("return None", ROW, "start: no answer in 'a a a a a'"),
        ("return 'x', 1", {"id": "one", "prompt": "now"}, r"has no place \{answer\}"),
        ("return 'x', 1", {"id": "one"}, "prompt"),
        ("return 'x', 1", {**ROW, "start": "a a"}, "start: 'a a' is no list of answers"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, body: str, row: dict[str, Any], message: str
):
    path = own(tmp_path, body, [row])
    with pytest.raises(UserError, match=message) as raised:
        run_discovery(load_discovery(path), tmp_path / "run")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 3\n", "model: name one, or a `schedules:` block"),
        ("schedules: {}\nmodel: x\n", "schedules: come with their own model"),
        ("model: x\nproblems: y\n", "score: name one"),
        ("schedules: {}\nstep: 3\n", "step: unknown key"),
        ("schedules: {}\ntrl: {no_such: 1}\n", "trl: TRL's GRPOConfig says"),
        ("model: x\nproblems: nowhere.jsonl\nscore: a:b\n", "nowhere.jsonl: not there"),
    ],
)
def test_a_study_that_cannot_be_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        run_discovery(load_discovery(tmp_path / "study.yaml"), tmp_path / "run")
    assert "\n" not in str(raised.value)


def test_published_studies_can_be_read():
    assert [load_discovery(path) for path in sorted(Path("recipes/discovery").glob("*.yaml"))]
