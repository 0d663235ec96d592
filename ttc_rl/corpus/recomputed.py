"""A word problem with another number in it, and the answer computed anew.

A model that knows the problem by heart gives the old answer. The new one comes from the reference
program that some data sets carry: GSM8K's `<<48/2=24>>` in `meta.solution`, SVAMP's
`meta.equation`. A problem is left as it is unless its program runs to the gold from the numbers in
its text, and no number in it could be another one of the same value.
"""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ttc_rl.schema import Task

STEP = re.compile(r"<<([^<>=]+)=([^<>]+)>>")
NUMBER = re.compile(r"(?<![\w.,/$%-])\d+(?![\w,/%]|\.\d)")
"""A whole number that stands by itself: no part of another one, no price, no share."""
ANY_NUMBER = re.compile(r"\d+(?:\.\d+)?")
WORDS: Mapping[str, int] = {
    "one": 1, "once": 1, "two": 2, "twice": 2, "double": 2, "half": 2, "pair": 2, "both": 2,
    "couple": 2, "three": 3, "thrice": 3, "triple": 3, "third": 3, "four": 4, "quarter": 4,
    "five": 5, "fifth": 5, "six": 6, "seven": 7, "week": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "dozen": 12, "year": 12, "fifteen": 15, "twenty": 20, "day": 24,
    "thirty": 30, "hour": 60, "minute": 60, "hundred": 100, "percent": 100, "%": 100,
}  # fmt: skip
"""Words that stand for a number of a program: such a number is not changed."""
TRIES = 40


@dataclass(frozen=True)
class Program:
    """Steps of arithmetic on the numbers of a text, and on the results of earlier steps."""

    steps: Sequence[str]

    def run(self, changed: Mapping[Fraction, Fraction] | None = None) -> list[Fraction]:
        """Return every step's result, with some of its numbers changed.

        Raises ValueError for what is no arithmetic, ZeroDivisionError as it stands.
        """
        before: list[Fraction] = []
        now: list[Fraction] = []
        swap = dict(changed or {})
        for step in self.steps:
            before.append(_value(step, {}))
            now.append(_value(step, swap))
            swap[before[-1]] = now[-1]
        return now


def program_of(task: Task) -> Program | None:
    """Return the reference program of a task; None where it has none, or one that does not say what
    its own steps say."""
    steps = [(step[1], step[2]) for step in STEP.finditer(str(task.meta.get("solution") or ""))]
    equation = task.meta.get("equation")
    if not steps and isinstance(equation, str):
        steps = [(equation, task.gold or "")]
    if not steps:
        return None
    program = Program([expression for expression, _ in steps])
    try:
        results = program.run()
        stated = [Fraction(said.replace(",", "").strip()) for _, said in steps]
        gold = Fraction((task.gold or "").replace(",", "").strip())
    except (ValueError, ZeroDivisionError):
        return None
    return program if results == stated and results[-1] == gold else None


def recomputed(task: Task) -> Task | None:
    """Return the task with one number changed and its gold computed anew; None where that is not
    certain."""
    program = program_of(task)
    if program is None or task.meta.get("shown") or task.kind not in ("math", "exact"):
        return None
    rng = random.Random(f"recomputed {task.id}")
    numbers = list(changeable(task.prompt, program))
    rng.shuffle(numbers)
    for number in numbers:
        for other in _others(number, rng):
            gold = _answer(program, number, other)
            if gold is not None and str(gold) != task.gold:
                prompt = NUMBER.sub(
                    lambda m, old=number, new=other: str(new) if int(m[0]) == old else m[0],
                    task.prompt,
                )
                left = {k: v for k, v in task.meta.items() if k not in ("solution", "equation")}
                return replace(task, prompt=prompt, gold=str(gold), meta=left, id="")
    return None


def changeable(prompt: str, program: Program) -> Iterator[int]:
    """Yield the numbers of a text that a program uses, and that nothing else in it could be."""
    written = Counter(Fraction(number) for number in ANY_NUMBER.findall(prompt))
    spoken = {value for word, value in WORDS.items() if word in prompt.lower()}
    used = {Fraction(number) for step in program.steps for number in ANY_NUMBER.findall(step)}
    results = set(program.run())
    for match in NUMBER.finditer(prompt):
        value = Fraction(match[0])
        once = written[value] == 1 and value not in results and value not in spoken
        if once and value in used and value > 1:
            yield int(value)


def _others(number: int, rng: random.Random) -> list[int]:
    """Return numbers of about the same size, in random order."""
    reach = max(3, number // 2)
    near = [n for n in range(max(2, number - reach), number + reach + 1) if n != number]
    return rng.sample(near, min(TRIES, len(near)))


def _answer(program: Program, number: int, other: int) -> Fraction | None:
    """Return the new answer; None where a step would no longer be what it was: whole, positive."""
    before = program.run()
    if Fraction(other) in before:
        return None
    try:
        after = program.run({Fraction(number): Fraction(other)})
    except ZeroDivisionError:
        return None
    alike = all(
        (new.denominator == 1 or old.denominator != 1) and (new > 0) == (old > 0)
        for old, new in zip(before, after, strict=True)
    )
    return after[-1] if alike and after[-1].denominator == 1 else None


def _value(expression: str, swap: Mapping[Fraction, Fraction]) -> Fraction:
    """Return what an expression of + - * / and brackets comes to."""
    text = expression.replace("%", "/100").replace("x", "*").replace("$", "").replace(",", "")
    try:
        tree = ast.parse(text.strip().lstrip("0") or "0", mode="eval").body
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError(expression) from None
    return _of(tree, swap)


def _of(node: ast.expr, swap: Mapping[Fraction, Fraction]) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        value = Fraction(str(node.value))
        return swap.get(value, value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_of(node.operand, swap)
    if isinstance(node, ast.BinOp):
        left, right = _of(node.left, swap), _of(node.right, swap)
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                return left / right
            case _:
                pass
    raise ValueError(ast.dump(node))
