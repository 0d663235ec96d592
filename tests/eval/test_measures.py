from pathlib import Path
from typing import Any

import pytest

from ttc_eval.compare.summary import summary
from ttc_eval.harness.measures import measure, overall, rates
from ttc_eval.harness.unanswered import gold_not_read
from ttc_eval.report.tables import elo, summary_tables
from ttc_rl.metrics import Elo
from ttc_rl.run_dir import read_json, read_jsonl, write_json
from ttc_rl.schema import Task

TASK = Task(kind="exact", prompt="p", gold="abc", meta={"rating": 1200})


def row(answer: str | None, **keys: Any) -> dict[str, Any]:
    status = "no_answer" if answer is None else "ok"
    return {
        "completion": f"answer {answer}",
        "answer": answer,
        "correct": answer == TASK.gold,
        "status": status,
        "finish_reason": "stop",
        "tokens": 3,
    } | keys


def test_a_prompt_that_did_not_fit_is_unsolved_and_has_its_own_rate():
    group = [row("abc"), row(None, completion="", finish_reason="prompt_too_long", tokens=0)]
    found = measure(TASK, group, [1])
    assert found.values["avg@2"] == 0.5
    assert rates([found]).prompt_too_long == 0.5
    assert rates([found]).truncated == 0.0


def test_a_file_that_does_not_say_why_it_ended_has_no_such_rate():
    found = rates([measure(TASK, [row("abc", finish_reason=None)], [1])])
    assert (found.truncated, found.prompt_too_long) == (None, None)


def test_scores_of_a_verifier_choose_the_best_and_weigh_the_vote():
    group = [row("abc", confidence=0.9), row("x", confidence=0.4), row("x", confidence=0.4)]
    found = measure(TASK, group, [1, 3])
    assert found.values["maj@3"] == 0.0
    assert found.further["best@3"] == found.further["weighted-maj@3"] == 1.0
    assert found.further["best@1"] == pytest.approx(1 / 3)
    assert "best@3" not in measure(TASK, [*group[:2], row("x")], [3]).further


def test_counts_behind_the_numbers_need_no_completion():
    facts = measure(TASK, [row("abc"), row("x"), row("abc"), row(None)], [1]).facts
    assert (facts["correct"], facts["answered"], facts["texts"]) == (2, 3, 3)
    assert facts["votes"] == [[2, True], [1, False]]
    assert facts["similarity"] == pytest.approx((1 / 3) * 1)


def test_elo_is_there_where_tasks_are_rated():
    rated = overall([measure(TASK, [row("abc"), row("x")], [1])])
    assert rated.elo is not None
    assert rated.elo.value == pytest.approx(1200)
    plain = Task(kind="exact", prompt="p", gold="abc")
    assert overall([measure(plain, [row("abc"), row("x")], [1])]).elo is None


def test_no_infinite_elo_is_shown():
    none = overall([measure(TASK, [row("x")], [1])]).elo
    assert none is not None
    assert elo(none).startswith("at most ")
    assert elo(Elo(1511.6, 1460.2, 1562.9, "")) == "1512 [1460, 1563]"


@pytest.mark.parametrize(
    ("gold", "completion", "stands"),
    [
        ("113", r"\boxed{113} no: \boxed{114}", True),
        ("113", "so it is 113, I think", True),
        ("113", "so it is 1130 or 2113 or 113.5 or -113", False),
        ("113", "113" + " and so on" * 40, False),
        ("7", "there are 7 cases", False),
        ("7", "The answer is **7**.", True),
        ("7", "x = 7", True),
        ("7", "thus\n$7$", True),
        ("7", "x = 17", False),
        ("7", "#### 7", True),
        ("7", "A: 7", True),
        ("7", r"first \boxed{7}, then \boxed{8}", True),
        ("B", "Be careful. A or B fits", False),
        ("B", "The answer is (B).", True),
        (r"\frac{3}{4}", r"we get $\frac{3}{4}$ at last", True),
    ],
)
def test_a_gold_that_stands_there_is_told_for_eyes(gold: str, completion: str, stands: bool):
    assert gold_not_read(Task(kind="math", prompt="", gold=gold), completion, None) is stands


def test_a_gold_inside_what_was_read_was_not_overlooked():
    task = Task(kind="exact", prompt="", gold="h b j g")
    assert not gold_not_read(task, "answer h b j g d", "h b j g d")
    assert not gold_not_read(task, "h b j g or rather, answer x y", "x y")
    assert gold_not_read(task, "answer x y\nsorry, I meant h b j g", "x y")


def test_programs_have_no_gold_to_look_for():
    assert not gold_not_read(Task(kind="code", prompt="", gold="113"), "113", None)


def test_only_samples_that_were_not_found_correct_are_looked_at():
    group = [row("abc"), row("x", completion=r"\boxed{abc} or rather answer x")]
    assert measure(TASK, group, [1]).facts["gold_not_read"] == 1


ARMS = {"base": {"sums": 0.1}, "sift": {"sums": 0.9}, "random": {"sums": 0.4}}


def test_a_summary_says_what_could_be_resolved_and_what_stands_up_to_holm(
    make_run: Any, tmp_path: Path
):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    found = summary(run, run.load_recipe())
    part = found.benchmarks["sums"]
    cells = [cell["avg@4"] for cell in part.differences.values()]
    p, p_holm = [cell.p or 0.0 for cell in cells], [cell.p_holm or 0.0 for cell in cells]
    assert all(before <= after for before, after in zip(p, p_holm, strict=True))
    assert min(p_holm) == pytest.approx(3 * min(p))
    table = summary_tables(found)[1]
    assert "12 tasks x 4 samples can resolve" in table.note
    starred = {row[0]: "*" in row[1] for row in table.rows}
    assert starred == {n: p < 0.05 for n, p in zip(part.differences, p_holm, strict=True)}
    assert starred["sift - base"]


def test_results_of_an_older_version_are_still_shown(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    path = run.result("sums", "base")
    old = read_json(path)
    del old["rates"]["prompt_too_long"], old["further_metrics"], old["gold_not_read"]
    write_json(path, old)
    assert summary_tables(summary(run, run.load_recipe()))[0].rows[0][0] == "base"


def test_task_rows_hold_the_counts(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, {"base": {"sums": 0.5}})
    rows = list(read_jsonl(run.result("sums", "base").with_name("base.tasks.jsonl")))
    assert all(row["correct"] == 4 * row["avg@4"] for row in rows)
    assert all(sum(size for size, _ in row["votes"]) == row["answered"] for row in rows)
