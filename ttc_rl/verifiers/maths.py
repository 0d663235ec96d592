r"""Final answers of mathematics: read from `\boxed{...}`, compared exactly, then by algebra.

Numbers, quantities and ratios are compared as exact fractions in this process; all else goes to
math-verify in worker processes, where a hang or a crash costs one verdict. A task whose gold was
rounded says so in `meta.tolerance`, the relative error allowed; `meta.answer_type: integer` keeps
a gold exact nevertheless. Not covered: answers that hold only under an assumption on a variable.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers import algebra, latex, quantities, shapes
from ttc_rl.verifiers.boxes import after_reasoning, boxes, spoken_answer
from ttc_rl.verifiers.rationals import value
from ttc_rl.verifiers.workers import Outcome, Workers

SECONDS = 5.0
"""For one comparison."""
MAX_ANSWER = 2000
"""Characters; nothing longer is a final answer."""
WORKERS = Workers(algebra.warm_up)


class Question(NamedTuple):
    """What is compared: gold, answer, and the relative error that the task allows."""

    gold: str
    answer: str
    tolerance: float = 0.0


def verify(task: Task, completion: str, *, fallback: bool = False) -> Verdict:
    return verify_many([task], [completion], fallback=fallback)[0]


def verify_many(
    tasks: Sequence[Task], completions: Sequence[str], *, fallback: bool = False
) -> list[Verdict]:
    """Verdicts in the order of the tasks. Only what cannot be decided here goes to the workers.

    With `fallback`, an answer without a box is read after "answer", else the last number is taken,
    and the verdict's reason says which. For evaluation only; off in training.
    """
    golds = [task.gold or "" for task in tasks]
    read = [
        _read(completion, gold, fallback)
        for completion, gold in zip(completions, golds, strict=True)
    ]
    questions = [
        Question(gold, found[0], tolerance(task)) if found else None
        for task, gold, found in zip(tasks, golds, read, strict=True)
    ]
    distinct = list(dict.fromkeys(question for question in questions if question))
    outcomes = dict(zip(distinct, compare(distinct), strict=True))
    return [
        _verdict(question, outcomes[question], found[1])
        if question and found
        else _no_answer(completion)
        for question, found, completion in zip(questions, read, completions, strict=True)
    ]


def tolerance(task: Task) -> float:
    """The relative error that a task allows: 0 unless its gold was rounded and it says so."""
    if task.meta.get("answer_type") == "integer":
        return 0.0
    return float(task.meta.get("tolerance") or 0.0)


def read_answer(completion: str, gold: str = "") -> str | None:
    """The last box after the reasoning; all of them where each holds one part of the gold."""
    found = _read(completion, gold, fallback=False)
    return found[0] if found else None


def _read(completion: str, gold: str, fallback: bool) -> tuple[str, str] | None:
    """What was read, and by which fallback (nothing for a box)."""
    tail = after_reasoning(completion)
    if tail is None:
        return None
    found = boxes(tail)
    if not found:
        return spoken_answer(tail) if fallback else None
    return (", ".join(found) if _one_a_part(found, gold) else found[-1]), ""


def _one_a_part(found: list[str], gold: str) -> bool:
    r"""Whether each box holds one part of the gold: `\boxed{2} and \boxed{3}` for 2, 3."""
    if len(found) < 2 or len(gold) > MAX_ANSWER:
        return False
    wanted = shapes.parts(latex.tidy(gold))
    alone = all(len(text) <= MAX_ANSWER and len(shapes.parts(text).items) == 1 for text in found)
    return len(wanted.items) == len(found) and not wanted.ordered and alone


def equivalence_classes(task: Task, answers: Sequence[str | None]) -> list[int | None]:
    """Class of each answer, numbered by first appearance; None stays None.

    Answers are alike when they are the same number, or when math-verify says so of the first one
    of a class.
    """
    classes: dict[str, int] = {}
    founders: list[str] = []
    allowed = tolerance(task)
    for answer in dict.fromkeys(a for a in answers if a is not None):
        outcomes = compare([Question(founder, answer, allowed) for founder in founders])
        alike = [i for i, outcome in enumerate(outcomes) if outcome == Outcome("ok", True)]
        if not alike:
            founders.append(answer)
        classes[answer] = alike[0] if alike else len(founders) - 1
    return [None if answer is None else classes[answer] for answer in answers]


def _no_answer(completion: str) -> Verdict:
    if after_reasoning(completion) is None:
        reason = "the reasoning was never closed"
    else:
        reason = r"no balanced, non-empty \boxed{...}"
    return Verdict(False, None, reason, "no_answer")


def _verdict(question: Question, outcome: Outcome, reason: str) -> Verdict:
    answer = question.answer
    if outcome.status != "ok":
        told = {"timeout": f"took more than {SECONDS:g} s", "oom": "ran out of memory"}
        reason = f"the comparison {told.get(outcome.status, 'crashed')}"
        return Verdict(False, answer, reason, outcome.status)
    if outcome.value is None:
        return Verdict(None, answer, f"gold unreadable: {question.gold[:80]!r}")
    return Verdict(outcome.value, answer, reason)


# --------------------------------------------------------------------------- comparing


def compare(questions: Sequence[Question]) -> list[Outcome]:
    """Whether gold and answer are equal: True, False, or None for a gold that cannot be read."""
    decided = [_decide(question) for question in questions]
    open_questions = [found for found in decided if not isinstance(found, bool)]
    found = WORKERS.run(algebra.equal, open_questions, seconds=SECONDS) if open_questions else []
    answers = iter(found)
    return [Outcome("ok", d) if isinstance(d, bool) else next(answers) for d in decided]


@functools.lru_cache(maxsize=8192)
def _decide(question: Question) -> bool | Question:
    """True or False where no algebra is needed; where it is, what to ask, in tidy texts."""
    gold, answer, allowed = question
    if max(len(gold), len(answer)) > MAX_ANSWER:
        return gold.strip() == answer.strip()
    gold, answer = latex.tidy_pair(gold, answer)
    if _same_words(gold, answer):
        return True
    given = _right_side(answer)
    return given is not None and _without_unit(Question(_right_side(gold) or gold, given, allowed))


def _same_words(gold: str, answer: str) -> bool:
    """Letter for letter, or part for part where the parts have no order."""
    if not gold or latex.squeezed(gold) == latex.squeezed(answer):
        return bool(gold)
    wanted, given = (shapes.parts(_listed(text)) for text in (gold, answer))
    if wanted.open or given.open or not len(wanted.items) == len(given.items) > 1:
        return False
    return latex.word_set(wanted.items) == latex.word_set(given.items)


def _listed(text: str) -> str:
    return latex.unwrapped(text) if latex.is_words(text) else text


def _right_side(answer: str) -> str | None:
    """`2+3=5` -> `5`; None for `4=5`; a text that is no equation of numbers as it stands."""
    if answer.count("=") != 1:
        return answer
    left, right = map(value, map(str.strip, answer.split("=")))
    if left is None or right is None:
        return answer
    return answer.partition("=")[2].strip() if left == right else None


def _without_unit(question: Question) -> bool | Question:
    known = _by_value(question)
    if isinstance(known, bool):
        return known
    gold, answer, allowed = question
    if quantities.qualifiers(gold) != quantities.qualifiers(answer):
        return False if value(shapes.unnamed(gold)) is not None else question
    wanted, given = quantities.quantity(gold), quantities.quantity(answer)
    if wanted and given and wanted.dimension and given.dimension:
        if wanted.dimension != given.dimension:
            return False
        scaled = _scaled(given.number, given.worth / wanted.worth)
        return _decided(Question(wanted.number, scaled, allowed))
    if (wanted and wanted.dimension == "angle" and r"\pi" in answer) or (
        given and given.dimension == "angle" and r"\pi" in gold
    ):
        return Question(_in_radians(gold), _in_radians(answer), allowed)
    if wanted or given:
        numbers = (wanted.number if wanted else gold), (given.number if given else answer)
        return _decided(Question(*numbers, allowed))
    return question


def _decided(question: Question) -> bool | Question:
    known = _by_value(question)
    return question if known is None else known


def _by_value(question: Question) -> bool | None:
    """True or False where both sides are numbers, shares, ratios or numerals of a base."""
    gold, answer, allowed = question
    wanted, given = value(shapes.unnamed(gold)), value(shapes.unnamed(answer))
    if wanted is not None and given is not None:
        return algebra.is_near(wanted, given, allowed)
    numerals = latex.numeral_with_base(gold), latex.numeral_with_base(answer)
    if numerals != (None, None) and all(map(_whole, (gold, answer), numerals)):
        return numerals[0] == numerals[1]  # 11_2 is neither 11 nor 11_3
    for same in (quantities.same_share, shapes.same_ratio):
        known = same(gold, answer)
        if known is not None:
            return known
    brackets = {shapes.parts(text).open for text in (gold, answer)}
    return False if brackets == {"(", r"\{"} else None


def _whole(text: str, numeral: tuple[str, str] | None) -> bool:
    return numeral is not None or value(text) is not None


def _scaled(number: str, factor: Fraction) -> str:
    if factor == 1:
        return number
    exact = value(number)
    if exact is not None:
        return str(exact * factor)
    return rf"\frac{{{factor.numerator}}}{{{factor.denominator}}}\cdot({number})"


def _in_radians(text: str) -> str:
    found = quantities.quantity(text)
    return rf"\frac{{\pi}}{{180}}\cdot({found.number})" if found else text
