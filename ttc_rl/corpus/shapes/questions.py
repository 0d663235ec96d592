"""Rows of questions with a gold answer: maths, and multiple choice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ttc_rl.corpus.shapes.fields import Row, choice_row, math_row, present
from ttc_rl.schema import content_hash
from ttc_rl.verifiers.boxes import last_boxed
from ttc_rl.verifiers.choices import label

OPTION_SEED = 0
"""Of the order in which GPQA's four answers are listed."""


def gpqa(row: Row) -> Row:
    """Convert Idavidrein/gpqa: one right and three wrong answers, listed in an order made of
    their text.

    The order is that of hashes of (seed, question, answer): the same on every machine, whatever
    the order of the rows. The gold is the letter where the right one ends up.
    """
    question = row["Question"].strip()
    wrong = [row[f"Incorrect Answer {i}"].strip() for i in (1, 2, 3)]
    right = row["Correct Answer"].strip()
    options = sorted(
        [right, *wrong], key=lambda option: content_hash([OPTION_SEED, question, option])
    )
    return choice_row(
        row.get("Record ID") or content_hash(question),
        question,
        options,
        "ABCD"[options.index(right)],
        subject=row.get("High-level domain"),
        subdomain=row.get("Subdomain"),
    )


def mmlu_pro(row: Row) -> Row:
    """Convert TIGER-Lab/MMLU-Pro: up to ten options, the gold a letter."""
    options = [str(option) for option in row["options"]]
    return choice_row(
        f"mmlu_pro/{row['question_id']}",
        row["question"],
        options,
        row["answer"],
        subject=row["category"],
        src=row.get("src"),
    )


def olympiadbench(row: Row) -> Row:
    """Convert Hothan/OlympiadBench, open-ended and text only: a context may precede the question.

    `final_answer` is a list of one text. Not covered: `error`, an absolute tolerance on numbers.
    """
    context = (row.get("context") or "").strip()
    unit = row.get("unit")
    return {
        "kind": "math",
        "id": f"olympiadbench/{row['id']}",
        "prompt": f"{context}\n\n{row['question']}".strip()
        + (f"\n\nGive the answer in {unit}, without the unit." if unit else ""),
        "answer": row["final_answer"][0].strip().strip("$"),
        "meta": present(subject=row.get("subfield"), answer_type=row.get("answer_type")),
    }


def mmlu(row: Row) -> Row:
    """Convert cais/mmlu and its kin: options in `choices`, or in `options`; the gold an index
    or a letter.

    Also OpenBookQA-like rows whose gold is the text of an option.
    """
    options = [str(option) for option in row["choices" if "choices" in row else "options"]]
    gold = next(row[name] for name in _ANSWERS if row.get(name) not in (None, ""))
    return choice_row(
        row.get("id") or content_hash([row["question"], options]),
        row["question"],
        options,
        _letter(gold, options),
        subject=row.get("subject") or row.get("category"),
    )


_ANSWERS = ("answer", "answer_index", "answer_idx", "label", "gold", "target")


def _letter(gold: Any, options: Sequence[str]) -> str:
    """Return the letter of an option that is named by its index from 0, its letter or its text."""
    text = str(gold).strip()
    letters = [label(i) for i in range(len(options))]
    is_index = text.isdigit() and int(text) < len(options)
    if is_index and (isinstance(gold, int) or text not in options):
        return letters[int(text)]
    if text in letters:
        return text
    if text in options:
        return letters[options.index(text)]
    raise ValueError(f"the gold {gold!r} is none of {len(options)} options")


def arc(row: Row) -> Row:
    """Convert allenai/ai2_arc, CommonsenseQA: `choices` holds labels and texts, `answerKey` one
    label."""
    labels = [str(name) for name in row["choices"]["label"]]
    options = [str(text) for text in row["choices"]["text"]]
    gold = str(row["answerKey"])
    if gold not in labels:
        raise ValueError(f"answerKey {gold!r} is none of the labels {', '.join(labels)}")
    return choice_row(
        row.get("id") or content_hash([row["question"], options]),
        row["question"],
        options,
        label(labels.index(gold)),
    )


def gsm8k(row: Row) -> Row:
    """Convert openai/gsm8k: the gold is what stands behind the last `####` of the worked answer."""
    worked, mark, gold = row["answer"].rpartition("####")
    if not mark:
        raise ValueError("nothing is marked with '####' in `answer`")
    solution = _CALCULATOR.sub("", worked).strip()
    return math_row(None, row["question"], gold.strip(), solution=solution)


_CALCULATOR = re.compile(r"<<[^<>]*>>")


def problem(row: Row) -> Row:
    """Convert MATH, NuminaMath, OpenR1-Math, DeepScaleR, AIME: a problem with solution, answer
    or both.

    The gold is `answer`; without one, what the last box of `solution` holds.
    """
    name = next(column for column in ("problem", "question", "prompt") if column in row)
    solution, gold = str(row.get("solution") or ""), row.get("answer")
    if gold in (None, ""):
        gold = last_boxed(solution)
        if gold is None:
            raise ValueError(r"there is no `answer`, and no \boxed{} in `solution`")
    if str(gold).strip().lower() == "proof":
        raise ValueError("asks for a proof, which no answer settles")
    named = next((row[key] for key in ("unique_id", "uuid", "id", "ID") if row.get(key)), None)
    return math_row(
        named,
        row[name],
        gold,
        solution=solution,
        subject=row.get("subject") or row.get("type") or row.get("problem_type"),
        level=row.get("level"),
    )
