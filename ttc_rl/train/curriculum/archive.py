"""The answers found so far, and which of them the model shall go on from (arXiv 2601.16175).

An answer that was gone on from is worth the best that came of it; one that was not, what it is
itself. To that PUCT adds what is high for answers that rank high and were rarely gone on from:

    score(s) = Q(s) + c (max R - min R) P(s) sqrt(1 + T) / (1 + n(s))

P is linear in the rank, n(s) counts how often s or what came of it was gone on from, T all times.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ttc_rl.train.curriculum.following import Curriculum


@dataclass
class Answer:
    """An answer: a prompt goes on from it."""

    text: str
    value: float
    parent: int | None
    """Number of the answer that it was made from."""
    tries: int = 0
    """How often it, or an answer that came of it, was gone on from."""
    best_child: float | None = None
    """Value of the best that came of it directly."""


class Archive(Curriculum):
    """Names the answers that each step goes on from, by their numbers in order of appearance."""

    def __init__(
        self,
        starts: Sequence[tuple[str, float]],
        *,
        reuse: bool,
        exploration: float = 1.0,
        children: int = 2,
        most: int = 1000,
    ) -> None:
        """Begin with some answers; without `reuse` every step goes on from those alone."""
        super().__init__()
        self.answers = [Answer(text, value, None) for text, value in starts]
        self.reuse, self.exploration, self.children, self.most = reuse, exploration, children, most
        self.kept = set(range(len(starts)))
        """Numbers of those that may be gone on from."""
        self.starts = len(starts)
        self.known = {text for text, _ in starts}
        self.times = 0
        self.best: tuple[str, float] | None = None
        """The best answer that the model ever gave, and its value."""
        self.curve: list[float | None] = []
        """The best value after each step."""
        self.given = self.valid = 0
        """Completions so far, and those that held an answer."""

    def next_tasks(self, count: int) -> list[str]:
        self.steps += 1
        ranked = self._ranked() if self.reuse else list(range(self.starts))
        picked: list[int] = []
        for number in ranked:  # not two of one line: what comes of them would be alike
            if len(picked) < count and not any(self._related(number, other) for other in picked):
                picked.append(number)
        rest = [number for number in ranked if number not in picked]
        filled = [*picked, *rest, *ranked * count][:count]
        return [str(number) for number in filled]

    def _ranked(self) -> list[int]:
        """Return the numbers of the kept answers, the one to go on from first."""
        by_value = sorted(self.kept, key=lambda n: (-self.answers[n].value, n))
        values = [self.answers[n].value for n in by_value]
        spread, total = values[0] - values[-1], len(values) * (len(values) + 1) / 2
        bonus = self.exploration * spread * math.sqrt(1 + self.times)
        scores = {
            n: self._reached(n) + bonus * (len(by_value) - rank) / total / (1 + answer.tries)
            for rank, n in enumerate(by_value)
            for answer in [self.answers[n]]
        }
        return sorted(by_value, key=lambda n: (-scores[n], n))

    def _reached(self, number: int) -> float:
        answer = self.answers[number]
        return answer.value if answer.best_child is None else answer.best_child

    def _related(self, a: int, b: int) -> bool:
        return a in self._line(b) or b in self._line(a)

    def _line(self, number: int | None) -> Iterable[int]:
        """Yield an answer's number, and those of the answers that it came of."""
        while number is not None:
            yield number
            number = self.answers[number].parent

    def found(self, parent: int, answers: Sequence[tuple[str, float] | None]) -> None:
        """Keep what one group of completions, which went on from `parent`, holds; None of one
        without an answer."""
        self.given += len(answers)
        valid = [answer for answer in answers if answer is not None]
        self.valid += len(valid)
        self.times += 1
        for number in self._line(parent):
            self.answers[number].tries += 1
        ordered = sorted(dict.fromkeys(valid), key=lambda answer: -answer[1])
        if ordered:
            above = self.answers[parent]
            before = above.best_child
            above.best_child = ordered[0][1] if before is None else max(before, ordered[0][1])
            if self.best is None or ordered[0][1] > self.best[1]:
                self.best = ordered[0]
        for text, value in [answer for answer in ordered if answer[0] not in self.known][
            : self.children
        ]:
            self.known.add(text)
            self.kept.add(len(self.answers))
            self.answers.append(Answer(text, value, parent))
        self._drop()

    def _drop(self) -> None:
        """Go on no more from the worst, where there are too many; the starts stay."""
        later = sorted(
            (n for n in self.kept if n >= self.starts), key=lambda n: (-self.answers[n].value, n)
        )
        self.kept -= set(later[max(0, self.most - self.starts) :])

    def observe(self, task_id: str, pass_rate: float, trials: int) -> None:
        """Nothing: what counts are the answers, which `found` is told."""

    def metrics(self) -> dict[str, float]:
        best = {} if self.best is None else {"best": self.best[1]}
        return best | {
            "answers": float(len(self.answers)),
            "valid": self.valid / max(1, self.given),
        }

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "answers": [asdict(answer) for answer in self.answers],
            "kept": sorted(self.kept),
            "known": sorted(self.known),
            "times": self.times,
            "best": self.best,
            "curve": self.curve,
            "given": [self.given, self.valid],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.answers = [Answer(**row) for row in state["answers"]]
        self.kept, self.known = set(state["kept"]), set(state["known"])
        self.times, self.curve = state["times"], list(state["curve"])
        self.best = None if state["best"] is None else (state["best"][0], state["best"][1])
        self.given, self.valid = state["given"]
