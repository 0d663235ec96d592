"""Verdicts that failed for reasons of ours: no reward, counted, given anew, and a limit on them."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from whole_replies import END, WholeReplies

from ttc_rl.config import Recipe
from ttc_rl.run_dir import ArmDir, read_jsonl
from ttc_rl.sampling.drawing import Drawing, draw
from ttc_rl.schema import Completion, Task, UserError, Verdict
from ttc_rl.train.rewards import reward
from ttc_rl.verifiers import KINDS, Graders, Kind, check_infra_errors

BROKEN = Verdict(None, None, "the sandbox is gone", "infra_error")
TASKS = [Task("flaky", f"{i}", "a", id=f"t{i}") for i in range(20)]


BROKEN_IDS: set[str] = set()
"""Ids of the tasks whose verdicts fail."""


def flaky(task: Task, completion: str) -> Verdict:
    return BROKEN if task.id in BROKEN_IDS else Verdict(completion == task.gold, completion)


GRADERS = Graders({**KINDS, "flaky": Kind("flaky", flaky)})


@pytest.fixture
def broken() -> Iterator[set[str]]:
    yield BROKEN_IDS
    BROKEN_IDS.clear()


def answers(tasks, num_samples, *, seed, first=0):
    answers.calls += 1
    return [[Completion("a", "stop", 1)] * num_samples for _ in tasks]


def evaluated(path: Path) -> list[str]:
    answers.calls = 0
    draw(answers, Drawing("b", TASKS, 2, path, graders=GRADERS), batch=8)
    return [row["status"] for row in read_jsonl(path)]


def test_it_gives_no_reward():
    assert reward(BROKEN) is None
    check_infra_errors(1, 10, 0.1, "step 1")
    with pytest.raises(UserError, match=r"step 1: 2 of 10 verdicts .* more than the 10% allowed"):
        check_infra_errors(2, 10, 0.1, "step 1")


def test_a_few_are_counted_and_given_anew_without_drawing(broken: set[str], tmp_path: Path):
    broken.add("t3")
    assert evaluated(tmp_path / "s.jsonl").count("infra_error") == 2
    broken.clear()
    assert evaluated(tmp_path / "s.jsonl") == ["ok"] * 40
    assert answers.calls == 0


def test_many_stop_an_evaluation_and_nothing_is_lost(broken: set[str], tmp_path: Path):
    broken |= {"t0", "t1", "t2"}
    with pytest.raises(UserError, match="b: 6 of 40 verdicts failed for reasons of ours"):
        evaluated(tmp_path / "s.jsonl")
    assert len(list(read_jsonl(tmp_path / "s.jsonl"))) == 8
    with pytest.raises(UserError, match="b: 6 of 40"):
        evaluated(tmp_path / "s.jsonl")
    assert answers.calls == 0
    broken.clear()
    assert evaluated(tmp_path / "s.jsonl") == ["ok"] * 40
    assert answers.calls == 4


def test_many_stop_the_training_after_the_rollouts_are_written(broken: set[str], tmp_path: Path):
    pytest.importorskip("trl")
    from ttc_rl.train.curriculum import plan
    from ttc_rl.train.methods.grpo_reward import Ledger

    train = {"tasks_per_step": 2, "rollouts_per_task": 2, "max_infra_errors": 0.5}
    sections = {"model": "m", "corpus": "c", "target": "t", "train": train}
    recipe = Recipe.model_validate(sections)
    tasks = {task.id: task for task in TASKS}
    replies, order = WholeReplies(), plan(["t0", "t1"], recipe.train)
    ledger = Ledger(recipe, order, tasks, ArmDir(tmp_path), replies, [END], graders=GRADERS)
    arguments = {
        "prompts": [""] * 4,
        "completions": [""] * 4,
        "completion_ids": replies.ids(*["a"] * 4),
        "log_metric": lambda *_: None,
        "task_id": ["t0", "t0", "t1", "t1"],
        "trainer_state": SimpleNamespace(global_step=0),
    }
    broken.add("t0")
    assert ledger.verified_reward(**arguments) == [None, None, 1.0, 1.0]
    broken.add("t1")
    with pytest.raises(UserError, match="step 1: 4 of 4 verdicts"):
        ledger.verified_reward(**arguments)
    assert [path.name for path in ArmDir(tmp_path).rollouts.iterdir()] == ["step-00001-0.parquet"]
