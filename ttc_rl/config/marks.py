r"""The marks that announce the final answer of a maths completion.

    boxed       \boxed{5}
    ####        #### 5, to the end of the line
    <answer>    <answer>5</answer>

A recipe's `answer_marks` says which of them count. It is written into each task's
`meta.answer_marks` where a run loads its tasks, so that prompt, reward, evaluation and vote agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast, get_args

from ttc_rl.schema import Task, UserError

Mark = Literal["boxed", "####", "<answer>"]
DEFAULT: tuple[Mark, ...] = ("boxed",)
KEY = "answer_marks"
"""Of a recipe, and of a task's `meta`."""
SHOWN: Mapping[Mark, str] = {
    "boxed": r"\boxed{...}",
    "####": "#### ...",
    "<answer>": "<answer>...</answer>",
}
"""How a message to a user writes each mark."""


def marks_of(task: Task) -> Sequence[Mark]:
    """Return the marks that announce an answer to a task, `boxed` alone where it names none.

    Raises UserError where `meta.answer_marks` is no list of marks.
    """
    marks: Any = task.meta.get(KEY, DEFAULT)
    known = get_args(Mark)
    if (
        not isinstance(marks, list | tuple)
        or not marks
        or any(mark not in known for mark in cast("Sequence[Any]", marks))
    ):
        raise UserError(
            f"task {task.id} of {task.source or 'the corpus'}: meta.{KEY} is {marks!r}; "
            f"give a list of {', '.join(known)}"
        )
    return cast("Sequence[Mark]", marks)


def with_marks(tasks: Iterable[Task], marks: Sequence[Mark]) -> list[Task]:
    """Return the tasks, each maths task with the marks of a recipe in its `meta`.

    A task that names its own marks keeps them. The default marks are not written down.
    """
    if tuple(marks) == DEFAULT:
        return list(tasks)
    return [
        replace(task, meta={KEY: list(marks), **task.meta}) if task.kind == "math" else task
        for task in tasks
    ]


def stated(answer: str, mark: Mark) -> str:
    """Return the shortest text that announces an answer."""
    if mark == "####":
        return f"#### {answer}"
    return f"<answer>{answer}</answer>" if mark == "<answer>" else rf"\boxed{{{answer}}}"


def written(marks: Sequence[Mark]) -> str:
    """Return the marks as a message names them: `#### ... or <answer>...</answer>`."""
    return " or ".join(SHOWN[mark] for mark in marks)
