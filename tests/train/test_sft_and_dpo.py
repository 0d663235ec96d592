"""SFT and DPO: what they learn from, that they learn it, and that a killed training goes on."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from ttc_rl.config import Recipe, SkillsConfig, load_recipe, make_recipe
from ttc_rl.corpus.skills import make_skills
from ttc_rl.run_dir import ArmDir, read_jsonl
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import Task, UserError
from ttc_rl.stages.job import starting_model
from ttc_rl.train.curriculum import Plan, plan
from ttc_rl.train.methods import METHODS, learned, method_of
from ttc_rl.train.methods.base import Setup
from ttc_rl.verifiers import BUILT_IN

TASKS = make_skills(SkillsConfig(families=["reverse"], tasks_per_family=8, levels=[1]))
BY_ID = {task.id: task for task in TASKS}
TINY = {"skills": None, "hidden": 32, "layers": 1, "mlp": 64}


def recipe(**train: Any) -> Recipe:
    return make_recipe(
        {
            "model": {"pretrain": TINY},
            "corpus": "c.jsonl",
            "target": "aime25",
            "prompts": {"exact": "{prompt} =>"},
            "train": {
                "tasks_per_step": 4,
                "rollouts_per_task": 4,
                "max_completion_tokens": 12,
                "save_steps": 2,
                **train,
            },
        }
    )


def drawn(tasks: Sequence[Task]) -> list[Group]:
    """Of every task but the first: two right, one wrong, one cut; of the first nothing right."""
    groups: list[Group] = []
    for number, task in enumerate(tasks):
        right = f"answer {task.gold}"
        texts = [right, "answer x", f"so {right}", "answer y"]
        correct: list[bool | None] = [True, False, True, None]
        if not number:
            correct = [False] * 4
        groups.append(Group(texts, [True, True, True, False], [3] * 4, correct, 5))
    return groups


def setup(made: Recipe, base: Path | str = "", folder: Path = Path()) -> Setup:
    order = plan([task.id for task in TASKS], made.train)
    tokenizer = AutoTokenizer.from_pretrained(base) if base else None
    return Setup(
        made, order, BY_ID, base, ArmDir(folder), tokenizer, BUILT_IN, None, False, [], drawn,
        None, 0,
    )  # fmt: skip


# --------------------------------------------------------------------------- what is learned


def test_a_gold_reply_is_learned_for_each_slot_in_order():
    replies = learned.gold_replies(setup(recipe(method="sft", epochs=2)))
    assert [reply.task.id for reply in replies] == [task.id for task in TASKS] * 2
    assert all(reply.text == reply.task.meta["solution"] for reply in replies)


def test_of_own_rollouts_the_right_ones_are_learned_in_turn():
    made = setup(recipe(method="sft", replies="own", epochs=2))
    replies = learned.own_replies(made)
    ids = [reply.task.id for reply in replies]
    assert TASKS[0].id not in ids
    assert ids[:14] == [task.id for task in TASKS[1:]] * 2
    assert len(ids) % 4 == 0
    assert replies[0].text == f"answer {TASKS[1].gold}"
    assert replies[7].text == f"so answer {TASKS[1].gold}"


def test_pairs_are_of_one_task_and_undecided_completions_on_neither_side():
    pairs = learned.pairs(setup(recipe(method="dpo")))
    assert [pair.task.id for pair in pairs[:7]] == [task.id for task in TASKS[1:]]
    assert pairs[0].right == (f"answer {TASKS[1].gold}", True)
    assert pairs[0].wrong == ("answer x", True)
    assert {pair.wrong[0] for pair in pairs} == {"answer x"}
    assert len(pairs) == 8  # the last slot is filled from the start


@pytest.mark.parametrize(("method", "says"), [("sft", "a right rollout"), ("dpo", "both a right")])
def test_where_nothing_can_be_learned_it_is_said(method: str, says: str, tmp_path: Path):
    made = recipe(method=method, **({"replies": "own"} if method == "sft" else {}))
    silent = [Group(["x"], [True], [1], [False], 1)] * len(TASKS)
    given = setup(made, folder=tmp_path)
    given = Setup(**{**vars(given), "drawn": lambda _: silent})
    with pytest.raises(UserError, match=f"no task has {says}"):
        (learned.own_replies if method == "sft" else learned.pairs)(given)


def test_the_last_step_is_filled_from_the_start():
    assert learned.filled([1, 2, 3, 4, 5], 4) == [1, 2, 3, 4, 5, 1, 2, 3]
    assert learned.filled([1], 4) == [1, 1, 1, 1]
    order = Plan(("a", "b", "a", "b"), 2, 0)
    assert learned.in_turn(order, {"a": [1, 2], "b": []}) == [("a", 1), ("a", 2)]


# --------------------------------------------------------------------------- keys


def test_a_key_of_another_method_is_refused_and_an_inherited_one_dropped(tmp_path: Path):
    with pytest.raises(UserError, match=r"train\.reward: belongs to train\.method grpo"):
        recipe(method="sft", reward="format")
    with pytest.raises(UserError, match=r"train\.replies: belongs to train\.method sft"):
        recipe(method="dpo", replies="own")
    with pytest.raises(UserError, match=r"follows the rollouts of GRPO, and `method: dpo`"):
        recipe(method="dpo", curriculum={"method": "beta"})
    with pytest.raises(UserError, match=r"TRL's SFTConfig has no such field"):
        recipe(method="sft", trl={"num_iterations": 2})
    (tmp_path / "r.yaml").write_text(
        "model: m\ncorpus: c.jsonl\ntarget: aime25\n"
        "train: {reward: partial, trl: {loss_type: dr_grpo, learning_rate: 1e-5}}\n"
        "arms:\n  grpo: {}\n  dpo: {train: {method: dpo, trl: {beta: 0.2}}}\n"
    )
    made = load_recipe(tmp_path / "r.yaml")
    assert made.arm("grpo").train.trl == {"loss_type": "dr_grpo", "learning_rate": 1e-5}
    assert made.arm("dpo").train.trl == {"learning_rate": 1e-5, "beta": 0.2}
    assert (made.arm("grpo").train.reward, made.arm("dpo").train.reward) == ("partial", "correct")


@pytest.mark.parametrize("name", METHODS)
def test_what_trl_refuses_is_told_before_a_run(name: str, tmp_path: Path):
    made = recipe(method=name, trl={"lr_scheduler_type": "linear", "optim": "adamw_torch"})
    config = method_of(made).config
    assert config is not None
    assert config(made, 3, ArmDir(tmp_path), False).max_steps == 3
    wrong = recipe(method=name, trl={"warmup_steps": -1})
    with pytest.raises(UserError, match=r"train\.trl: TRL's \w+Config says"):
        config(wrong, 3, ArmDir(tmp_path), False)


def test_a_plan_prices_what_each_method_does():
    costs = {name: METHODS[name].step_cost(recipe(method=name).train) for name in METHODS}
    assert (costs["sft"].drawn, costs["sft"].sequences, costs["sft"].iterations) == (False, 4, 1)
    assert (costs["dpo"].drawn, costs["dpo"].sequences) == (True, costs["grpo"].sequences)
    assert costs["dpo"].iterations * costs["dpo"].sequences == 2 * 4
    own = METHODS["sft"].step_cost(recipe(method="sft", replies="own").train)
    assert own.iterations * own.sequences == 4


# --------------------------------------------------------------------------- training


@pytest.mark.parametrize(
    "train",
    [
        {"method": "sft", "epochs": 3},
        {"method": "sft", "replies": "own", "lora": {"rank": 4}},
        {"method": "dpo", "micro_batch": 2, "epochs": 3},
        {"method": "dpo", "lora": {"rank": 4}},
    ],
    ids=["sft", "sft own, lora", "dpo", "dpo, lora"],
)
def test_a_model_is_trained_in_order_and_saved(train: dict[str, Any], tmp_path: Path, cache: Path):
    from ttc_rl.train import loop

    rate = {"learning_rate": 3e-3, "lr_scheduler_type": "constant"}
    made = recipe(**train, trl=rate)
    base, arm = starting_model(made), ArmDir(tmp_path)
    order = plan([task.id for task in TASKS], made.train)
    loop.train(made, order, BY_ID, base, arm, track=False, drawn=drawn)
    rows = list(read_jsonl(arm.metrics, "step"))
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == 2 * made.train.epochs
    assert rows[-1]["loss"] < rows[0]["loss"] or len(rows) == 2
    if train["method"] == "dpo":
        assert "rewards/margins" in rows[0]
    AutoModelForCausalLM.from_pretrained(arm.model)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, cache: Path):
    import torch

    from ttc_rl.train import loop

    made = recipe(method="dpo", epochs=3, trl={"learning_rate": 1e-3})
    base, order = starting_model(made), plan([task.id for task in TASKS], made.train)
    whole, broken = ArmDir(tmp_path / "whole"), ArmDir(tmp_path / "broken")
    loop.train(made, order, BY_ID, base, whole, track=False, drawn=drawn)

    class Killed(Exception):
        pass

    class AtStepThree(loop.Progress):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 3:
                raise Killed

    kept, loop.Progress = loop.Progress, AtStepThree  # type: ignore[misc]
    try:
        with pytest.raises(Killed):
            loop.train(made, order, BY_ID, base, broken, track=False, drawn=drawn)
    finally:
        loop.Progress = kept  # type: ignore[misc]
    loop.train(made, order, BY_ID, base, broken, track=False, drawn=drawn)
    first, second = (
        AutoModelForCausalLM.from_pretrained(arm.model).state_dict() for arm in (whole, broken)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


# --------------------------------------------------------------------------- student fit


@pytest.fixture(scope="module")
def fitting(cache: Path) -> Any:
    """Return the fit of a model that has learned to reverse short strings."""
    from ttc_rl.train.methods.student_fit import StudentFit

    learned = {"families": ["reverse"], "tasks_per_family": 200, "levels": [1], "split": "pretrain"}
    made = recipe(method="sft").model_dump()
    made["model"] = {"pretrain": TINY | {"skills": learned, "max_steps": 150, "stop_at": 0.9}}
    base = starting_model(Recipe.model_validate(made))
    tokenizer = AutoTokenizer.from_pretrained(base)
    return StudentFit(base, tokenizer, {"exact": "{prompt} =>"})


def test_a_reply_to_the_task_fits_and_one_to_another_does_not(fitting: Any):
    pairs = list(pairwise(TASKS))
    own = [fitting.ratios(task, task.meta["solution"])[0] for task, _ in pairs]
    other = [fitting.ratios(task, stranger.meta["solution"])[0] for task, stranger in pairs]
    assert sum(own) < sum(other)
    assert sum(ratio < 1 for ratio in own) > len(own) / 2


def test_the_reply_that_tells_most_of_the_task_is_taken(
    fitting: Any, monkeypatch: pytest.MonkeyPatch
):
    told = {"plain": (0.5, 0.9), "refined": (0.9, 0.4), "odd": (1.2, 0.1), "far": (0.2, 1.5)}
    monkeypatch.setattr(fitting, "ratios", lambda task, reply: told[reply])
    assert fitting.best(TASKS[0], ["plain", "refined"]) == "refined"
    assert fitting.best(TASKS[0], ["odd", "plain"]) == "plain"
    assert fitting.best(TASKS[0], ["odd", "far"]) is None


def test_only_what_fits_is_learned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from ttc_rl.train.methods import student_fit

    class Fit:
        def __init__(self, *_: Any) -> None: ...

        def best(self, task: Task, replies: Sequence[str]) -> str | None:
            return None if task.id == TASKS[1].id else replies[-1]

    monkeypatch.setattr(student_fit, "StudentFit", Fit)
    made = setup(recipe(method="sft", student_fit=True), folder=tmp_path)
    refined = Task(**{**{f: getattr(TASKS[0], f) for f in ("kind", "prompt", "gold", "id")},
                      "meta": {**TASKS[0].meta, "refined": "better"}})  # fmt: skip
    made = Setup(**{**vars(made), "tasks": BY_ID | {refined.id: refined}})
    replies = learned.gold_replies(made)
    assert TASKS[1].id not in {reply.task.id for reply in replies}
    assert replies[0].text == "better"
    assert len(replies) % 4 == 0
    with pytest.raises(UserError, match="the model's own replies fit it"):
        recipe(method="sft", replies="own", student_fit=True)
