"""What becomes of a file in each published format, about which nothing is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ttc_rl.config import SourceConfig
from ttc_rl.corpus.sources import load_source
from ttc_rl.sampling.prompts import conversation, without_roles
from ttc_rl.schema import Task
from ttc_rl.verifiers.golds import check_golds
from ttc_rl.verifiers.kinds import KINDS

FOLDER = Path(__file__).with_name("published_rows")
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


@dataclass(frozen=True)
class Outcome:
    """Of one file."""

    tasks: list[Task]
    problems: list[str]
    shown: list[str]
    """Each task as the model reads it."""
    golds: str
    """How many golds their own verifier accepts; `judge` and `tests` where it is not asked."""

    @property
    def loads(self) -> bool:
        return bool(self.tasks) and not self.problems

    @property
    def graded(self) -> bool:
        return self.golds in ("judge", "tests") or self.golds == "all"

    @property
    def options(self) -> bool | None:
        """Whether every option is shown; None where no task has options."""
        asked = [(t, s) for t, s in zip(self.tasks, self.shown, strict=True) if t.kind == "choice"]
        if not asked:
            return None
        return all(str(option) in text for task, text in asked for option in task.meta["options"])


def outcome(name: str) -> Outcome:
    """Read a file of tests/published_rows without a word of configuration."""
    loaded = load_source(SourceConfig(path=str(FOLDER / f"{name}.jsonl")))
    shown = [without_roles(conversation(task, {})) for task in loaded.tasks]
    checked = check_golds([t for t in loaded.tasks if KINDS[t.kind].reply and t.kind != "judge"])
    accepted = sum(result.accepted for result in checked)
    count = sum(result.tasks for result in checked)
    unchecked = "tests" if any(task.tests for task in loaded.tasks) else "judge"
    golds = unchecked if not count else "all" if accepted == count else f"{accepted} of {count}"
    return Outcome(loaded.tasks, loaded.problems, shown, golds)
