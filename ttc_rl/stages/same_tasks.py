"""A run has one corpus and one set of targets. Each stage that reads them again compares them.

versions.json and corpus.json hold what the first selection read, eval/BENCHMARK/tasks.jsonl what
the first evaluation drew on. Until a curriculum is there, nothing is compared: the selection that
was interrupted begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ttc_rl.corpus.benchmarks import Benchmark, resolve_targets, together
from ttc_rl.corpus.manifest import manifest
from ttc_rl.corpus.sources import Loaded
from ttc_rl.run_dir import (
    SELECT_ANEW,
    RunDir,
    check_vouched,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
    write_sealed,
)
from ttc_rl.schema import Task, UserError, content_hash
from ttc_rl.stages.job import Job
from ttc_rl.system.versions import versions

FIX = "restore it, or start again with `ttc-rl run --overwrite`"


def record(job: Job, loaded: Loaded, targets: Sequence[Benchmark]) -> None:
    """Write versions.json and corpus.json."""
    made_of = {
        "corpus": hash_of(loaded.tasks),
        "target": hash_of(together(targets).tasks),
        "targets": {target.name: hash_of(target.tasks) for target in targets},
    }
    write_json(job.run.corpus, manifest(job.recipe.corpus, job.recipe.data, loaded))
    write_sealed(job.run.versions, versions() | made_of, job.run.corpus)


def hash_of(tasks: Sequence[Task]) -> dict[str, Any]:
    return _hash_of_ids([task.id for task in tasks])


def _hash_of_ids(ids: Sequence[str]) -> dict[str, Any]:
    return {"tasks": len(ids), "hash": content_hash(ids)}


def selected(job: Job, part: str) -> bool:
    return job.arm(part)[1].selection.exists()


def read_targets(job: Job) -> list[Benchmark]:
    """Return the recipe's targets. Raises UserError where they are not those that were selected
    for."""
    targets = resolve_targets(job.recipe.target_sources)
    check_targets(job, targets)
    return targets


def check_targets(job: Job, benchmarks: Sequence[Benchmark]) -> None:
    """Raise UserError where a benchmark of a target's name holds other tasks than at selection."""
    if not job.run.versions.exists() or not any(selected(job, part) for part in job.parts):
        return
    before = read_json(job.run.versions).get("targets", {})
    for target in benchmarks:
        _same(f"target {target.name}", before.get(target.name), hash_of(target.tasks), FIX)


def check_corpus(job: Job, loaded: Loaded) -> None:
    """Raise UserError where a source holds other tasks than when the first arm was selected."""
    if not job.run.corpus.exists() or not any(selected(job, part) for part in job.parts):
        return
    check_vouched(job.run.versions, "start again with `ttc-rl run --overwrite`", job.run.corpus)
    now = manifest(job.recipe.corpus, job.recipe.data, loaded)
    for i, (old, new) in enumerate(zip(read_json(job.run.corpus, list), now, strict=True)):
        name = new["name"] or new.get("path") or new.get("hub") or f"entry {i + 1}"
        _same(f"corpus {name}", old, new, FIX)


def check_dev(job: Job, tasks: Sequence[Task]) -> None:
    """Raise UserError where the dev tasks are not those that the first arm has left out."""
    if job.run.dev_tasks.exists() and any(selected(job, part) for part in job.parts):
        old = _hash_of_ids([row["id"] for row in read_jsonl(job.run.dev_tasks, "id")])
        _same("train.dev", old, hash_of(tasks), FIX)


def read_dev_tasks(job: Job, arm: str) -> list[Task]:
    """Return the dev tasks as selection wrote them. Raises UserError where there are none, or
    others."""
    path, selection = job.run.dev_tasks, job.arm(arm)[1].selection
    check_vouched(selection, SELECT_ANEW.format(selection), path)
    tasks = [Task(**row) for row in read_jsonl(path, "id")]
    if not tasks:
        raise UserError(f"{path}: not there; `ttc-rl select RECIPE` makes it")
    return tasks


def check_evaluated(run: RunDir, benchmarks: Sequence[Benchmark]) -> None:
    """Raise UserError where a benchmark holds other tasks than its first model was drawn on.

    The first call for a benchmark writes its tasks down.
    """
    for benchmark in benchmarks:
        path, ids = run.evaluated_tasks(benchmark.name), [task.id for task in benchmark.tasks]
        if not path.exists():
            write_jsonl(path, ({"task_id": task_id} for task_id in ids))
            continue
        old = _hash_of_ids([row["task_id"] for row in read_jsonl(path, "task_id")])
        fix = (
            f"restore it, or {path} if that was damaged, or delete {path.parent} to evaluate every "
            "model on the new ones"
        )
        _same(f"benchmark {benchmark.name}", old, hash_of(benchmark.tasks), fix)


def _same(what: str, old: dict[str, Any] | None, new: dict[str, Any], fix: str) -> None:
    if old is not None and old["hash"] != new["hash"]:
        raise UserError(
            f"{what}: holds {new['tasks']:,} tasks that are not the {old['tasks']:,} this run was "
            f"begun with; {fix}"
        )
