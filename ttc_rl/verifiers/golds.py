"""Whether golds can be graded against: each accepts itself, and neither silence nor another's gold.

Not covered: whether a gold is the right answer of its task, and the tests of programs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers.graders import BUILT_IN, Graders
from ttc_rl.verifiers.kind import Kind

LOOKED_AT = 200
"""Golds of a source that are read before a run."""


@dataclass
class Checked:
    """What was found for the tasks of one kind of one source."""

    source: str
    kind: str
    tasks: int
    accepted: int = 0
    silence_rejected: int = 0
    others_rejected: int = 0
    unreadable: list[str] = field(default_factory=list[str])
    """`id: gold` where no algebra can be done with a gold: only its very words are right."""
    failures: list[str] = field(default_factory=list[str])
    """`id: gold: what went wrong`"""


def check_golds(tasks: Sequence[Task], graders: Graders = BUILT_IN) -> list[Checked]:
    """Return one result for each source and kind, in the order of the tasks; other kinds are left
    out."""
    groups: dict[tuple[str, str], list[Task]] = defaultdict(list)
    for task in tasks:
        if graders.kind_of(task).reply is not None:
            groups[task.source, task.kind].append(task)
    return [_checked(source, group, graders) for (source, _), group in groups.items()]


def _checked(source: str, tasks: list[Task], graders: Graders) -> Checked:
    kind = graders.kind_of(tasks[0])
    checked = Checked(source, kind.name, len(tasks))
    others = list(_others(tasks, kind))
    own = graders.verify_many(tasks, [kind.reply_with(task, str(task.gold)) for task in tasks])
    silent = graders.verify_many(tasks, [""] * len(tasks))
    pairs = zip(tasks, others, strict=True)
    theirs = [kind.reply_with(task, str(other.gold)) for task, other in pairs]
    foreign = graders.verify_many(tasks, theirs)
    for task, other, a, s, f in zip(tasks, others, own, silent, foreign, strict=True):
        checked.accepted += a.correct is True
        checked.silence_rejected += s.correct is False
        checked.others_rejected += f.correct is not True
        which = f"{task.meta.get('id', task.id)}: {task.gold!r}"
        if a.correct is not True:
            checked.failures.append(f"{which}: not accepted itself ({a.reason or a.answer!r})")
        if s.correct is not False:
            checked.failures.append(f"{which}: silence is {s.correct}")
        if f.correct is True and other is not task:
            checked.failures.append(f"{which}: accepts {other.gold!r}")
    checked.unreadable = [
        f"{task.meta.get('id', task.id)}: {task.gold!r}" for task in _unreadable(tasks, graders)
    ]
    return checked


def check_readable(tasks: Sequence[Task], limit: float, graders: Graders = BUILT_IN) -> None:
    """Raise UserError where more than `limit` of a source's golds of such a kind cannot be read.

    At most `LOOKED_AT` of each source are looked at, evenly over their order.
    """
    by_source: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        if graders.kind_of(task).unreadable is not None and task.gold is not None:
            by_source[task.source].append(task)
    some = {source: group[:: -(-len(group) // LOOKED_AT)] for source, group in by_source.items()}
    hard = defaultdict[str, list[Task]](list)
    for task in _unreadable([task for group in some.values() for task in group], graders):
        hard[task.source].append(task)
    for source, unreadable in hard.items():
        if len(unreadable) > limit * len(some[source]):
            example = " ".join(str(unreadable[0].gold).split())[:60]
            raise UserError(
                f"{source}: {len(unreadable)} of {len(some[source])} golds looked at cannot be "
                f"read as an answer, such as {example!r}: no completion "
                'could be right. gold_after: "####" keeps what follows a mark, columns: {answer: '
                "NAME} reads another column, kind: exact compares words; max_unreadable: 1 lets "
                "them pass"
            )


def _unreadable(tasks: Sequence[Task], graders: Graders) -> list[Task]:
    """Return the tasks whose golds cannot be read, of those kinds that can tell."""
    by_kind = defaultdict[str, list[Task]](list)
    for task in tasks:
        by_kind[task.kind].append(task)
    kinds = ((graders.kind_of(group[0]), group) for group in by_kind.values())
    return [task for kind, group in kinds if kind.unreadable for task in kind.unreadable(group)]


def _others(tasks: list[Task], kind: Kind) -> Iterator[Task]:
    """Yield, for each task, the next one whose gold is surely another; itself where there is
    none."""
    for i, task in enumerate(tasks):
        gold, round_about = task.gold or "", (*tasks[i + 1 :][:50], *tasks[:50])
        yield next(
            (other for other in round_about if kind.surely_differ(task, gold, other.gold or "")),
            task,
        )


def markdown(checked: Sequence[Checked]) -> str:
    """Return one line a source; `unreadable` golds are right letter for letter only."""
    titles = "source", "kind", "golds", "accept themselves", "reject silence", "reject another"
    lines = [f"| {' | '.join((*titles, 'unreadable'))} |", "|---" * 7 + "|"]
    lines += [
        f"| {c.source} | {c.kind} | {c.tasks:,} | {c.accepted:,} | {c.silence_rejected:,} "
        f"| {c.others_rejected:,} | {len(c.unreadable):,} |"
        for c in checked
    ]
    return "\n".join(lines)
