"""The reply that states an answer, as the verifier of a task's kind reads it."""

from __future__ import annotations

from ttc_rl.config.marks import marks_of, stated
from ttc_rl.schema import Task


def answer_reply(task: Task, answer: str) -> str:
    """Return the shortest completion that gives the answer; maths uses the task's first mark."""
    if task.kind == "math":
        return stated(answer, marks_of(task)[0])
    if task.kind == "choice":
        return stated(answer, "boxed")
    return f"answer {answer}" if task.kind == "exact" else answer
