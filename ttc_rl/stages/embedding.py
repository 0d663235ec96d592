"""A corpus embedded ahead of its runs: into the cache, into a folder, or over a cluster."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttc_rl.config import Recipe, SourceConfig, load_recipe, make_recipe
from ttc_rl.corpus.sources import load_corpus
from ttc_rl.embed import POLICY, embed, write_shards
from ttc_rl.schema import UserError
from ttc_rl.stages.job import starting_model
from ttc_rl.system.install import install

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ahead:
    """The sources to embed, and how."""

    recipe: Recipe
    sources: Sequence[str | SourceConfig]
    data: str | None
    policy: Path | str | None

    @staticmethod
    def parse(what: Sequence[str], data: str | None) -> Ahead:
        """Parse `RECIPE [KEY=VALUE]...` or `SOURCE... [KEY=VALUE]...`, as on the command line."""
        recipe = recipe_of(what)
        policy = None
        if recipe.embed.model == POLICY:
            policy = starting_model(recipe) or None
        return Ahead(recipe, recipe.corpus, data or recipe.data, policy)

    def into_cache(self) -> None:
        """Embed into the cache, where the next run of a recipe with the same `embed:` looks."""
        loaded = load_corpus(self.sources, self.data, self.recipe.verifiers)
        rows = embed(loaded.tasks, self.recipe.embedding, policy=self.policy)
        logger.info(f"{len(rows):,} tasks x {rows.shape[1]} dimensions are in the cache")

    def into_folder(self, out: Path) -> None:
        """Write shards in the order of the corpus."""
        loaded = load_corpus(self.sources, self.data, self.recipe.verifiers)
        shards = write_shards(loaded.tasks, out, self.recipe.embedding, policy=self.policy)
        logger.info(f"{out}: {shards.count:,} rows in {len(shards.list)} shards")

    def on_cluster(
        self,
        kind: str,
        out: Path,
        *,
        tasks: int,
        workers: int | None,
        slurm: Sequence[str],
        dry_run: bool,
    ) -> str:
        """Write shards in the order of the corpus, by datatrove's local or SLURM executor.

        Return what to show: the outcome, or in a dry run the scripts that would be submitted.
        """
        try:
            from ttc_rl.launch import embedding_cluster as cluster
            from ttc_rl.launch import executors
        except ImportError:
            raise UserError(f"--cluster needs datatrove: {install('cluster')}") from None
        job = cluster.ClusterJob(
            self.sources,
            self.data,
            self.recipe.embedding,
            self.policy,
            out.absolute(),
            tasks,
            tuple(self.recipe.verifiers),
        )
        if kind == "local":
            if dry_run:
                raise UserError("--dry-run shows the scripts of --cluster slurm")
            cluster.run_local(job, workers or executors.default_workers(tasks))
            return f"{out}: whole, by {tasks} tasks"
        if dry_run:
            return cluster.render(job, slurm_options(slurm))
        cluster.submit(job, slurm_options(slurm))
        return f"{out}: submitted; the folder is whole once it holds manifest.json"


def recipe_of(what: Sequence[str]) -> Recipe:
    """Return the recipe of `RECIPE [KEY=VALUE]...`, or one around `SOURCE... [KEY=VALUE]...`, whose
    target is empty unless a key names it."""
    names = [word for word in what if "=" not in word]
    keys = [word for word in what if "=" in word]
    if not names:
        raise UserError("name a recipe, or at least one source; `ttc-rl corpus` lists them")
    if names[0].endswith((".yaml", ".yml")):
        if len(names) > 1:
            raise UserError(f"{names[1]}: a recipe names its sources itself")
        return load_recipe(Path(names[0]), keys)
    has_model = any(key.split("=")[0].split(".")[0] == "model" for key in keys)
    model = {} if has_model else {"model": {"path": ""}}
    return make_recipe({**model, "corpus": names, "target": ""}, keys)


def slurm_options(words: Sequence[str]) -> dict[str, Any]:
    """Return `partition=gpu`, `gpus_per_task=1` ... as arguments of datatrove's executor."""
    options: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f"--slurm {word}: write key=value, e.g. --slurm partition=gpu")
        options[key] = int(value) if value.lstrip("-").isdigit() else value
    return options
