"""What announces an answer: each mark, several of them, and what does not count."""

import json
from pathlib import Path

import pytest

from ttc_rl import verify
from ttc_rl.config.marks import KEY, SHOWN, with_marks
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import BUILT_IN, verify_many
from ttc_rl.verifiers.boxes import announced, boxes
from ttc_rl.verifiers.golds import check_golds
from ttc_rl.verifiers.majority import majority
from ttc_rl.verifiers.same_gold import same_golds

GOLDEN = Path(__file__).parents[1] / "golden" / "maths.jsonl"


def task(marks: object, gold: str = "5") -> Task:
    return Task("math", "?", gold, meta={KEY: marks})


@pytest.mark.parametrize(
    ("marks", "completion", "read"),
    [
        # each alone
        ("boxed", r"so \boxed{5}", "5"),
        ("####", "so\n#### 5", "5"),
        ("####", "so it is ####5", "5"),
        ("####", "#### 5\nThat is all.", "5"),
        ("####", "#### 5\r\nThat is all.", "5"),
        ("<answer>", "<answer>5</answer>", "5"),
        ("<answer>", "<answer>\n 5 \n</answer> Done.", "5"),
        # one that is not listed
        ("####", r"\boxed{5}", None),
        ("####", "<answer>5</answer>", None),
        ("####", "The answer is 5.", None),
        ("<answer>", "#### 5", None),
        ("boxed", "#### 5", None),
        # several: the last one
        ("####", "#### 5\n#### 6", "6"),
        ("####", "#### 5 #### 6", "6"),
        ("<answer>", "<answer>5</answer><answer>6</answer>", "6"),
        ("boxed ####", "#### 6\n\\boxed{5}", "5"),
        ("boxed ####", "\\boxed{5}\n#### 6", "6"),
        ("#### boxed", "\\boxed{5}\n#### 6", "6"),
        ("#### <answer>", "<answer>5</answer>\n#### 6", "6"),
        # not closed, empty, or another mark
        ("<answer>", "<answer>5", None),
        ("<answer>", "5</answer>", None),
        ("<answer>", "<answer>5</answer> or <answer>6", "5"),
        ("<answer>", "between <answer> tags: <answer>5</answer>", "5"),
        ("<answer>", "<answer> </answer>", None),
        ("<answer>", "<answer>5</answer><answer></answer>", "5"),
        ("####", "####\n5", None),
        ("####", "#### 5\n####", "5"),
        ("####", "##### 5", None),
        ("####", "### 5", None),
        ("boxed", r"\boxed{5", None),
        # in the reasoning
        ("####", "<think>#### 6</think>#### 5", "5"),
        ("####", "<think>#### 6</think> 5", None),
        ("####", "<think>#### 6", None),
        ("<answer>", "<think><answer>6</answer></think>\n<answer>5</answer>", "5"),
        # one inside another: the inner one
        ("boxed ####", r"#### \boxed{5}", "5"),
        ("boxed <answer>", r"<answer>It is \boxed{5}.</answer>", "5"),
        ("#### <answer>", "<answer>#### 5</answer>", "5"),
        ("<answer>", r"<answer>\boxed{\frac{10}{2}}</answer>", r"\boxed{\frac{10}{2}}"),
        ("####", r"#### \boxed{\frac{10}{2}}", r"\boxed{\frac{10}{2}}"),
        # dressing
        ("####", "**#### 5**", "5"),
        ("<answer>", "<answer>**5**</answer>", "5"),
        ("####", "#### $5$", "$5$"),
    ],
)
def test_what_is_read(marks: str, completion: str, read: str | None):
    verdict = verify(task(marks.split()), completion)
    assert verdict.answer == read
    right = read is not None and read != "6"
    assert (verdict.correct, verdict.status) == (right, "ok" if read else "no_answer")


def test_boxes_are_read_as_before():
    rows = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    texts = [row.get("completion", rf"\boxed{{{row.get('answer')}}}") for row in rows]
    found = [[one.text for one in announced(text, ["boxed"])] for text in texts]
    assert found == list(map(boxes, texts))
    marked = [Task("math", "?", row["gold"], meta=row.get("meta", {})) for row in rows]
    named = [Task("math", "?", t.gold, meta={**t.meta, KEY: ["boxed"]}) for t in marked]
    assert verify_many(marked, texts) == verify_many(named, texts)


def test_only_boxes_may_hold_a_part_each():
    gold = "2, 3"
    assert verify(task(["boxed"], gold), r"\boxed{2} and \boxed{3}").correct is True
    assert verify(task(["boxed", "####"], gold), r"#### \boxed{2}, \boxed{3}").correct is True
    assert verify(task(["boxed", "####"], gold), "\\boxed{2}\n#### 7\n\\boxed{3}").correct is False
    assert verify(task(["####"], gold), "#### 2\n#### 3").answer == "3"
    assert verify(task(["####"], gold), "#### 3, 2").correct is True


def test_what_is_missing_is_named():
    reason = verify(task(["####", "<answer>"]), "5").reason
    assert reason == "no non-empty #### ... or <answer>...</answer>"
    fallback = verify_many([task(["<answer>"])], ["The answer is 5."], fallback=True)[0]
    assert (fallback.answer, fallback.correct) == ("5", True)
    assert fallback.reason == 'no <answer>...</answer>; read after "answer"'


def test_it_takes_no_longer_than_the_text():
    for text in ("#### " * 100_000, "<answer>" * 100_000, "####\n<answer>5" * 50_000 + "\n"):
        assert len(announced(text, ["####", "<answer>"])) <= 50_000


@pytest.mark.parametrize("mark", SHOWN)
def test_a_stated_gold_is_accepted_compared_and_voted_for(mark: str):
    marked = [task([mark], "1/2"), task([mark], r"\frac{1}{3}")]
    replies = [BUILT_IN.reply(one, one.gold or "") for one in marked]
    assert [verdict.correct for verdict in verify_many(marked, replies)] == [True, True]
    (found,) = check_golds(marked)
    assert (found.accepted, found.silence_rejected, found.others_rejected) == (2, 2, 2)
    assert same_golds([(marked[0], marked[1]), (task(["boxed"], "0.5"), marked[0])]) == [
        False,
        True,
    ]
    vote = majority(marked[0], [BUILT_IN.reply(marked[0], a) for a in ("0.5", "1/2", "3")])
    assert (vote.label, vote.right) == ("0.5", True)
    assert majority(marked[0], ["the answer is 1/2"] * 3).label is None


@pytest.mark.parametrize("marks", ["####", [], ["answer"], None, [["boxed"]]])
def test_marks_that_a_source_spells_wrongly_are_told(marks: object):
    with pytest.raises(UserError, match=r"meta\.answer_marks is .*; give a list of boxed, ####"):
        verify(task(marks), "#### 5")


def test_the_default_is_not_written_down_and_a_tasks_own_marks_stay():
    plain, own, other = Task("math", "a", "1"), task(["<answer>"]), Task("exact", "b", "1")
    assert with_marks([plain, own, other], ["boxed"]) == [plain, own, other]
    made = with_marks([plain, own, other], ["####"])
    assert [one.meta.get(KEY) for one in made] == [["####"], ["<answer>"], None]
    assert [one.id for one in made] == [plain.id, own.id, other.id]
