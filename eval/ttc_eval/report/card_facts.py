"""Collect what the files of a run say of one of its arms, for the arm's model card."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ttc_eval.compare.summary import Json
from ttc_eval.records import BenchmarkSummary, Summary
from ttc_eval.report.base_model import base_facts
from ttc_eval.report.sections.carried import sentence
from ttc_eval.report.tables import points, share, shown
from ttc_rl.config import Recipe, dump_recipe
from ttc_rl.corpus.benchmarks import is_prompt, target_names
from ttc_rl.run_dir import FIX, RunDir, check_vouched, read_json, read_jsonl
from ttc_rl.selection.explain import in_short
from ttc_rl.system.tried import tried
from ttc_rl.tracking.wandb_run import run_name

BLIND = ("random", "kmeans++", "uncertainty")
"""Selection methods that do not look at the target."""


@dataclass(frozen=True)
class CardFacts:
    """The facts that a model card states; model_card.md.jinja holds its words."""

    name: str
    arm: str
    whole: Recipe
    recipe: Recipe
    """The arm's own."""
    selection: Json
    overlap: Json
    corpus: Sequence[Json]
    versions: Json
    steps: Sequence[Mapping[str, Any]]
    """Rows of metrics.jsonl."""
    alarms: Sequence[Mapping[str, Any]]
    summary: Summary | None
    tried: str = ""
    """How many runs were begun for this target, where that is on record."""

    @property
    def target(self) -> str:
        return " and ".join(target_names(self.recipe.targets))

    @property
    def evaluated_arm(self) -> str:
        """Return the arm that is evaluated: for an expert the one it is part of."""
        return self.arm.partition("/")[0]

    @property
    def is_private(self) -> bool:
        return any(map(is_prompt, self.recipe.targets))

    @property
    def is_blind(self) -> bool:
        """Say whether the training tasks were drawn without a look at the target."""
        following = self.recipe.train.curriculum.method != "static"
        return self.recipe.selection.method in BLIND and not following

    @property
    def base(self) -> str:
        return self.recipe.model.name

    @property
    def base_facts(self) -> Iterator[str]:
        return base_facts(self.versions)

    @property
    def in_short(self) -> str:
        """Return what SIFT's model says of the curriculum."""
        return in_short(self.selection)

    @property
    def highest_rate(self) -> float | None:
        rates = [row["learning_rate"] for row in self.steps if "learning_rate" in row]
        return max(rates, default=None)

    @property
    def alarm_names(self) -> list[str]:
        return sorted({str(alarm["alarm"]) for alarm in self.alarms})

    @property
    def settings_of_trl(self) -> str:
        settings = self.recipe.train.trl.items()
        return ", ".join(f"{key} {value}" for key, value in settings if key != "hub_token")

    @cached_property
    def evaluated(self) -> dict[str, BenchmarkSummary]:
        """Return benchmark -> its part of the summary, where this arm has results; the target
        first."""
        parts = self.summary.benchmarks if self.summary else {}
        mine = [name for name, part in parts.items() if self.evaluated_arm in part.models]
        own = target_names(self.recipe.targets)
        return {name: parts[name] for name in sorted(mine, key=lambda n: (n not in own, n))}

    @property
    def results(self) -> Iterator[list[str]]:
        """Yield a row for each metric of each benchmark."""
        for name, part in self.evaluated.items():
            metrics = part.models[self.evaluated_arm].metrics
            base = part.models["base"].metrics if "base" in part.models else {}
            gains = part.differences.get(f"{self.evaluated_arm} - base", {})
            size = f"{part.tasks} x {part.samples}"
            for metric in shown(metrics, every_k=False):
                before = share(base[metric]) if metric in base else ""
                gain = points(gains[metric]) if metric in gains else ""
                yield [name, size, metric, before, share(metrics[metric]), gain]

    @property
    def retention(self) -> tuple[str, list[list[str]]] | None:
        """Return a sentence, and a row for each benchmark unlike the target."""
        retained = self.summary.retention.get(self.evaluated_arm) if self.summary else None
        if retained is None:
            return None
        rows = [
            [name, f"{100 * change.before:.1f}", f"{100 * change.after:.1f}", points(change)]
            for name, change in retained.benchmarks.items()
        ]
        return sentence(self.evaluated_arm, retained), rows

    @property
    def sources(self) -> Iterator[tuple[str, str, int, str]]:
        """Yield name, hub id, tasks and licence of each source of the corpus."""
        for row in self.corpus:
            unknown = "made by ttc-rl itself" if row.get("skills") else "not known"
            yield _source(row), row.get("hub") or "", row["tasks"], row["licence"] or unknown

    @property
    def packages(self) -> str:
        packages = self.versions.get("packages", {})
        return ", ".join(f"{name} {version}" for name, version in packages.items() if version)

    @cached_property
    def public_recipe(self) -> str:
        return public_recipe(self.whole)

    @property
    def fence(self) -> str:
        """Return more backticks than the recipe has in a row."""
        return "`" * max(3, 1 + max(map(len, re.findall("`+", self.public_recipe)), default=0))


def read_facts(run: RunDir, recipe: Recipe, arm: str, summary: Summary | None) -> CardFacts:
    """Read the facts of an arm from the run's files."""
    folder = run.arm(arm, recipe)
    steps = list(read_jsonl(folder.metrics, "step"))
    check_vouched(run.versions, FIX, run.corpus)

    def read(path: Path) -> Any:
        return read_json(path) if path.exists() else {}

    return CardFacts(
        name=run_name(folder.root),
        arm=arm,
        whole=recipe,
        recipe=recipe.arm(arm),
        selection=read(folder.selection),
        overlap=read(run.overlap.with_suffix(".json")),
        corpus=read_json(run.corpus, list) if run.corpus.exists() else [],
        versions=read(run.versions),
        steps=steps,
        alarms=list(read_jsonl(folder.alarms, "step")),
        summary=summary,
        tried=tried(run.root, recipe.model_dump()),
    )


def public_recipe(recipe: Recipe) -> str:
    """Return recipe.yaml as it may be shown: without a token, or a target that is a prompt.

    Not covered: paths of this machine, and other secrets that somebody writes into a recipe.
    """
    tokens = {recipe.arm(name).train.trl.get("hub_token") for name in recipe.arm_names}
    names = ["(a prompt that is not published)" if is_prompt(t) else t for t in recipe.targets]
    recipe = recipe.model_copy(update={"target": names if len(names) > 1 else names[0]})
    text = dump_recipe(recipe)
    for token in filter(None, tokens):
        text = text.replace(token, "...")
    return text


def _source(row: Json) -> str:
    if row["name"]:
        return Path(row["name"]).name if row["name"].startswith(("/", "~", ".")) else row["name"]
    if row.get("skills"):
        return "generated tasks: " + ", ".join(row["skills"].get("families") or ["all families"])
    return Path(row.get("path") or row.get("hub") or "").name
