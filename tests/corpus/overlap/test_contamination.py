"""The certificate's four maxima against comparing every pair in the plainest way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_rl.config import OverlapConfig
from ttc_rl.corpus.overlap.certificate import certify_overlap
from ttc_rl.corpus.overlap.spans import Spans
from ttc_rl.schema import Task
from ttc_rl.verifiers.same_gold import same_golds

LETTERS = st.lists(st.sampled_from("abc"), max_size=14)


def math_task(prompt: str, gold: str = "1") -> Task:
    return Task("math", prompt, gold)


def longest(ours: list[str], theirs: list[str]) -> int:
    spans = {tuple(ours[i:j]) for i in range(len(ours)) for j in range(i + 1, len(ours) + 1)}
    them = {tuple(theirs[i:j]) for i in range(len(theirs)) for j in range(i + 1, len(theirs) + 1)}
    return max(map(len, spans & them), default=0)


@given(st.lists(LETTERS, max_size=5), LETTERS)
def test_the_longest_span_is_that_of_a_quadratic_search(texts: list[list[str]], asked: list[str]):
    span = Spans(texts).longest(asked)
    lengths = [longest(text, asked) for text in texts]
    assert span.length == max(lengths, default=0)
    if span.row is not None:
        wanted = " ".join(asked[span.start : span.start + span.length])
        holding = [row for row, text in enumerate(texts) if f" {wanted} " in f" {' '.join(text)} "]
        assert holding[0] == span.row


def grams(text: str, n: int) -> set[str]:
    words = text.split()
    return {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}


def characters(text: str) -> set[str]:
    framed = f" {text} ".ljust(4) if text else ""
    return {framed[i : i + 4] for i in range(len(framed) - 3)}


PROMPTS = st.lists(LETTERS.map(" ".join), min_size=1, max_size=4)


@given(PROMPTS, PROMPTS, st.integers(0, 9))
def test_every_maximum_is_that_of_a_quadratic_search(
    chosen: list[str], targets: list[str], seed: int
):
    rng = np.random.default_rng(seed)
    chosen_CD, target_MD = rng.normal(size=(len(chosen), 5)), rng.normal(size=(len(targets), 5))
    rows, summary = certify_overlap(
        [math_task(prompt) for prompt in chosen],
        [math_task(prompt) for prompt in targets],
        chosen_CD,
        target_MD,
        OverlapConfig(),
        lambda pairs: [None] * len(pairs),
    )
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (chosen_CD, target_MD)]
    cosine_CM = unit[0] @ unit[1].T
    for number, (row, target) in enumerate(zip(rows, targets, strict=True)):
        n = min(8, len(target.split())) or 1
        mine = grams(target, n)
        held = [len(grams(task, n) & mine) / max(len(mine), 1) for task in chosen]
        if n < 8:
            held = [float(share == 1) for share in held]
        near = [
            len(characters(task) & characters(target))
            / max(len(characters(task) | characters(target)), 1)
            for task in chosen
        ]
        assert row["span"]["value"] == max(longest(t.split(), target.split()) for t in chosen)
        assert row["span"]["text"] in target
        assert row["containment"]["value"] == pytest.approx(max(held))
        assert row["jaccard"]["value"] == pytest.approx(max(near))
        assert row["cosine"]["value"] == pytest.approx(cosine_CM[:, number].max(), abs=1e-5)
        assert row["cosine"]["rank"] == cosine_CM[:, number].argmax()
        if max(near) > 0:
            assert row["jaccard"]["rank"] == near.index(max(near))
    assert summary["pairs_compared"] == len(chosen) * len(targets)
    assert summary["measures"]["span"]["max"] == max(row["span"]["value"] for row in rows)


LONG = "Let $N$ be the number of ways to seat nine people at a round table, if two may not meet. "


def test_a_chosen_target_is_named_with_its_text_and_whether_the_answers_agree():
    targets = [math_task(LONG + "Find N.", "3/4"), math_task("What is seven times eight?", "56")]
    chosen = [
        math_task("Tell me a colour", "5"),
        math_task("Again: " + LONG + "Find N.", r"\frac{3}{4}"),
        math_task("what is SEVEN  times eight", "54"),
    ]
    eye_CD = np.eye(3)
    rows, summary = certify_overlap(
        chosen, targets, eye_CD, eye_CD[[1, 0]], OverlapConfig(), same_golds
    )
    assert rows[0]["span"]["text"].startswith("let $n$ be the number of ways")
    assert rows[0]["containment"] == {
        "value": 1.0,
        "rank": 1,
        "task_id": chosen[1].id,
        "same_answer": True,
    }
    assert rows[1]["containment"]["value"] == 1.0
    assert (rows[1]["jaccard"]["rank"], rows[1]["jaccard"]["same_answer"]) == (2, False)
    assert (rows[1]["cosine"]["rank"], rows[1]["cosine"]["same_answer"]) == (0, False)
    assert summary["measures"]["containment"] == {
        "threshold": 0.5,
        "siblings": 0.0,
        "max": 1.0,
        "median": 1.0,
        "targets_above": 2,
        "same_answer": 1,
    }
    assert summary["curriculum_hash"] != summary["target_hash"]


def choice(gold: str, *options: str) -> Task:
    return Task("choice", f"which? {options}", gold, meta={"options": list(options)})


@pytest.mark.parametrize(
    ("task", "target", "same"),
    [
        (math_task("a", "0.5"), math_task("b", r"\frac12"), True),
        (math_task("a", "2"), math_task("b", "3"), False),
        (Task("exact", "a", "up"), Task("exact", "b", "Up."), True),
        (choice("A", "red", "blue"), choice("B", "green", "red"), True),
        (choice("A", "red", "blue"), choice("A", "blue", "red"), False),
        (math_task("a", "2"), Task("exact", "b", "2"), None),
        (Task("code", "a", tests=({"type": "stdin"},)), Task("code", "b"), None),
        (Task("judge", "a", "x"), Task("judge", "b", "x"), None),
    ],
)
def test_equal_golds(task: Task, target: Task, same: bool | None):
    assert same_golds([(task, target)]) == [same]


def templated(start: int, count: int) -> list[Task]:
    text = "Tom has {} apples and buys {} more at the market. How many apples does Tom have now?"
    return [
        Task("math", text.format(n, n + 7), str(2 * n + 7)) for n in range(start, start + count)
    ]


def certified(chosen: list[Task], targets: list[Task]) -> tuple[list, dict]:
    rng = np.random.default_rng(0)
    near = [rng.normal(size=8) * 0.01 + np.eye(8)[0] for _ in (*chosen, *targets)]
    unit = np.array([row / np.linalg.norm(row) for row in near])
    config = OverlapConfig()
    return certify_overlap(
        chosen,
        targets,
        unit[: len(chosen)],
        unit[len(chosen) :],
        config,
        lambda pairs: [None] * len(pairs),
    )


def test_tasks_of_one_template_are_no_copies():
    rows, found = certified(templated(100, 30), templated(10, 20))
    assert found["measures"]["cosine"]["max"] > 0.99
    assert found["measures"]["cosine"]["siblings"] > 0.99
    assert sum("cosine" not in row["above"] for row in rows) >= 15  # few are so near by chance
    assert found["measures"]["jaccard"]["targets_above"] <= 2


def test_a_copy_among_tasks_of_one_template_is_seen():
    targets = templated(10, 20)
    copied = [*templated(100, 10), Task("math", targets[3].prompt + " ", "27")]
    rows, found = certified(copied, targets)
    assert "jaccard" in rows[3]["above"]
    assert found["targets_above_any"] <= 3


def test_a_test_that_repeats_itself_hides_no_copy():
    target = templated(10, 1) * 20
    rows, _ = certified(
        templated(10, 1), [Task("math", t.prompt, "1", id=str(i)) for i, t in enumerate(target)]
    )
    assert all("jaccard" in row["above"] for row in rows)
