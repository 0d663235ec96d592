"""Completions of the base model: what a selector, and the look before training, ask of it.

They are drawn as training will draw: at temperature 1, up to `train.max_completion_tokens`. The run
folder keeps them under base/, one file for each model and way of drawing, so that no stage draws a
completion that another one has drawn.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from ttc_rl.config import Recipe
from ttc_rl.run_dir import RunDir
from ttc_rl.sampling import Decoding, ModelCompleter, load_completer
from ttc_rl.sampling.drawing import Drawing, Group, draw
from ttc_rl.schema import Completion, Task, content_hash
from ttc_rl.stages.pace import Pace
from ttc_rl.stages.shared_base import take_drawn
from ttc_rl.verifiers import Graders


class BaseModel:
    """The model before training, loaded when a completion is missing."""

    def __init__(self, path: str | Path, recipe: Recipe, run: RunDir, graders: Graders) -> None:
        self.path, self.recipe, self.run, self.graders = path, recipe, run, graders
        self.decoding = Decoding(recipe.train.max_completion_tokens)

    def groups(self, name: str, tasks: Sequence[Task], samples: int, *, grade: bool) -> list[Group]:
        """Return `samples` completions of each task. Without `grade` no gold is read.

        Raises UserError where more than `train.max_infra_errors` of the verdicts failed for reasons
        of ours.
        """
        recipe = self.recipe
        setting = content_hash(
            [str(self.path), vars(self.decoding), dict(recipe.prompts), recipe.seed]
        )
        path = self.run.base_samples(setting)
        take_drawn(self.run, path)
        drawing = Drawing(
            name,
            tasks,
            samples,
            path,
            recipe.seed,
            setting,
            self.graders if grade else None,
            recipe.train.max_infra_errors,
            common=True,
        )
        batch = recipe.train.engine.batch(recipe.eval.batch)
        draw(self._complete, drawing, batch=batch, progress=Pace(f"base model for {name}"))
        return drawing.groups()

    def close(self) -> None:
        """Give back the model's memory."""
        if "_model" in vars(self):
            self._model.close()
            del self._model

    @functools.cached_property
    def _model(self) -> ModelCompleter:
        recipe = self.recipe
        model = load_completer(
            self.path, recipe.prompts, recipe.train.engine, dtype=recipe.model.dtype
        )
        return model.decoding_with(self.decoding)

    def _complete(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]:
        return self._model(tasks, num_samples, seed=seed, first=first)
