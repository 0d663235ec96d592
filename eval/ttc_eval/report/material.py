"""What a report is made from: a run folder, read once and handed to every section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ttc_eval.compare.summary import Result, in_order, load_results, summary_of
from ttc_eval.records import BenchmarkSummary, Summary
from ttc_eval.report.base_model import shown_name
from ttc_rl.config import Recipe
from ttc_rl.corpus.benchmarks import target_name, target_names
from ttc_rl.run_dir import RunDir


@dataclass(frozen=True)
class Material:
    """A run folder, read once."""

    run: RunDir
    recipe: Recipe
    target: str
    results: Mapping[str, Mapping[str, Result]]
    """Benchmark -> model -> result."""
    summary: Summary

    @property
    def arms(self) -> list[str]:
        """Return the names of what was trained separately; an arm of several experts is each of
        them."""
        return in_order(self.run.parts(self.recipe))

    @property
    def selected(self) -> bool:
        """Return whether anything was selected, or is to be: an evaluation alone has no corpus."""
        return bool(self.recipe.corpus)

    @property
    def base_name(self) -> str:
        """Return what the recipe calls its model."""
        return self.recipe.model.name

    def shown_name(self, model: str) -> str:
        """Return a model's name for a reader, who sees what `base` is."""
        return shown_name(model, self.recipe)

    @property
    def targets(self) -> list[str]:
        return target_names(self.recipe.targets)

    @property
    def on_target(self) -> Mapping[str, Result]:
        return self.results.get(self.target, {})

    @property
    def target_summary(self) -> BenchmarkSummary | None:
        """Return the target's part of the summary; None where no model was evaluated on it."""
        return self.summary.benchmarks.get(self.target)


def read_material(run: RunDir, recipe: Recipe) -> Material:
    results = load_results(run)
    return Material(
        run, recipe, target_name(recipe.targets), results, summary_of(run, recipe, results)
    )
