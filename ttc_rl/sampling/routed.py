"""Several models that answer as one: each task is asked of the model it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ttc_rl.sampling import Decoding, ModelCompleter
from ttc_rl.schema import Completion, Task


@dataclass
class _Loaded:
    name: str | None = None
    model: ModelCompleter | None = None


@dataclass
class Routed:
    """At most one of the models is loaded; the one that is, is asked first."""

    route: Callable[[Sequence[Task]], Sequence[str]]
    """The name of each task's model."""
    load: Callable[[str], ModelCompleter]
    decoding: Decoding
    loaded: _Loaded = field(default_factory=_Loaded)

    def decoding_with(self, decoding: Decoding) -> Routed:
        return replace(self, decoding=decoding)

    def close(self) -> None:
        if self.loaded.model is not None:
            self.loaded.model.close()
        self.loaded.name = self.loaded.model = None

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]:
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.route(tasks)):
            rows.setdefault(name, []).append(row)
        answers: list[list[Completion]] = [[] for _ in tasks]
        for name in sorted(rows, key=lambda name: (name != self.loaded.name, name)):
            theirs = [tasks[row] for row in rows[name]]
            drawn = self._model(name)(theirs, num_samples, seed=seed, first=first)
            for row, completions in zip(rows[name], drawn, strict=True):
                answers[row] = completions
        return answers

    def _model(self, name: str) -> ModelCompleter:
        if self.loaded.name != name or self.loaded.model is None:
            self.close()
            self.loaded.model, self.loaded.name = self.load(name), name
        return self.loaded.model.decoding_with(self.decoding)
