"""One task of a recipe as its model will read it, before anything is computed."""

from __future__ import annotations

from pathlib import Path

from ttc_rl.config import Recipe
from ttc_rl.corpus.benchmarks import resolve_targets
from ttc_rl.corpus.sources import load_source, resolve_source
from ttc_rl.sampling.prompts import conversation, prompt_text
from ttc_rl.schema import Task, UserError
from ttc_rl.train.packaged import packaged_model


def example_prompt(recipe: Recipe) -> str:
    """Return the first task of the target, or of the corpus, as the model reads it.

    Where the model's files are at hand, its chat template is applied; else the turns are shown with
    their roles. Nothing is asked of the Hub: where no task is at hand, the return value says so.
    """
    task = _first_task(recipe)
    if task is None:
        return "prompt: no task is at hand here; the Hub is not asked in a dry run"
    path = recipe.model.path
    folder = (packaged_model(path) or path) if path else None
    if folder is not None and Path(folder).is_dir():
        from ttc_rl.sampling.inspect_model import inspect_model

        text = prompt_text(task, recipe.prompts, inspect_model(folder).tokenizer)
        return f"a prompt, by the model's own chat template:\n{text}"
    turns = conversation(task, recipe.prompts)
    shown = "\n".join(f"[{turn['role']}] {turn['content']}" for turn in turns)
    return f"a prompt, before the model's chat template:\n{shown}"


def _first_task(recipe: Recipe) -> Task | None:
    try:
        if not any(not isinstance(target, str) and target.hub for target in recipe.targets):
            return resolve_targets(recipe.target_sources)[0].tasks[0]
    except UserError:
        pass
    for entry in recipe.corpus:
        try:
            source = resolve_source(entry, recipe.data)
            if source.hub is None:
                return load_source(source.model_copy(update={"limit": 1})).tasks[0]
        except UserError:
            continue
    return None
