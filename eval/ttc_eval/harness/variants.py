"""The same tasks, changed so that what was only memorised does not help.

A gain in skill carries over to a task with another wording, a sentence too many, one element
fewer. `eval.perturbed` names the changes; each becomes a benchmark TARGET~NAME beside the target,
and the report sets its gain beside the target's. A change of one's own is a function
`Task -> Task | None`, named as `my_package.my_module:function`; None leaves a task out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from ttc_rl.config import Recipe, SourceConfig
from ttc_rl.config.plugins import load_function
from ttc_rl.corpus.benchmarks import (
    Benchmark,
    any_benchmark,
    expanded,
    gradable,
    marked,
    resolve_targets,
    retention,
    together,
)
from ttc_rl.corpus.recomputed import recomputed
from ttc_rl.corpus.skills import one_fewer
from ttc_rl.schema import Task, UserError
from ttc_rl.system.hub import hub_is_reachable
from ttc_rl.verifiers.choices import shuffle_options

MARK = "~"
Change = Callable[[Task], Task | None]
_ASIDES = (
    "This exercise stands on page {n} of the book.",
    "{n} other people have worked on this before.",
    "The time allowed for the whole sheet is {n} minutes.",
)


def reworded(task: Task) -> Task:
    """Put the text between two sentences that ask for nothing new."""
    return _retold(task, lambda text: f"Here is an exercise.\n\n{text}\n\nPlease work it out.")


def distracted(task: Task) -> Task:
    """Prepend a sentence that has nothing to do with the task, and holds a number."""
    rng = random.Random(f"distracted {task.id}")
    aside = rng.choice(_ASIDES).format(n=rng.randint(12, 98))
    return _retold(task, lambda text: f"{aside} {text}")


def reordered(task: Task) -> Task | None:
    """Return a choice task with its options in another order; None for any other task."""
    if task.kind != "choice" or not task.meta.get("options"):
        return None
    shuffled = next(
        (t for s in range(20) if (t := shuffle_options(task, s)).gold != task.gold), None
    )
    return (
        None
        if shuffled is None
        else replace(shuffled, meta={**shuffled.meta, "shown": shuffled.prompt})
    )


BUILT_IN: Mapping[str, Change] = {
    "reworded": reworded,
    "distracted": distracted,
    "reordered": reordered,
    "one-fewer": one_fewer,
    "recomputed": recomputed,
}


def perturbed(benchmark: Benchmark, name: str) -> Benchmark:
    """Return the benchmark under a change. Raises UserError where the change fits none of its
    tasks.

    Each task's `meta.variant_of` holds the id of the task it was made from.
    """
    change = BUILT_IN.get(name) or load_function("eval.perturbed", name, "task")
    changed: list[Task] = []
    for task in benchmark.tasks:
        variant = change(task)
        if variant is not None:
            changed.append(replace(variant, meta={**variant.meta, "variant_of": task.id}, id=""))
    title = f"{benchmark.name}{MARK}{name.rpartition(':')[2]}"
    if not changed:
        raise UserError(f"eval.perturbed: {name} changes none of the tasks of {benchmark.name}")
    left_out = len(benchmark.tasks) - len(changed)
    return Benchmark(
        title,
        changed,
        benchmark.sampling,
        description=f"{benchmark.name}, each task {name}",
        problems=(f"{title}: {left_out} tasks cannot be {name}",) if left_out else (),
    )


def eval_benchmarks(recipe: Recipe) -> list[Benchmark]:
    """Return what a recipe evaluates: its target, unless that has no gold, the target under each
    change, the recipe's `eval.benchmarks`, and what shows how much else was kept."""
    targets = resolve_targets(recipe.target_sources)
    graded = [benchmark for benchmark in targets if gradable(benchmark.tasks)]
    own = [
        benchmark
        for target in graded
        for benchmark in (target, *(perturbed(target, name) for name in recipe.eval.perturbed))
    ]
    for_retention = retention(recipe.eval, together(targets))
    others: dict[str, Benchmark] = {}
    entries = expanded([*recipe.eval.benchmarks, *for_retention])
    for entry in (e for i, e in enumerate(entries) if e not in (*recipe.targets, *entries[:i])):
        try:
            found = any_benchmark(entry, recipe.data, recipe.verifiers)
        except UserError as error:
            asked = recipe.eval.retention is not None or entry not in for_retention
            if asked or (recipe.data is None and hub_is_reachable()):
                hint = "; eval.retention: [] leaves it out" if entry in for_retention else ""
                raise UserError(f"{error}{hint}") from None
            own[:1] = [_unmeasured(own[0], entry, error)] if own else []
            continue
        if found.name in others:
            raise UserError(f"eval.benchmarks: two are named {found.name}; rename one's file")
        others[found.name] = found
    return [marked(benchmark, recipe.answer_marks) for benchmark in (*own, *others.values())]


def _unmeasured(target: Benchmark, entry: str | SourceConfig, error: UserError) -> Benchmark:
    """Return the target, which says that what it cost elsewhere is not measured, and why."""
    line = (
        f"what training costs elsewhere is not measured: {entry} is not at hand ({error}); "
        "eval.retention asks for another benchmark, or for none ([])"
    )
    return replace(target, problems=(*target.problems, line))


def _retold(task: Task, tell: Callable[[str], str]) -> Task:
    meta = dict(task.meta)
    if "shown" in meta:
        meta["shown"] = tell(meta["shown"])
    return replace(task, prompt=tell(task.prompt), meta=meta, id="")
