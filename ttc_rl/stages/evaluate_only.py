"""An existing model on benchmarks: no recipe of the user's, no corpus, no training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ttc_rl.config import Recipe, make_recipe
from ttc_rl.schema import UserError
from ttc_rl.stages.policies import BASE


def recipe_for(
    model: str | None, benchmarks: Sequence[str], keys: Sequence[str], *, url: str | None = None
) -> Recipe:
    """Return the recipe that evaluates one model, an id, a folder, or a name at an endpoint's URL.

    `benchmarks` are names or files of tasks, `keys` further `a.b=value`. Raises UserError where one
    of the two is missing.
    """
    if not model or not benchmarks:
        missing = "--model" if not model else "--benchmark"
        raise UserError(
            f"eval: name a recipe, or a model and a benchmark; {missing} is missing "
            "(ttc-rl eval --model MODEL --benchmark NAME)"
        )
    evaluation: dict[str, Any] = {"models": [BASE], "retention": []}
    if url is not None:
        evaluation["engine"] = {"backend": "endpoint", "url": url, "served": {BASE: model}}
    tree = {"model": model, "corpus": [], "target": list(benchmarks), "eval": evaluation}
    return make_recipe(tree, keys)


def folder_for(model: str, benchmarks: Sequence[str]) -> Path:
    """Return where such an evaluation is kept: runs/MODEL-on-BENCHMARK."""
    names = [re.sub(r"[^\w.@+-]+", "-", name).strip("-") for name in (model, *benchmarks)]
    return Path("runs") / f"{names[0]}-on-{'-'.join(names[1:])}"[:100]
