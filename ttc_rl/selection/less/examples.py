"""Tasks to what their gradients are of: a gold reply, a voted one, or a group's policy gradient."""

from __future__ import annotations

from collections.abc import Sequence

from ttc_rl.config.marks import KEY
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import BEFORE, Task, UserError
from ttc_rl.selection.less.gradients import Differentiable, Example, Reply
from ttc_rl.verifiers import BUILT_IN, Graders
from ttc_rl.verifiers.majority import majority


def gold_reply(task: Task, graders: Graders = BUILT_IN) -> str:
    """Return a right reply to the task, as short as its kind allows.

    `meta.solution`, the text that a procedural task is learned from, comes first. The gold follows
    it where the task's kind says that the solution states no answer. Raises UserError for a task
    without a gold, and for programs, whose right reply nobody wrote.
    """
    kind = graders.kind_of(task)
    if kind.tested or not task.gold:
        raise UserError(
            f"{task.kind} task {task.id} of {task.source or 'the corpus'} has no gold reply to "
            "learn from; `selection.less: {labels: policy}` needs none, a warm-up another source"
        )
    solution, reply = str(task.meta.get("solution") or ""), kind.reply_with(task, task.gold)
    if kind.states and solution and not kind.states(task, solution):
        return f"{solution}\n{reply}"
    return solution or reply


def supervised(task: Task, reply: str, model: Differentiable) -> Example:
    """Return the example whose objective is the mean log-likelihood of a reply's tokens."""
    ids = model.reply_ids(reply)
    return Example(model.prompt_ids(task), (Reply(ids, 1 / len(ids)),))


def policy(
    task: Task, group: Group, correct: Sequence[bool | None], model: Differentiable
) -> Example:
    """Return the example of sum_j A_j log pi(y_j) / G with A_j = r_j - mean r, as in GRPO without
    scaling.

    Undecided completions are left out. Where all verdicts agree no reply is left.
    """
    decided = [j for j, verdict in enumerate(correct) if verdict is not None]
    mean = sum(correct[j] is True for j in decided) / max(len(decided), 1)
    return Example(
        model.prompt_ids(task),
        tuple(
            Reply(
                model.reply_ids(group.texts[j], finished=group.finished[j]),
                (float(correct[j] is True) - mean) / len(decided),
            )
            for j in decided
            if float(correct[j] is True) != mean
        ),
    )


def blind(task: Task) -> Task:
    """Return the task as a selector may see it: what the model reads, kind, options, marks."""
    meta = {key: task.meta[key] for key in ("options", KEY, *BEFORE) if key in task.meta}
    return Task(kind=task.kind, prompt=task.prompt, source=task.source, meta=meta, id=task.id)


def check_votes(tasks: Sequence[Task], labels: str, graders: Graders = BUILT_IN) -> None:
    for task in tasks:
        if task.kind not in graders.voting:
            raise UserError(
                f"selection.less: target {task.id} is of kind {task.kind}, whose answers cannot "
                f"vote, so `labels: {labels}` finds nothing; give labelled tasks (`labels: dev`)"
            )


def voted_reply(task: Task, group: Group, graders: Graders = BUILT_IN) -> str | None:
    """Return a reply with the group's majority answer; None where there is no majority."""
    label = majority(task, group.texts, graders=graders).label
    return None if label is None else graders.reply(task, label)


def voted(task: Task, group: Group, graders: Graders = BUILT_IN) -> list[bool | None]:
    """Return the verdicts of a group by its own majority."""
    return [verdict.correct for verdict in majority(task, group.texts, graders=graders).verdicts]
