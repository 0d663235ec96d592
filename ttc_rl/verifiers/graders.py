"""Who grades the tasks of one recipe: the built-in kinds, its plug-ins, and its judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import Any

from ttc_rl.schema import Task, UserError, Verdict, whole_text
from ttc_rl.verifiers.fingerprint import built_in_version, plug_in_version
from ttc_rl.verifiers.judge import Judge
from ttc_rl.verifiers.kind import Grade, Kind
from ttc_rl.verifiers.kinds import KINDS
from ttc_rl.verifiers.plugins import plug_in
from ttc_rl.verifiers.workers import WorkersFailed


@dataclass(frozen=True)
class Graders:
    """The kinds of task that one recipe knows. Another recipe's cannot change them."""

    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)

    @staticmethod
    def of(
        verifiers: Mapping[str, str] | None = None,
        judge: Judge | None = None,
        folders: Sequence[Path] = (),
    ) -> Graders:
        """Return the built-in kinds with a recipe's `verifiers:`, looked for in `folders` first.

        Raises UserError where one of them cannot be imported.
        """
        kinds = dict(KINDS)
        for name, path in (verifiers or {}).items():
            if name in KINDS:
                raise UserError(f"{name} is built in; give the plug-in's tasks a kind of their own")
            kinds[name] = plug_in(name, path, folders)
        if judge is not None:
            kinds["judge"] = replace(
                KINDS["judge"], verify=judge.verify, verify_many=judge.verify_many
            )
        return Graders(kinds)

    def kind_of(self, task: Task) -> Kind:
        return self._kind(task.kind)

    def verify(self, task: Task, completion: str) -> Verdict:
        return self.verify_many([task], [completion])[0]

    def verify_many(
        self, tasks: Sequence[Task], completions: Sequence[str], *, fallback: bool = False
    ) -> list[Verdict]:
        """Return a verdict for each pair, in their order; slow kinds use all cores.

        With `fallback`, maths answers without a mark are read otherwise and the reason says how:
        for evaluating models that were never asked for one, never for training.
        """
        if len(tasks) != len(completions):
            raise ValueError(f"{len(tasks)} tasks, but {len(completions)} completions")
        rows_of: dict[str, list[int]] = defaultdict(list)
        for row, task in enumerate(tasks):
            rows_of[task.kind].append(row)
        kinds = [self._kind(name) for name in rows_of]  # an unknown one ends it before any grading
        verdicts: dict[int, Verdict] = {}
        for kind, rows in zip(kinds, rows_of.values(), strict=True):
            own = [tasks[i] for i in rows], [whole_text(completions[i]) for i in rows]
            batch = _batch(kind, fallback)
            graded = _surely(batch, *own) if kind.name in KINDS else batch(*own)
            verdicts |= zip(rows, graded, strict=True)
        return [verdicts[row] for row in range(len(tasks))]

    def equivalence_classes(self, task: Task, answers: Sequence[str | None]) -> list[int | None]:
        """Return the class of each answer in a vote, by first appearance. None does not vote."""
        return self.kind_of(task).equivalence_classes(task, answers)

    def reply(self, task: Task, answer: str) -> str:
        """Return the completion that states an answer, as the verifier of its kind reads it."""
        return self.kind_of(task).reply_with(task, answer)

    def pays_shares(self, task: Task) -> bool:
        """Return whether a partly right completion earns its share by itself: with a user's
        verifier."""
        return task.kind not in KINDS

    @property
    def voting(self) -> tuple[str, ...]:
        """Return the kinds whose answers can vote."""
        return tuple(name for name, kind in self.kinds.items() if kind.read is not None)

    def version(self, kind: str) -> str:
        """Return `math-1f3a9c02`: who graded, a name that changes with the verifier's own code."""
        grader = self._kind(kind)
        return built_in_version(kind) if kind in KINDS else plug_in_version(grader)

    def _kind(self, name: str) -> Kind:
        if name not in self.kinds:
            raise UserError(f"kind {name!r} has no verifier; there are {', '.join(self.kinds)}")
        return self.kinds[name]


GradeMany = Callable[[Sequence[Task], Sequence[str]], list[Verdict]]
BUILT_IN = Graders()
"""Grades the built-in kinds. The kind `judge` needs a judge, so its tasks need other graders."""


def _batch(kind: Kind, fallback: bool) -> GradeMany:
    many = kind.fallback if fallback and kind.fallback else kind.verify_many

    def batch(tasks: Sequence[Task], completions: Sequence[str]) -> list[Verdict]:
        if many is None:
            pairs = zip(tasks, completions, strict=True)
            graded: Sequence[Grade] = [kind.verify(task, text) for task, text in pairs]
        else:
            graded = many(tasks, completions)
        triples = zip(tasks, completions, graded, strict=True)
        return [_as_verdict(kind, task, text, value) for task, text, value in triples]

    return batch


def _as_verdict(kind: Kind, task: Task, completion: str, value: Any) -> Verdict:
    """Return what a verifier gave as a verdict: a share is right at 1 only."""
    if isinstance(value, Verdict):
        return value
    if not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise UserError(
            f"verifiers: {kind.name}: {_name(kind.verify)} returned {_shown(value)}; return a "
            "Verdict, True or False, or a share from 0 to 1"
        )
    share = float(value)
    answer = kind.read(task, completion) if kind.read else completion.strip() or None
    silent = answer is None and not share
    return Verdict(
        share == 1,
        answer,
        status="no_answer" if silent else "ok",
        share=None if isinstance(value, bool) else share,
    )


def _name(verify: Any) -> str:
    module = getattr(verify, "__module__", "?")
    return f"{module}:{getattr(verify, '__qualname__', type(verify).__name__)}"


def _shown(value: Any) -> str:
    return " ".join(repr(value).split())[:100]


def _surely(batch: GradeMany, tasks: Sequence[Task], completions: Sequence[str]) -> list[Verdict]:
    """Grade so that a completion that breaks the verifier costs its own verdict and no other."""
    try:
        return batch(tasks, completions)
    except (UserError, WorkersFailed):
        raise
    except Exception as error:  # noqa: BLE001  # whatever a model's words led to
        if len(tasks) == 1:
            reason = f"the verifier failed: {type(error).__name__}: {str(error)[:300]}"
            return [Verdict(None, None, whole_text(reason), "infra_error")]
    pairs = zip(tasks, completions, strict=True)
    return [_surely(batch, [task], [text])[0] for task, text in pairs]
