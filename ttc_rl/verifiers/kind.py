"""What a kind of task is: how it is asked, read, graded and voted on, and what states its gold."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ttc_rl.schema import Task, Verdict

Grade = Verdict | bool | float
"""What a verifier returns; a number is a share from 0 to 1."""
Verifier = Callable[[Task, str], Grade]
Batch = Callable[[Sequence[Task], Sequence[str]], Sequence[Grade]]
Classes = Callable[[Task, Sequence[str | None]], list[int | None]]
SHOWN = "{prompt}"
"""The template of a kind that adds nothing to its prompts."""


@dataclass(frozen=True)
class Kind:
    """A kind of task, whole. `kinds.py` lists the built-in ones; a recipe may name others."""

    name: str
    verify: Verifier
    """Finds a completion right, wrong or undecided."""
    verify_many: Batch | None = None
    """The same for many at a time; one after the other where left out."""
    fallback: Batch | None = None
    """`verify_many` where an answer that nothing announces is read otherwise: for evaluation."""
    template: str | Callable[[Task], str] = SHOWN
    """What the policy reads, with `{prompt}` in it; a recipe's `prompts:` goes before."""
    read: Callable[[Task, str], str | None] | None = None
    """What `verify` reads of a completion, without a look at the gold; None where nothing was read.
    Without it the answers of the kind cannot vote."""
    key: Callable[[str], Hashable] = str.strip
    """Answers with equal keys are one answer in a vote."""
    classes: Classes | None = None
    """The class of each answer by first appearance, where keys cannot tell."""
    reply: Callable[[Task, str], str] | None = None
    """The shortest completion that states an answer. Without it no gold of the kind is checked, and
    a warm-up learns golds as they stand."""
    states: Callable[[Task, str], bool] | None = None
    """Whether a worked solution states its answer; where it does not, a reply follows it. Without
    this a solution is taken as it stands."""
    restated: Callable[[Task, Task], str | None] | None = None
    """A task's gold as an answer to another task, None where it means nothing there; the gold as it
    stands where left out."""
    differ: Callable[[Task, str, str], bool] | None = None
    """Whether two golds are surely different answers to a task; by their keys where left out."""
    unreadable: Callable[[Sequence[Task]], list[Task]] | None = None
    """Those of the tasks whose golds no answer can be compared with; none where left out."""
    tested: bool = False
    """Its tasks hold tests in place of a gold."""
    retention: str | None = None
    """The benchmark that shows what a training on this kind alone has cost."""
    file: Path | None = None
    """Of a plug-in: the file of its module, which its verdicts' version is a hash of."""

    def template_of(self, task: Task) -> str:
        return self.template if isinstance(self.template, str) else self.template(task)

    def reply_with(self, task: Task, answer: str) -> str:
        """Return the reply that states an answer; the answer alone where the kind has no form."""
        return self.reply(task, answer) if self.reply else answer

    def equivalence_classes(self, task: Task, answers: Sequence[str | None]) -> list[int | None]:
        """Return the class of each answer, by first appearance. None does not vote."""
        if self.classes is not None:
            return self.classes(task, answers)
        keys = [None if answer is None else self.key(answer) for answer in answers]
        numbers = {k: i for i, k in enumerate(dict.fromkeys(k for k in keys if k is not None))}
        return [None if k is None else numbers[k] for k in keys]

    def surely_differ(self, task: Task, gold: str, other: str) -> bool:
        if self.differ is not None:
            return self.differ(task, gold, other)
        return self.key(gold) != self.key(other)
