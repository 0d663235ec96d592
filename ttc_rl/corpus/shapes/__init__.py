"""Rows of published data sets in our fields. Pure functions row -> row.

A source names one (`shape: humaneval`), or it is told by the columns (guess.py). What comes out has
`prompt`, `answer` or `tests`, `kind`, and maybe `id` and `meta`, and is then read like a row of our
own files. A new shape is a function, a line in SHAPES, and its columns in guess.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ttc_rl.config import Shape
from ttc_rl.corpus.rows import BadRow
from ttc_rl.corpus.shapes.conversations import (
    chat,
    curriculum,
    instruct,
    synthetic,
    verifiable_corpus,
    verl,
)
from ttc_rl.corpus.shapes.fields import Row
from ttc_rl.corpus.shapes.programs import (
    code_contests,
    codeelo,
    codeforces,
    humaneval,
    leetcode,
    livecodebench,
    mbpp,
    mbppplus,
    primeintellect,
    taco,
)
from ttc_rl.corpus.shapes.questions import arc, gpqa, gsm8k, mmlu, mmlu_pro, olympiadbench, problem

SHAPES: dict[str, Callable[[Row], Row]] = {
    function.__name__: function
    for function in (
        humaneval, mbpp, mbppplus, leetcode, livecodebench, codeforces, codeelo, code_contests,
        taco, primeintellect, gpqa, mmlu_pro, olympiadbench, mmlu, arc, gsm8k, problem, verl, chat,
        instruct, synthetic, verifiable_corpus, curriculum,
    )
}  # fmt: skip


def shaped(name: Shape | None, row: Any) -> Any:
    """Return the row in our fields; without a shape, the row unchanged. Raises BadRow."""
    if name is None or not isinstance(row, Mapping):
        return row
    try:
        return SHAPES[name](row)
    except KeyError as missing:
        raise BadRow(f"shape {name}: the row has no column {missing}") from None
    except (TypeError, ValueError, IndexError, AttributeError, StopIteration) as error:
        raise BadRow(f"shape {name}: {error}") from None


def kind_of(shape: Shape) -> str:
    """Return the kind of the tasks that a shape makes; of several, the most usual one."""
    kinds = {
        "choice": (gpqa, mmlu_pro, mmlu, arc),
        "math": (olympiadbench, gsm8k, problem, verl, chat, synthetic, verifiable_corpus),
        "judge": (instruct,),
    }
    made_by = SHAPES[shape]
    return next((kind for kind, shapes in kinds.items() if made_by in shapes), "code")
