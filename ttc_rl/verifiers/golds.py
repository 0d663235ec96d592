"""Whether golds can be graded against: each accepts itself, and neither silence nor another's gold.

Not covered: whether a gold is the right answer of its task, and the tests of programs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import VERIFIERS, answers, latex, maths, quantities, verify_many
from ttc_rl.verifiers.choices import label
from ttc_rl.verifiers.rationals import value
from ttc_rl.verifiers.replies import answer_reply

KINDS = ("math", "choice", "exact")
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


def check_golds(tasks: Sequence[Task]) -> list[Checked]:
    """One finding for each source and kind, in the order of the tasks; other kinds are left out."""
    groups: dict[tuple[str, str], list[Task]] = defaultdict(list)
    for task in tasks:
        if task.kind in KINDS and task.kind in VERIFIERS:
            groups[task.source, task.kind].append(task)
    return [_checked(source, kind, group) for (source, kind), group in groups.items()]


def _checked(source: str, kind: str, tasks: list[Task]) -> Checked:
    found = Checked(source, kind, len(tasks))
    others = list(_others(tasks))
    own = verify_many(tasks, [answer_reply(task, str(task.gold)) for task in tasks])
    silent = verify_many(tasks, [""] * len(tasks))
    pairs = zip(tasks, others, strict=True)
    foreign = verify_many(tasks, [answer_reply(task, str(other.gold)) for task, other in pairs])
    for task, other, a, s, f in zip(tasks, others, own, silent, foreign, strict=True):
        found.accepted += a.correct is True
        found.silence_rejected += s.correct is False
        found.others_rejected += f.correct is not True
        said = f"{task.meta.get('id', task.id)}: {task.gold!r}"
        if a.correct is not True:
            found.failures.append(f"{said}: not accepted itself ({a.reason or a.answer!r})")
        if s.correct is not False:
            found.failures.append(f"{said}: silence is {s.correct}")
        if f.correct is True and other is not task:
            found.failures.append(f"{said}: accepts {other.gold!r}")
    if kind == "math":
        found.unreadable = [
            f"{task.meta.get('id', task.id)}: {task.gold!r}" for task in _unreadable(tasks)
        ]
    return found


def check_readable(tasks: Sequence[Task], limit: float) -> None:
    """Raise UserError where more than `limit` of the maths golds of a source cannot be read.

    At most `LOOKED_AT` of each source are looked at, evenly over their order.
    """
    by_source: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        if task.kind == "math" and task.gold is not None:
            by_source[task.source].append(task)
    some = {source: group[:: -(-len(group) // LOOKED_AT)] for source, group in by_source.items()}
    hard = defaultdict[str, list[Task]](list)
    for task in _unreadable([task for group in some.values() for task in group]):
        hard[task.source].append(task)
    for source, found in hard.items():
        if len(found) > limit * len(some[source]):
            raise UserError(
                f"{source}: {len(found)} of {len(some[source])} golds looked at cannot be read as "
                f"an answer, such as {' '.join(str(found[0].gold).split())[:60]!r}: no completion "
                'could be right. gold_after: "####" keeps what follows a mark, columns: {answer: '
                "NAME} reads another column, kind: exact compares words; max_unreadable: 1 lets "
                "them pass"
            )


def _unreadable(tasks: Sequence[Task]) -> list[Task]:
    texts = [latex.tidy(task.gold or "")[: maths.MAX_ANSWER] for task in tasks]
    hard = [i for i, text in enumerate(texts) if value(text) is None]
    outcomes = maths.WORKERS.run(answers.is_readable, [(texts[i],) for i in hard], seconds=5.0)
    return [
        tasks[i] for i, outcome in zip(hard, outcomes, strict=True) if outcome.value is not True
    ]


def _others(tasks: list[Task]) -> Iterator[Task]:
    """For each task the next one whose gold is surely another; itself where there is none."""
    for i, task in enumerate(tasks):
        round_about = (*tasks[i + 1 :][:50], *tasks[:50])
        yield next((other for other in round_about if _differ(task, other)), task)


def _differ(task: Task, other: Task) -> bool:
    if task.kind == "choice":
        return _option(task, task.gold) != _option(task, other.gold)
    golds = [_bare(task.gold or ""), _bare(other.gold or "")]
    numbers = [value(gold) for gold in golds]
    return numbers[0] != numbers[1] if None not in numbers else golds[0] != golds[1]


def _option(task: Task, letter: str | None) -> str:
    """The words a letter stands for in a task: real data holds options with the same words."""
    options = dict(zip(map(label, range(1000)), task.meta.get("options") or (), strict=False))
    return latex.squeezed(str(options.get(letter or "", letter)))


def _bare(gold: str) -> str:
    """`n = 4`, `4`, `4 dogs` and `4:1` are the same answer, and so are `10 %` and `10`."""
    text = latex.tidy(gold.rpartition("=")[2])
    text = quantities.share(text)[0].removesuffix(":1")
    found = quantities.quantity(text)
    return found.number.strip() if found else text


def markdown(checked: Sequence[Checked]) -> str:
    """One line a source; `unreadable` golds are right letter for letter only."""
    titles = "source", "kind", "golds", "accept themselves", "reject silence", "reject another"
    lines = [f"| {' | '.join((*titles, 'unreadable'))} |", "|---" * 7 + "|"]
    lines += [
        f"| {c.source} | {c.kind} | {c.tasks:,} | {c.accepted:,} | {c.silence_rejected:,} "
        f"| {c.others_rejected:,} | {len(c.unreadable):,} |"
        for c in checked
    ]
    return "\n".join(lines)
