"""Choices and exact answers: tables checked by hand, and options in another order."""

import json
from pathlib import Path

import pytest

from ttc_rl import load_tasks, verify, verify_many
from ttc_rl.schema import Task
from ttc_rl.verifiers.choices import label, read_answer, shuffle_options

GOLDEN = Path(__file__).parents[1] / "golden"
QUESTION = "Where is the Louvre?"
LIST = "A. Rome\nB. Paris\nC. Berlin"
TASK = Task(
    "choice",
    f"{QUESTION}\n\n{LIST}",
    "B",
    meta={"options": ["Rome", "Paris", "Berlin"], "question": QUESTION, "id": "x/1"},
)


@pytest.mark.parametrize("kind", ["choices", "exact"])
def test_the_table_checked_by_hand(kind: str):
    rows = [json.loads(line) for line in (GOLDEN / f"{kind}.jsonl").read_text().splitlines()]
    wrong = []
    for row in rows:
        meta = {"options": row["options"]} if row.get("options") else {}
        task = Task(kind.removesuffix("s"), "?", row["gold"], meta=meta)
        verdict = verify(task, row["completion"])
        if (verdict.correct, verdict.status) != (row["correct"], row.get("status", "ok")):
            wrong.append((row, verdict))
    assert wrong == []
    assert len(rows) >= {"choices": 60, "exact": 20}[kind]


def test_replies_as_models_write_them():
    """Letters with reasons, tags, bold and bare ones are read; hedges choose nothing."""
    rows = [json.loads(line) for line in (GOLDEN / "replies.jsonl").read_text().splitlines()]
    wrong = [
        f"{row['completion']!r}: {answer}, not {row['answer']}"
        for row in rows
        if (answer := read_answer(row["completion"], row["options"])) != row["answer"]
    ]
    assert wrong == []
    assert len(rows) >= 80


def test_shuffled_options_take_gold_and_prompt_along():
    seen = {shuffle_options(TASK, seed).prompt for seed in range(40)}
    assert len(seen) == 6  # every order of three
    for seed in range(40):
        task = shuffle_options(TASK, seed)
        assert f"{task.gold}. Paris" in task.prompt
        assert task.prompt.startswith(f"{QUESTION}\n\nA. ")
        assert verify(task, rf"\boxed{{{task.gold}}}").correct is True
        assert verify(task, r"\boxed{Paris}").correct is True
        assert verify(task, r"\boxed{Rome}").correct is False
        assert (task.meta["shuffled_from"], task.meta["id"]) == (TASK.id, "x/1")


def test_the_order_hangs_on_seed_and_task_alone():
    assert shuffle_options(TASK, 3) == shuffle_options(TASK, 3)
    assert shuffle_options(TASK, 3).prompt.endswith("A. Berlin\nB. Rome\nC. Paris")
    many = {
        shuffle_options(Task("choice", f"{i}\n{LIST}", "B", meta=TASK.meta), 3).gold
        for i in range(30)
    }
    assert many == {"A", "B", "C"}


def test_a_prompt_that_ends_otherwise_is_made_from_its_question():
    task = Task("choice", "Rome, Paris or Berlin?", "Paris", meta=TASK.meta)
    assert shuffle_options(task, 0).prompt.startswith(f"{QUESTION}\n\nA. ")
    with pytest.raises(ValueError, match=r"needs meta\.question"):
        shuffle_options(Task("choice", "?", "A", meta={"options": ["x", "y"]}), 0)
    with pytest.raises(ValueError, match=r"needs meta\.options"):
        shuffle_options(Task("choice", "?", "A"), 0)
    with pytest.raises(ValueError, match="a gold among them"):
        shuffle_options(Task("choice", LIST, "Z", meta=TASK.meta), 0)


@pytest.mark.parametrize(
    "last", ["None of the above", "Both A and B", "all of these", "A or C only"]
)
def test_options_that_speak_of_others_keep_their_place(last: str):
    task = Task("choice", "?", "A", meta={"options": ["x", "y", "z", last], "question": "?"})
    assert shuffle_options(task, 1) is task


def test_labels_go_on_after_z():
    assert [label(i) for i in (0, 25, 26, 27, 52, 702)] == ["A", "Z", "AA", "AB", "BA", "AAA"]


@pytest.mark.parametrize("name", ["arc_challenge", "aqua_dev", "mmlu"])
def test_real_options_shuffled_are_graded_like_themselves(data: Path, name: str):
    tasks = load_tasks(str(data / "corpus" / f"{name}.jsonl.gz"))[:500]
    shuffled = [shuffle_options(task, 7) for task in tasks]
    assert sum(a.gold != b.gold for a, b in zip(tasks, shuffled, strict=True)) > len(tasks) / 2
    golds = [rf"\boxed{{{task.gold}}}" for task in shuffled]
    assert all(v.correct for v in verify_many(shuffled, golds))
    words = [str(t.meta["options"][ord(t.gold or "A") - 65]) for t in tasks]
    graded = verify_many(shuffled, [rf"\boxed{{{text}}}" for text in words])
    assert sum(v.correct is not True for v in graded) <= 10  # braces, or the same words twice
