"""Which shape a row has, told by its columns. Whatever a source declares goes before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ttc_rl.config import Shape
from ttc_rl.corpus.shapes.conversations import INSTRUCTIONS, REPLIES
from ttc_rl.corpus.shapes.fields import Row
from ttc_rl.corpus.templates import is_number


@dataclass(frozen=True)
class Format:
    """A shape, the columns it is known by, and what is said of it."""

    shape: Shape
    columns: frozenset[str]
    says: str
    holds: Callable[[Row], bool] = lambda row: True
    """What the columns hold, where their names do not tell."""


def _format(
    shape: Shape, columns: str, says: str, holds: Callable[[Row], bool] = lambda row: True
) -> Format:
    return Format(shape, frozenset(columns.split("+")), says, holds)


def _list(*columns: str) -> Callable[[Row], bool]:
    return lambda row: any(isinstance(row.get(column), list) for column in columns)


def _object(column: str, key: str) -> Callable[[Row], bool]:
    def holds(row: Row) -> bool:
        value = row.get(column)
        return isinstance(value, Mapping) and key in value

    return holds


def _text(*columns: str) -> Callable[[Row], bool]:
    return lambda row: all(isinstance(row.get(column), str) for column in columns)


FORMATS: Sequence[Format] = (
    _format("curriculum", "rank+task_id+task", "a curriculum that was selected before"),
    _format(
        "verifiable_corpus",
        "kind+dataset+description+problem+answer",
        "lasgroup/verifiable-corpus: `problem` is asked, `description` embedded",
    ),
    _format(
        "verl",
        "prompt+reward_model",
        "verl: messages in `prompt`, gold in reward_model.ground_truth; a known sentence about the "
        "form of the answer is left out",
        _object("reward_model", "ground_truth"),
    ),
    _format(
        "synthetic",
        "prompt+task_type+verification_info",
        "SYNTHETIC-1/-2, INTELLECT-2: gold or tests in the JSON of `verification_info`",
    ),
    _format("primeintellect", "problem_id+prompt+verification_info", "PrimeIntellect's problems"),
    _format("livecodebench", "question_content+public_test_cases", "LiveCodeBench"),
    _format("humaneval", "prompt+test+entry_point+canonical_solution", "HumanEval"),
    _format("leetcode", "problem_description+test+entry_point", "LeetCodeDataset"),
    _format("mbppplus", "test_list+code+test+task_id", "MBPP+"),
    _format("mbpp", "test_list+code+task_id", "MBPP"),
    _format("codeforces", "description+official_tests", "open-r1/codeforces"),
    _format("code_contests", "description+public_tests+private_tests", "CodeContests"),
    _format("codeelo", "problem_id+description+examples+time_limit_ms", "CodeElo"),
    _format("taco", "question+input_output", "APPS or TACO: tests in `input_output`"),
    _format("gpqa", "Question+Correct Answer+Incorrect Answer 1", "GPQA: options in our order"),
    _format(
        "mmlu_pro", "question+options+answer+question_id+category", "MMLU-Pro", _list("options")
    ),
    _format(
        "arc",
        "question+choices+answerKey",
        "ARC or CommonsenseQA: options shown, gold in `answerKey`",
        _object("choices", "text"),
    ),
    _format(
        "mmlu",
        "question+choices+answer",
        "MMLU: options shown, `answer` an index from 0, a letter or a text",
        _list("choices"),
    ),
    _format(
        "mmlu",
        "question+options",
        "multiple choice: options shown, the gold an index from 0, a letter or a text",
        _list("options"),
    ),
    _format("olympiadbench", "question+final_answer", "OlympiadBench", _list("final_answer")),
    _format(
        "gsm8k",
        "question+answer",
        "GSM8K: gold after ####",
        lambda row: "####" in str(row.get("answer")),
    ),
    _format(
        "problem",
        "problem+answer",
        "maths: `problem`, gold in `answer`",
        lambda row: row.get("answer") not in (None, ""),
    ),
    _format("problem", "problem+solution", r"maths: gold in the last \boxed{} of `solution`"),
    _format("chat", "prompt", "conversations: the last user turn is asked", _list("prompt")),
    _format("chat", "messages", "conversations: the last user turn is asked", _list("messages")),
    _format(
        "chat", "conversations", "ShareGPT: the last human turn is asked", _list("conversations")
    ),
    *(
        _format(
            "instruct",
            f"{instruction}+{reply}",
            f"`{instruction}` with a reference `{reply}`, which a judge compares with",
            _text(instruction, reply),
        )
        for instruction in INSTRUCTIONS
        for reply in REPLIES
    ),
    *(
        _format(
            "problem",
            f"{column}+answer",
            f"maths: `{column}`, gold in `answer`",
            lambda row: is_number(row.get("answer")),
        )
        for column in ("question", "prompt")
    ),
)
"""The more special ones first."""


def guess(row: Any) -> Format | None:
    """Return the format of a row; None for our own rows, which name their kind, and for unknown."""
    if not isinstance(row, Mapping):
        return None
    columns = cast(Mapping[str, Any], row)
    for known in FORMATS:
        if known.columns <= columns.keys() and known.holds(columns):
            return None if "kind" in columns and "kind" not in known.columns else known
    return None
