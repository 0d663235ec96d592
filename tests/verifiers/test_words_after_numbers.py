r"""What `\text{...}` after a number may be: a noun phrase, or nothing of the answer is believed."""

import pytest

from ttc_rl.schema import Task
from ttc_rl.verifiers import maths

NOUNS = ["dollars", "red apples", "ways to choose", "square meters", "years old", "in total"]
NOUNS += ["integer solutions", "pairs of numbers", "people each", "ways to be seated"]
OTHERS = ["million", "million dollars", "and 43", "is wrong", "or 43", "squared", "is correct"]
OTHERS += ["divided by two", "cannot be right", "mod 5", "halves", "times 2", ", 43", "but I guess"]
OTHERS += ["does not hold", "should be 43", "multiplied by three", "maybe", "over 2", "plus one"]
OTHERS += ["increased by one", "lakh", "was my first guess", "were it not odd", "instead of 43"]
OTHERS += ["negative", "k", "bn", "mil", "inverse", "fifths", "remainder 3", "roughly"]


@pytest.mark.parametrize("words", NOUNS)
def test_a_noun_phrase_leaves_the_number_as_it_is(words: str):
    assert maths.verify(Task("math", "?", "42"), rf"\boxed{{42\text{{ {words}}}}}").correct is True


@pytest.mark.parametrize("words", OTHERS)
def test_anything_else_is_another_answer(words: str):
    for answer in (rf"42\text{{ {words}}}", rf"42 \mbox{{ {words}}}", f"42 {words}"):
        verdict = maths.verify(Task("math", "?", "42"), rf"\boxed{{{answer}}}")
        assert verdict.correct is not True, answer
