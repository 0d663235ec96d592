r"""Final answers of mathematics: read from `\boxed{...}`, compared exactly, then by math-verify.

Numbers are compared as exact fractions, so `1/2^{99}` is not `1/2^{98}` and `0.3333` is not `1/3`.
All else goes to math-verify in worker processes (ecosystem study 3.3: boxed only, tolerant of
spelling). Not covered: rounding of golds that were measured, units that have to be converted,
answers spread over several boxes.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers import latex
from ttc_rl.verifiers.workers import Outcome, Workers

SECONDS = 5.0
"""For one comparison."""
MAX_ANSWER = 2000
"""Characters; nothing longer is a final answer."""


def verify(task: Task, completion: str) -> Verdict:
    return verify_many([task], [completion])[0]


def verify_many(tasks: Sequence[Task], completions: Sequence[str]) -> list[Verdict]:
    """Verdicts in the order of the tasks. Only what cannot be decided here goes to the workers."""
    answers = [read_answer(completion) for completion in completions]
    golds = [task.gold or "" for task in tasks]
    pairs = [(gold, answer) for gold, answer in zip(golds, answers, strict=True) if answer]
    outcomes = dict(zip(dict.fromkeys(pairs), compare(list(dict.fromkeys(pairs))), strict=True))
    return [
        _verdict(gold, answer, outcomes[gold, answer]) if answer else _no_answer(completion)
        for gold, answer, completion in zip(golds, answers, completions, strict=True)
    ]


def read_answer(completion: str) -> str | None:
    """The content of the last box after the reasoning."""
    tail = latex.after_reasoning(completion)
    return latex.last_boxed(tail) if tail is not None else None


def equivalence_classes(answers: Sequence[str | None]) -> list[int | None]:
    """Class of each answer, numbered by first appearance; None stays None.

    Answers are alike when they are the same number, or when math-verify says so of the first one
    of a class.
    """
    classes: dict[str, int] = {}
    founders: list[str] = []
    for answer in dict.fromkeys(a for a in answers if a is not None):
        outcomes = compare([(founder, answer) for founder in founders])
        alike = [i for i, outcome in enumerate(outcomes) if outcome == Outcome("ok", True)]
        if not alike:
            founders.append(answer)
        classes[answer] = alike[0] if alike else len(founders) - 1
    return [None if answer is None else classes[answer] for answer in answers]


def _no_answer(completion: str) -> Verdict:
    if latex.after_reasoning(completion) is None:
        reason = "the reasoning was never closed"
    else:
        reason = r"no balanced, non-empty \boxed{...}"
    return Verdict(False, None, reason, "no_answer")


def _verdict(gold: str, answer: str, outcome: Outcome) -> Verdict:
    if outcome.status != "ok":
        told = {"timeout": f"took more than {SECONDS:g} s", "oom": "ran out of memory"}
        reason = f"the comparison {told.get(outcome.status, 'crashed')}"
        return Verdict(False, answer, reason, outcome.status)
    if outcome.value is None:
        return Verdict(None, answer, f"gold unreadable: {gold[:80]!r}")
    return Verdict(outcome.value, answer)


# --------------------------------------------------------------------------- comparing


def compare(pairs: Sequence[tuple[str, str]]) -> list[Outcome]:
    """Whether (gold, answer) are equal: True, False, or None for a gold that cannot be read."""
    tidied = [(_tidy(gold), _tidy(answer)) for gold, answer in pairs]
    decided = [_decide(gold, answer) for gold, answer in tidied]
    open_pairs = [pair for pair, known in zip(tidied, decided, strict=True) if known is None]
    answers = iter(WORKERS.run(_ask_math_verify, open_pairs, seconds=SECONDS) if open_pairs else [])
    return [next(answers) if known is None else Outcome("ok", known) for known in decided]


@functools.lru_cache(maxsize=8192)
def _tidy(text: str) -> str:
    return latex.tidy(text) if len(text) <= MAX_ANSWER else text


@functools.lru_cache(maxsize=8192)
def _rational(text: str) -> Fraction | None:
    return latex.rational(text)


def _decide(gold: str, answer: str) -> bool | None:
    """True or False where no algebra is needed, on tidy texts; None where it is."""
    if not gold:
        return None
    if latex.squeezed(gold) == latex.squeezed(answer):
        return True
    if len(answer) > MAX_ANSWER:
        return False
    numbers = _rational(gold), _rational(answer)
    if None not in numbers:
        return numbers[0] == numbers[1]
    numerals = latex.numeral_with_base(gold), latex.numeral_with_base(answer)
    if numerals != (None, None) and all(map(_whole, (gold, answer), numerals)):
        return numerals[0] == numerals[1]  # 11_2 is neither 11 nor 11_3
    return None


def _whole(text: str, numeral: tuple[str, str] | None) -> bool:
    return numeral is not None or _rational(text) is not None


# --------------------------------------------------------------------------- in the workers


def _ask_math_verify(gold: str, answer: str) -> bool | None:
    from math_verify import verify as equal

    parsed = _parse(gold)
    if all(isinstance(value, str) for value in parsed) and not latex.is_words(gold):
        return None
    return bool(equal(parsed, _parse(answer), timeout_seconds=None))


@functools.lru_cache(maxsize=512)
def _parse(text: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse
    from math_verify.parser import NormalizationConfig

    config = LatexExtractionConfig(
        boxed_match_priority=0,
        try_extract_without_anchor=False,
        normalization_config=NormalizationConfig(
            basic_latex=True,
            units=True,
            malformed_operators=True,
            nits=True,
            boxed="all",
            equations=False,
        ),
    )
    return parse(
        rf"\boxed{{{text}}}",
        extraction_config=[config],
        extraction_mode="first_match",
        parsing_timeout=None,  # type: ignore[arg-type]  # the pool keeps the time
    )


def _warm_up() -> None:
    """The first comparison of each kind imports for seconds; later ones take milliseconds."""
    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for gold, answer in [(r"\frac{\sqrt{3}}{2}", r"\sqrt{3}/2"), (r"\{1,2\}", r"(x, 2]")]:
        _ask_math_verify(gold, answer)


WORKERS = Workers(_warm_up)
