r"""Final answers of mathematics: read behind a task's marks (`\boxed{...}`), compared exactly.

The same words and two numbers are decided in this process; all else goes to worker processes, where
`answers.py` takes answers apart and `identities.py` decides on differences, and where a hang or a
crash costs one verdict. A task whose gold was rounded says so in `meta.tolerance`, the relative
error allowed; `meta.answer_type: integer` keeps a gold exact. Not covered: answers that
hold only under an assumption on a variable.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from ttc_rl.config.marks import DEFAULT, Mark, marks_of, stated, written
from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers import answers, latex, quantities
from ttc_rl.verifiers.boxes import after_reasoning, announced, spoken_answer
from ttc_rl.verifiers.kind import Kind
from ttc_rl.verifiers.rationals import value
from ttc_rl.verifiers.workers import Outcome, Workers

SECONDS = 5.0
"""For one comparison."""
MAX_ANSWER = 2000
"""Characters; nothing longer is a final answer."""
WORKERS = Workers(answers.warm_up)


class Question(NamedTuple):
    """What is compared: gold, answer, and the relative error that the task allows."""

    gold: str
    answer: str
    tolerance: float = 0.0


def verify(task: Task, completion: str) -> Verdict:
    return verify_many([task], [completion])[0]


def verify_many(
    tasks: Sequence[Task], completions: Sequence[str], *, fallback: bool = False
) -> list[Verdict]:
    """Return verdicts in the order of the tasks. Only what cannot be decided here goes to the
    workers.

    With `fallback`, an answer without a mark is read after "answer", else the last number is taken,
    and the verdict's reason says which. For evaluation only; off in training.
    """
    golds = [task.gold or "" for task in tasks]
    read = [
        _read(completion, gold, marks_of(task), fallback)
        for completion, gold, task in zip(completions, golds, tasks, strict=True)
    ]
    questions = [
        Question(gold, reading[0], tolerance(task)) if reading else None
        for task, gold, reading in zip(tasks, golds, read, strict=True)
    ]
    distinct = list(dict.fromkeys(question for question in questions if question))
    outcomes = dict(zip(distinct, compare(distinct), strict=True))
    return [
        _verdict(question, outcomes[question], reading[1])
        if question and reading
        else _no_answer(completion, marks_of(task))
        for question, reading, completion, task in zip(
            questions, read, completions, tasks, strict=True
        )
    ]


def tolerance(task: Task) -> float:
    """Return the relative error that a task allows: 0 unless its gold was rounded and it says
    so."""
    if task.meta.get("answer_type") == "integer":
        return 0.0
    return float(task.meta.get("tolerance") or 0.0)


def read_answer(completion: str, gold: str = "", marks: Sequence[Mark] = DEFAULT) -> str | None:
    """Return the last answer that one of the marks announces after the reasoning.

    Where it is a box, and each of the last boxes holds one part of the gold, all of those.
    """
    reading = _read(completion, gold, marks, fallback=False)
    return reading[0] if reading else None


def _read(
    completion: str, gold: str, marks: Sequence[Mark], fallback: bool
) -> tuple[str, str] | None:
    """Return what was read, and by which fallback (nothing behind a mark)."""
    tail = after_reasoning(completion)
    if tail is None:
        return None
    answers_read = announced(tail, marks)
    if not answers_read:
        spoken = spoken_answer(tail) if fallback else None
        return spoken and (spoken[0], f"{_lacking(marks)}; {spoken[1]}")
    last = list(
        takewhile(lambda announcement: announcement.mark == "boxed", reversed(answers_read))
    )
    return _one_a_part(
        [announcement.text for announcement in reversed(last)], gold
    ) or answers_read[-1].text, ""


def _one_a_part(texts: list[str], gold: str) -> str | None:
    r"""Join the boxes where each holds one part of the gold: `\boxed{2}`, `\boxed{3}` for 2, 3."""
    if len(texts) < 2 or len(gold) > MAX_ANSWER or any(len(text) > MAX_ANSWER for text in texts):
        return None
    parts, kind = answers.count(latex.tidy(gold))
    counts = [answers.count(latex.tidy(text)) for text in texts]
    points = kind == "items"  # whose parts may be points
    if parts != len(texts) or any(n > 1 and not (points and k == "tuple") for n, k in counts):
        return None
    joined = ", ".join(texts)
    return f"({joined})" if kind == "tuple" else joined


def equivalence_classes(task: Task, texts: Sequence[str | None]) -> list[int | None]:
    """Return class of each answer, numbered by first appearance; None stays None.

    An answer is alike to a class where it is equal to the first one of it.
    """
    classes: dict[str, int] = {}
    founders: list[str] = []
    allowed = tolerance(task)
    for answer in dict.fromkeys(a for a in texts if a is not None):
        outcomes = compare([Question(founder, answer, allowed) for founder in founders])
        alike = [i for i, outcome in enumerate(outcomes) if outcome == Outcome("ok", True)]
        if not alike:
            founders.append(answer)
        classes[answer] = alike[0] if alike else len(founders) - 1
    return [None if answer is None else classes[answer] for answer in texts]


def _lacking(marks: Sequence[Mark]) -> str:
    return "no box" if tuple(marks) == DEFAULT else f"no {written(marks)}"


def _no_answer(completion: str, marks: Sequence[Mark]) -> Verdict:
    if after_reasoning(completion) is None:
        reason = "the reasoning was never closed"
    elif tuple(marks) == DEFAULT:
        reason = r"no balanced, non-empty \boxed{...}"
    else:
        reason = f"no non-empty {written(marks)}"
    return Verdict(False, None, reason, "no_answer")


def _verdict(question: Question, outcome: Outcome, reason: str) -> Verdict:
    answer = question.answer
    if outcome.status == "infra_error":  # not passed on: an answer must not stop a run
        return Verdict(None, answer, "the comparison's worker was killed twice", "oom")
    if outcome.status != "ok":
        words = {"timeout": f"took more than {SECONDS:g} s", "oom": "ran out of memory"}
        reason = f"the comparison {words.get(outcome.status, 'crashed')}"
        return Verdict(False, answer, reason, outcome.status)
    if outcome.value is None:
        return Verdict(None, answer, f"cannot be compared with the gold {question.gold[:80]!r}")
    return Verdict(outcome.value, answer, reason)


# --------------------------------------------------------------------------- comparing


def compare(questions: Sequence[Question]) -> list[Outcome]:
    """Return whether gold and answer are equal: True, False, or None where that cannot be
    decided."""
    decided = [_decide(question) for question in questions]
    open_questions = [results for results in decided if not isinstance(results, bool)]
    results = WORKERS.run(answers.equal, open_questions, seconds=SECONDS) if open_questions else []
    outcomes = iter(results)
    return [Outcome("ok", d) if isinstance(d, bool) else next(outcomes) for d in decided]


@functools.lru_cache(maxsize=8192)
def _decide(question: Question) -> bool | Question:
    """Return True or False for the same words and for two numbers; all else as a tidied
    question."""
    gold, answer, allowed = question
    if max(len(gold), len(answer)) > MAX_ANSWER or gold.strip() == answer.strip() != "":
        return gold.strip() == answer.strip()
    gold, answer = latex.tidy_pair(gold, answer)
    if gold and latex.squeezed(gold) == latex.squeezed(answer):
        return True
    expected, actual = value(gold), value(answer)
    if expected is not None and actual is not None:
        return answers.is_near(expected, actual, allowed)
    return Question(gold, answer, allowed)


# --------------------------------------------------------------------------- golds


def unreadable(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks with whose golds no algebra can be done: only their very words are right."""
    texts = [latex.tidy(task.gold or "")[:MAX_ANSWER] for task in tasks]
    hard = [i for i, text in enumerate(texts) if value(text) is None]
    outcomes = WORKERS.run(answers.is_readable, [(texts[i],) for i in hard], seconds=SECONDS)
    return [
        tasks[i] for i, outcome in zip(hard, outcomes, strict=True) if outcome.value is not True
    ]


def _differ(task: Task, gold: str, other: str) -> bool:
    golds = [_bare(gold), _bare(other)]
    numbers = [value(text) for text in golds]
    return numbers[0] != numbers[1] if None not in numbers else golds[0] != golds[1]


def _bare(gold: str) -> str:
    """Return the bare answer: `n = 4`, `4`, `4 dogs` and `4:1` are the same, and so are `10 %` and
    `10`."""
    text = latex.tidy(gold.rpartition("=")[2])
    text = quantities.share(text)[0].removesuffix(":1")
    measure = quantities.quantity(text)
    return measure.number.strip() if measure else text


# --------------------------------------------------------------------------- the kind

TEMPLATES: Mapping[Mark, str] = {
    "boxed": "{prompt}\n\nThink it through step by step, then give the final answer within "
    "\\boxed{}.",
    "####": "{prompt}\n\nThink it through step by step, then end with one line that begins with "
    '"####", followed by the final answer alone.',
    "<answer>": "{prompt}\n\nThink it through step by step, then give the final answer alone "
    "between <answer> and </answer>.",
}
"""By the mark that each asks for: the first of a task's."""

KIND = Kind(
    "math",
    verify=verify,
    verify_many=verify_many,
    fallback=functools.partial(verify_many, fallback=True),
    template=lambda task: TEMPLATES[marks_of(task)[0]],
    read=lambda task, completion: read_answer(completion, marks=marks_of(task)),
    classes=equivalence_classes,
    reply=lambda task, answer: stated(answer, marks_of(task)[0]),
    states=lambda task, solution: bool(announced(solution, marks_of(task)[:1])),
    differ=_differ,
    unreadable=unreadable,
    retention="mmlu-pro@200",
)
