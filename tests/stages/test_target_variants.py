"""Variants of targets: what the model writes, whose answers agree, what is trained on and said."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ttc_rl.config import VariantsConfig, load_recipe
from ttc_rl.metrics.flops import Spent
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import Task, UserError
from ttc_rl.stages.base_model import BaseModel
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import report, select
from ttc_rl.stages.target_variants import ASK, bill, variants
from ttc_rl.verifiers import BUILT_IN

TINY = Path(__file__).parents[1] / "tiny.yaml"
CONFIG = VariantsConfig(per_target=4, samples=4)


def group(texts: Sequence[str], finished: Sequence[bool] | None = None) -> Group:
    return Group(list(texts), list(finished or [True] * len(texts)), [5] * len(texts), [], 7)


def test_only_new_finished_problems_at_the_edge_get_a_gold():
    targets = [Task("math", "What is 2 + 2?", "4"), Task("math", "What is 3 + 3?", "6")]
    asked: list[list[Task]] = []

    def draw(tasks: Sequence[Task], samples: int) -> list[Group]:
        asked.append(list(tasks))
        if len(asked) == 1:
            first = ["What is 5 + 5?", "what is 3+3 ?", "What is 9", " "]
            second = ["What is 5 + 5?", "What is 6 + 1?", "Why? " * 200, "What is 1 + 1?"]
            return [group(first, [True, True, False, True]), group(second)]
        boxes = {"5": [10, 10, 10, 11], "6": [7, 7, 7, 7], "1": [1, 2, 3, 4]}
        return [group([rf"\boxed{{{n}}}" for n in boxes[task.prompt[8]]]) for task in tasks]

    found = variants(targets, draw, CONFIG, BUILT_IN)
    assert [one.task.prompt for one in found] == [
        "What is 5 + 5?", "What is 6 + 1?", "What is 1 + 1?"
    ]  # fmt: skip
    assert [(one.label, one.share) for one in found] == [("10", 0.75), (None, 1.0), (None, 0.25)]
    assert [one.target_id for one in found] == [targets[0].id, targets[1].id, targets[1].id]
    assert all(task.gold is None for task in asked[1])
    assert all(ASK.split("{prompt}")[0] in task.prompt for task in asked[0])
    assert not any(gold in task.prompt for task in asked[0] for gold in ("4", "6"))
    assert found[0].task.meta["variant_of"] == targets[0].id


def test_a_model_that_writes_nothing_has_no_variant():
    def draw(tasks: Sequence[Task], samples: int) -> list[Group]:
        return [group([""] * samples) for _ in tasks]

    assert variants([Task("math", "?", "4")], draw, CONFIG, BUILT_IN) == []


def test_an_answer_is_no_problem_and_would_agree_with_itself():
    texts = ["Answer: 14", "The final answer is 7", "**Solution**: add them"]

    def draw(tasks: Sequence[Task], samples: int) -> list[Group]:
        if ASK[:10] in tasks[0].prompt:
            return [group(["What is 5 + 5?", *texts]) for _ in tasks]
        return [group([r"\boxed{10}"] * 2 + [r"\boxed{9}"] * 2) for _ in tasks]

    found = variants([Task("math", "What is 2 + 2?", "4")], draw, CONFIG, BUILT_IN)
    assert [one.task.prompt for one in found] == ["What is 5 + 5?"]


def test_the_bill_holds_both():
    own, more = Spent(10), Spent(10)
    own.drawn(3, 5)
    more.drawn(1, 1)
    both = bill(own.as_dict(), more)
    assert both
    assert (both["flops"], both["completions"]) == (own.flops + more.flops, 2)
    assert both["tokens_a_rollout"] == 5
    assert bill(None, more) == more.as_dict()
    assert bill(own.as_dict(), None) == own.as_dict()


@pytest.mark.slow
def test_an_arm_with_variants_beside_one_without(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    def groups(
        self: Any, name: str, tasks: Sequence[Task], samples: int, *, grade: bool
    ) -> list[Group]:
        if tasks and tasks[0].kind == "variant":
            shown = [task.prompt.split("\n\n")[1] for task in tasks]
            return [group([f"{text}{' a' * (i + 1)}" for i in range(samples)]) for text in shown]
        return [group([f"answer {n}" for n in (1, 1, 2, 3)]) for _ in tasks]

    monkeypatch.setattr(BaseModel, "groups", groups)
    arms = {"sift": {}, "more": {"selection": {"variants": {"per_target": 2, "samples": 4}}}}
    keys = [f"arms={json.dumps(arms)}", "arms.random:=null", "selection.size=12"]
    recipe = load_recipe(TINY, keys)
    job = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    select(job)
    report(job)
    kept = list(read_jsonl(job.arm("more")[1].variants))
    assert len(kept) == 24
    assert all((row["label"], row["share"]) == ("1", 0.5) for row in kept)
    rows = list(read_jsonl(job.arm("more")[1].curriculum))
    made = [row for row in rows if "variant_of" in row["task"]["meta"]]
    assert made
    assert all(row["task"]["gold"] == "1" for row in made)
    selection = read_json(job.arm("more")[1].selection)
    assert selection["variants"] == 24
    assert selection["compute"]["completions"] == 12 * 2 + 24 * 4
    plain = read_json(job.arm("sift")[1].selection)
    assert plain["variants"] is None
    assert plain["compute"] is None
    assert "variants of the targets, written by the base model" in job.run.report.read_text()


def test_kinds_that_cannot_vote_are_refused(tmp_path: Path, cache: Path):
    from ttc_rl.stages.target_variants import written_variants

    job = Job(load_recipe(TINY, ["selection.variants={}"]), RunDir(tmp_path))
    program = Task("code", "?", tests=({"type": "stdin", "input": "", "output": ""},))
    with pytest.raises(UserError, match=r"selection\.variants: answers of kind code cannot vote"):
        written_variants(job, "sift", [program])
    with pytest.raises(UserError, match="would need options"):
        written_variants(job, "sift", [Task("choice", "?", "A", meta={"options": ["a", "b"]})])
