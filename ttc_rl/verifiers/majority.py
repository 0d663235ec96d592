"""The vote of a group as its gold, where there is none (TTRL, arXiv 2504.16084).

Answers vote in equivalence classes, so `1/2` and `0.5` stand together. A label is given where the
winning class holds a share of the group inside a band; outside it, or in a tie, every verdict of
the group is undecided. Where the gold is known, `Pseudo.right` says whether the vote found it; the
gold has no part in the vote. Not covered: kinds whose answers cannot be told alike (`code`,
`judge`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.verifiers.graders import BUILT_IN, Graders


def check_voting(tasks: Sequence[Task], key: str, graders: Graders = BUILT_IN) -> None:
    """Raise UserError where the answers of a task cannot vote; `key` of the recipe asks for it."""
    if cannot := {task.kind for task in tasks} - set(graders.voting):
        raise UserError(f"{key}: answers of kind {cannot.pop()} cannot vote; {graders.voting} can")


@dataclass(frozen=True)
class Pseudo:
    """What a group agreed on."""

    label: str | None
    """The winning answer as its first voter wrote it; None without a label."""
    share: float
    """Of the whole group, silent ones included, that the winning class holds."""
    right: bool | None
    """Whether the label is the gold; None without a label, or where no gold is known."""
    verdicts: list[Verdict]
    """One a completion: correct where it is alike to the label."""


def majority(
    task: Task,
    completions: Sequence[str],
    band: tuple[float, float] = (0.0, 1.0),
    graders: Graders = BUILT_IN,
) -> Pseudo:
    """Return the vote of one group. `band` is the share, from and to, within which a label is
    trusted."""
    kind = graders.kind_of(task)
    if kind.read is None:
        can = ", ".join(graders.voting)
        raise ValueError(f"answers of kind {task.kind!r} cannot vote; {can} can")
    answers = [kind.read(task, completion) for completion in completions]
    classes = kind.equivalence_classes(task, answers)
    votes = Counter(
        answer_class for answer_class in classes if answer_class is not None
    ).most_common(2)
    if not votes:
        return Pseudo(None, 0.0, None, [_verdict(None, False, "nobody answered") for _ in answers])
    (winner, count), share = votes[0], votes[0][1] / len(answers)
    tie = len(votes) > 1 and votes[1][1] == count
    if tie or not band[0] <= share <= band[1]:
        why = (
            "a tie"
            if tie
            else f"{share:.0%} of the group agree, outside {band[0]:g} to {band[1]:g}"
        )
        return Pseudo(None, share, None, [_verdict(answer, None, why) for answer in answers])
    label = answers[classes.index(winner)]
    reason = f"majority of {share:.0%}"
    verdicts = [
        _verdict(answer, answer_class == winner, reason)
        for answer, answer_class in zip(answers, classes, strict=True)
    ]
    return Pseudo(label, share, _is_gold(task, label, graders), verdicts)


def label_accuracy(groups: Sequence[Pseudo]) -> dict[str, float | int | None]:
    """Return how often the vote was right where a gold is known, and how many groups got a
    label."""
    checked = [group.right for group in groups if group.right is not None]
    return {
        "groups": len(groups),
        "labelled": sum(group.label is not None for group in groups),
        "known": len(checked),
        "label_accuracy": sum(checked) / len(checked) if checked else None,
    }


def verify_groups(
    tasks: Sequence[Task],
    completions: Sequence[str],
    band: tuple[float, float],
    graders: Graders = BUILT_IN,
) -> list[Pseudo]:
    """Return the votes of groups that follow one another, in the order of the tasks."""
    pairs = zip(tasks, completions, strict=True)
    groups = [list(run) for _, run in groupby(pairs, key=lambda pair: pair[0].id)]
    return [majority(run[0][0], [text for _, text in run], band, graders) for run in groups]


def _verdict(answer: str | None, correct: bool | None, reason: str) -> Verdict:
    if answer is None:
        return Verdict(None if correct is None else False, None, reason, "no_answer")
    return Verdict(correct, answer, reason)


def _is_gold(task: Task, label: str | None, graders: Graders) -> bool | None:
    if not task.gold or label is None:
        return None
    return graders.verify(task, graders.reply(task, label)).correct
