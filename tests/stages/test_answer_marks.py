"""A recipe's answer marks: checked, asked for, taught; read alike in training and evaluation."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from whole_replies import END, WholeReplies

from ttc_eval.harness.score import score
from ttc_eval.harness.variants import eval_benchmarks
from ttc_rl import verify
from ttc_rl.config import Recipe, dump_recipe, load_recipe
from ttc_rl.config.marks import KEY
from ttc_rl.corpus.benchmarks import load_benchmark, marked, named_benchmark, resolve_targets
from ttc_rl.run_dir import ArmDir, RunDir, read_jsonl
from ttc_rl.sampling.drawing import Drawing, draw
from ttc_rl.sampling.prompts import render
from ttc_rl.sampling.samples import read_cells
from ttc_rl.schema import Completion, Task, UserError
from ttc_rl.selection.less.examples import blind, gold_reply
from ttc_rl.stages.job import Job, _warmup_replies
from ttc_rl.stages.run import select
from ttc_rl.train.curriculum import plan, read_curriculum
from ttc_rl.train.methods.grpo_reward import Ledger

TREE: dict[str, Any] = {"model": "m", "corpus": ["math-train"], "target": "math500"}


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate(TREE | changes)


# --------------------------------------------------------------------------- the key


def test_boxes_are_the_default_and_one_mark_needs_no_list():
    assert recipe().answer_marks == ["boxed"]
    assert recipe(answer_marks="####").answer_marks == ["####"]
    assert recipe(answer_marks=["<answer>", "boxed"]).answer_marks == ["<answer>", "boxed"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "at least 1 item"),
        ("[boxed, boxed]", "a mark stands there twice; name each once"),
        ("[answer]", "should be 'boxed', '####' or '<answer>'"),
        ("####", 'is empty; YAML takes #### for a comment: write ["####"], with quotes'),
    ],
)
def test_what_is_no_list_of_marks_is_told(tmp_path: Path, text: str, told: str):
    path = tmp_path / "r.yaml"
    path.write_text(f"model: m\ncorpus: c.jsonl\ntarget: t.jsonl\nanswer_marks: {text}\n")
    with pytest.raises(UserError) as error:
        load_recipe(path)
    assert str(error.value).startswith(f"{path}:4: answer_marks")
    assert told in str(error.value)


def test_a_refused_template_is_told_with_its_line(tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_text(
        'model: m\ncorpus: c\ntarget: t\nanswer_marks: ["####"]\nprompts:\n  math: "{prompt}"\n'
    )
    with pytest.raises(UserError) as error:
        load_recipe(path)
    assert str(error.value) == (
        f"{path}:6: prompts.math: asks for none of answer_marks (####), so no answer would be "
        "read; name one in the template, or leave the template out"
    )


def test_arms_of_one_run_share_it(tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_text(json.dumps(TREE | {"arms": {"a": {"answer_marks": ["####"]}}}))
    with pytest.raises(UserError, match="arms of one run share it"):
        load_recipe(path)


def test_it_is_kept_in_the_run_and_not_changed_on_resuming(tmp_path: Path):
    made = recipe(answer_marks=["####", "boxed"])
    (tmp_path / "r.yaml").write_text(dump_recipe(made))
    assert load_recipe(tmp_path / "r.yaml") == made
    run = RunDir.open(tmp_path / "run", made)
    (run.root / "curriculum.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="differs in answer_marks"):
        RunDir.open(run.root, recipe(), resume=True)


# --------------------------------------------------------------------------- the prompt


@pytest.mark.parametrize(
    ("marks", "asked"),
    [
        (["boxed", "####"], r"within \boxed{}"),
        (["####", "boxed"], 'one line that begins with "####"'),
        (["<answer>"], "between <answer> and </answer>"),
    ],
)
def test_the_built_in_prompt_asks_for_the_first_mark(marks: list[str], asked: str):
    shown = render(Task("math", "1 + 1?", "2", meta={KEY: marks}), {})
    assert shown.startswith("1 + 1?\n\nThink it through step by step, then ")
    assert asked in shown
    assert sum(mark in shown for mark in ("boxed", "####", "<answer>")) == 1


def test_without_marks_the_prompts_are_those_of_before():
    assert render(Task("math", "x"), {}) == render(Task("math", "x", meta={KEY: ["boxed"]}), {})
    # A choice is read from a box or from words: its prompt asks for the box, whatever maths does.
    assert r"\boxed{}" in render(Task("choice", "x", meta={KEY: ["####"]}), {})


@pytest.mark.parametrize("template", ["{prompt}", r"{prompt} Use \boxed{}.", "{prompt} ### 5"])
def test_a_template_that_asks_for_none_of_the_marks_is_refused(template: str):
    told = r"prompts\.math: asks for none of answer_marks \(####, <answer>\)"
    with pytest.raises(ValueError, match=told):
        recipe(answer_marks=["####", "<answer>"], prompts={"math": template})
    recipe(prompts={"math": template})  # as before
    recipe(answer_marks=["####"], prompts={"exact": template})
    recipe(answer_marks=["####"], prompts={"math": template, "after": " End with #### N."})
    recipe(answer_marks=["####", "<answer>"], prompts={"math": "<answer> {prompt}"})


# --------------------------------------------------------------------------- what is taught


def test_the_gold_reply_announces_the_gold_behind_the_first_mark():
    asked = Task("math", "1 + 1?", "2", meta={KEY: ["####", "boxed"], "options": ["x"]})
    assert gold_reply(asked) == "#### 2"
    assert gold_reply(Task("math", "1 + 1?", "2", meta={KEY: ["<answer>"]})) == "<answer>2</answer>"
    assert gold_reply(Task("math", "1 + 1?", "2")) == r"\boxed{2}"
    assert blind(asked).meta == asked.meta
    assert blind(asked).gold is None


@pytest.mark.parametrize(
    ("solution", "marks", "taught"),
    [
        ("48 + 24 = 72", ["boxed"], "48 + 24 = 72\n\\boxed{72}"),
        (r"48 + 24 = \boxed{72}", ["boxed"], r"48 + 24 = \boxed{72}"),
        (r"48 + 24 = \boxed{72}", ["####", "boxed"], "48 + 24 = \\boxed{72}\n#### 72"),
        ("48 + 24\n#### 72", ["####"], "48 + 24\n#### 72"),
    ],
)
def test_a_solution_without_the_mark_is_taught_with_it(
    solution: str, marks: list[str], taught: str
):
    task = Task("math", "?", "72", meta={"solution": solution, KEY: marks})
    assert gold_reply(task) == taught
    assert verify(task, taught).correct is True


# --------------------------------------------------------------------------- a run

TEXTS = ["#### {}", r"\boxed{{{}}}", "the answer is {}", "<answer>{}</answer>", "#### {}\n#### 0"]


def write(path: Path, tasks: list[Task]) -> str:
    rows = [{"kind": t.kind, "prompt": t.prompt, "answer": t.gold} for t in tasks]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def made(tmp_path: Path) -> Recipe:
    """Sums to learn from, to be held out, and to be tested on; some choices among them."""
    sums = [Task("math", f"What is {a} plus {a + 7}?", str(2 * a + 7)) for a in range(12)]
    dev = [Task("math", f"Which number is {a} times six?", str(6 * a)) for a in range(1, 5)]
    test = [Task("math", f"How much is {a} less one?", str(a - 1)) for a in range(20, 24)]
    other = [Task("math", f"Halve {2 * a}.", str(a)) for a in range(1, 4)]
    return recipe(
        corpus=[write(tmp_path / "corpus.jsonl", sums)],
        target=write(tmp_path / "test.jsonl", test),
        answer_marks=["####"],
        selection={"size": 8},
        train={
            "tasks_per_step": 4,
            "rollouts_per_task": len(TEXTS),
            "dev": {"source": {"path": write(tmp_path / "dev.jsonl", dev)}, "tasks": 4},
        },
        model={
            "path": "m",
            "warmup": {"source": {"path": write(tmp_path / "other.jsonl", other)}},
        },
        eval={"retention": [], "perturbed": ["reworded"]},
    )


def test_training_and_evaluation_read_the_same_marks(made: Recipe, cache: Path, tmp_path: Path):
    unwarmed = made.model_copy(update={"model": recipe().model})
    job = Job(unwarmed, RunDir.open(tmp_path / "run", unwarmed))
    select(job)
    verdicts = [True, False, False, False, False]

    arm = job.arm("sift")[1]
    order, tasks = read_curriculum(arm)
    assert all(task.meta[KEY] == ["####"] for task in tasks.values())
    planned, replies = plan(order, made.train), WholeReplies()
    slots = [task_id for task_id in planned.step(1) for _ in TEXTS]
    golds = [str(tasks[task_id].gold) for task_id in planned.step(1)]
    ids = replies.ids(*(text.format(gold) for gold in golds for text in TEXTS))
    ledger = Ledger(made, planned, tasks, ArmDir(tmp_path / "arm"), replies, [END])
    rewards = ledger.verified_reward(
        prompts=slots, completions=slots, completion_ids=ids, task_id=slots,
        trainer_state=SimpleNamespace(global_step=0), log_metric=lambda *_: None,
    )  # fmt: skip
    assert rewards == [float(right) for right in verdicts] * 4

    def completer(tasks: Any, num_samples: int, **_: Any) -> list[list[Completion]]:
        return [
            [Completion(text.format(task.gold), "stop", 1) for text in TEXTS[:num_samples]]
            for task in tasks
        ]

    found = {one.name: one for one in eval_benchmarks(unwarmed)}
    assert list(found) == ["test", "test~reworded"]
    dev = [Task(**row) for row in read_jsonl(job.run.dev_tasks)]
    for name, tested in [("dev", dev), *((one.name, one.tasks) for one in found.values())]:
        path = job.run.samples(name, "base")
        draw(completer, Drawing(name, tested, len(TEXTS), path))
        cells = read_cells(path, tested, len(TEXTS))
        assert [row["correct"] for row in cells.values()] == verdicts * len(tested), name

    target = named_benchmark(str(made.target))
    scored = score(job.run.samples("test", "base"), target)
    assert scored.changed == []
    assert scored.result.answer_marks == ["####"]
    # Elsewhere nobody knows the run's recipe: a box counts.
    copy = tmp_path / "samples.jsonl"
    copy.write_text(job.run.samples("test", "base").read_text())
    elsewhere = score(copy, target)
    assert len(elsewhere.changed) == 2 * len(target.tasks)
    assert elsewhere.result.answer_marks is None
    assert score(copy, marked(target, ["####"])).changed == []


def test_score_names_the_marks_that_nothing_stands_behind(made: Recipe, tmp_path: Path):
    tasks = resolve_targets(made.target_sources)[0]
    path = tmp_path / "said.jsonl"
    path.write_text(
        "".join(
            json.dumps({"task_id": task.id, "sample": 0, "completion": rf"\boxed{{{task.gold}}}"})
            + "\n"
            for task in tasks.tasks
        )
    )
    assert score(path, tasks).unread == ("####",)
    assert score(path, tasks, fallback=True).unread == ()


def test_the_warm_up_teaches_the_mark(made: Recipe):
    replies = _warmup_replies(made)
    assert {reply.text for reply in replies} == {"#### 1", "#### 2", "#### 3"}
    assert all(reply.task.meta[KEY] == ["####"] for reply in replies)
    plain = made.model_copy(update={"answer_marks": ["boxed"]})
    assert {reply.text[:6] for reply in _warmup_replies(plain)} == {r"\boxed"}


def test_a_recipe_that_says_nothing_leaves_the_tasks_as_they_are(data: Path):
    tasks = load_benchmark("math500", str(data)).tasks
    assert resolve_targets(recipe(data=str(data)).target_sources)[0].tasks == tasks
    (hashed,) = resolve_targets(recipe(data=str(data), answer_marks=["####"]).target_sources)
    assert [task.id for task in hashed.tasks] == [task.id for task in tasks]
    assert all(task.meta[KEY] == ["####"] for task in hashed.tasks)
