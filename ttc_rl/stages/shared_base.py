"""What the base model drew in another run of the same sweep, so that it is drawn once for all.

Runs of a sweep lie side by side in one folder. Samples are taken over where everything agrees that
they depend on: weights, tasks, seed, prompts, engine, and how they are drawn.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from ttc_eval.harness.evaluate import greedy_path
from ttc_eval.records import Sampling, read_result
from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.run_dir import RunDir, check_vouched
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job

logger = logging.getLogger(__name__)

BASE = "base"


def take_evaluated(job: Job, benchmark: Benchmark, sampling: Sampling, weights: str) -> None:
    """Take the base model's samples on a benchmark from a run beside this one, if one has them."""
    recipe, name = job.recipe, benchmark.name
    mine = job.run.samples(name, BASE)
    if mine.exists():
        return
    asked = (
        benchmark.tasks_hash, recipe.seed, sampling, weights, dict(recipe.prompts),
        recipe.engine.backend,
    )  # fmt: skip
    for run in _beside(job.run):
        result = run.result(name, BASE)
        if not result.exists():
            continue
        once = greedy_path(run, name, BASE)
        samples = [run.samples(name, BASE), *([once] if once.exists() else [])]
        try:
            held = read_result(result)
            check_vouched(result, "evaluate again", *samples)
        except UserError:
            continue  # another version's, or damaged
        if asked != (
            held.tasks_hash, held.seed, held.sampling, held.weights, held.prompts, held.engine
        ):  # fmt: skip
            continue
        if recipe.eval.greedy and not once.exists():
            continue
        if once.exists():
            _copy(once, greedy_path(job.run, name, BASE))
        _copy(run.samples(name, BASE), mine)
        logger.info(f"{BASE} on {name}: taken from {run.root.name}")
        return


def take_drawn(run: RunDir, path: Path) -> None:
    """Take the base model's completions before training, by the name that says how they were
    drawn."""
    if path.exists():
        return
    for other in _beside(run):
        held = other.root / path.relative_to(run.root)
        if held.exists():
            _copy(held, path)
            return


def _beside(run: RunDir) -> Iterator[RunDir]:
    """Yield the other runs of the sweep that a run belongs to; none for a run of its own."""
    folder = run.root.absolute().parent
    if not (folder / "recipe.yaml").exists():
        return
    for path in sorted(folder.iterdir()):
        if path != run.root.absolute() and (path / "recipe.yaml").exists():
            yield RunDir(path)


def _copy(held: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    shutil.copy(held, beside)
    beside.replace(path)
