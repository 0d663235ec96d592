"""Kinds of spellings: each row is a gold, answers that mean the same, and answers that do not."""

import json
from pathlib import Path

from ttc_rl import verify_many
from ttc_rl.schema import Task

TABLE = Path(__file__).parents[1] / "golden" / "spellings.jsonl"


def test_each_spelling_is_told_from_each_change():
    rows = [json.loads(line) for line in TABLE.read_text().splitlines()]
    cases = [
        (row, answer, correct)
        for row in rows
        for correct, answers in ((True, row["right"]), (False, row["wrong"]))
        for answer in answers
    ]
    tasks = [Task("math", "?", row["gold"]) for row, _, _ in cases]
    verdicts = verify_many(tasks, [rf"it is \boxed{{{answer}}}" for _, answer, _ in cases])
    wrong = [
        f"{row['kind']}: {row['gold']} | {answer}: {verdict.correct}, not {correct}"
        for (row, answer, correct), verdict in zip(cases, verdicts, strict=True)
        if verdict.correct is not correct
    ]
    assert wrong == []
    assert len(cases) >= 350
