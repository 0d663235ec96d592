"""A large corpus without its repeats and without the targets, over many ranks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ttc_rl.corpus.benchmarks import resolve_targets
from ttc_rl.schema import UserError
from ttc_rl.stages.embedding import recipe_of, slurm_options
from ttc_rl.system.install import install


def dedupe(
    what: Sequence[str],
    data: str | None,
    kind: str,
    out: Path,
    *,
    tasks: int,
    workers: int | None,
    slurm: Sequence[str],
    dry_run: bool,
) -> str:
    """Write what stays of a corpus, by datatrove's local or SLURM executor.

    `what` is `RECIPE [KEY=VALUE]...` or `SOURCE... [KEY=VALUE]...`. Return what to show: the
    outcome, or in a dry run the scripts that would be submitted.
    """
    try:
        from ttc_rl.launch import dedupe_cluster as cluster
        from ttc_rl.launch import executors
    except ImportError:
        raise UserError(f"dedupe needs datatrove: {install('cluster')}") from None
    recipe = recipe_of(what)
    data = data or recipe.data
    sources = recipe.model_copy(update={"data": data}).target_sources
    named = [target for target in sources.targets if target]
    benchmarks = resolve_targets(sources) if named else []
    job = cluster.DedupeJob(
        recipe.corpus,
        data,
        tuple(recipe.verifiers),
        tuple({task.id: task for one in benchmarks for task in one.tasks}.values()),
        recipe.overlap,
        out.absolute(),
        tasks,
    )
    if kind == "slurm":
        if dry_run:
            return cluster.render(job, slurm_options(slurm))
        cluster.submit(job, slurm_options(slurm))
        return f"{out}: submitted; it is whole once the last job is done"
    if dry_run:
        raise UserError("--dry-run shows the scripts of --cluster slurm")
    report = cluster.run_local(job, workers or executors.default_workers(tasks))
    counts = [f"{sum(report[name].values()):,} {name}" for name in ("overlap", "duplicates")]
    return f"{out}: {report['kept']:,} of {report['corpus_tasks']:,} tasks; {', '.join(counts)}"
