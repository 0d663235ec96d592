"""Before a run: plan, launch, config, benchmarks, corpus, embed, dedupe, doctor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ttc_rl.cli.options import (
    Data,
    Overrides,
    RecipeFile,
    RunFolder,
    UnsafeLocal,
    console,
    default_folder,
    show,
)
from ttc_rl.schema import UserError

if TYPE_CHECKING:
    from ttc_rl.config import Recipe
    from ttc_rl.launch.doctor import Finding
    from ttc_rl.verifiers.golds import Checked


def init(
    out: Annotated[Path, typer.Argument(help="The recipe to write")] = Path("recipe.yaml"),
    model: Annotated[str | None, typer.Option(help="A model's id or folder")] = None,
    corpus: Annotated[str | None, typer.Option(help="A file of tasks")] = None,
    target: Annotated[str | None, typer.Option(help="The test: a benchmark or a file")] = None,
) -> None:
    """Write a commented first recipe from what lies here: a model's folder, a file of tasks."""
    from ttc_rl.stages.starter import look_around, starter, write_starter

    write_starter(out, starter(look_around(Path(), model, corpus), target))
    show(f"{out}; next: ttc-rl run {out} --dry-run")


def plan(
    recipe: RecipeFile,
    overrides: Overrides = None,
    gpu: Annotated[str, typer.Option(help="Kind of GPU: h100, a100-80gb, rtx4090 ...")] = "h100",
    gpus: Annotated[int, typer.Option(min=1, help="How many train")] = 1,
    parallel: Annotated[
        Literal["single", "ddp", "fsdp2"] | None,
        typer.Option(help="What they share, as in `launch`; ddp for several"),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Expected mean completion; else its limit")
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Mean prompt")] = 256,
    price: Annotated[float | None, typer.Option(help="Of a GPU hour, in any currency")] = None,
    target_tasks: Annotated[
        int | None, typer.Option(min=1, help="Target tasks, where no benchmark says it")
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Train three steps of each arm here first, to measure them"
        ),
    ] = False,
) -> None:
    """Show steps, tokens, memory, GPU hours and price of a recipe, before anything is loaded."""
    from rich.table import Table

    from ttc_eval.report.sections.plan import foreseen, measured_rows, target_size
    from ttc_rl.config import load_recipe
    from ttc_rl.launch.budget import Assumed
    from ttc_rl.launch.budget.show import arm_rows

    resolved = load_recipe(recipe, overrides or [])
    assumed = Assumed(
        gpu,
        gpus,
        parallel or ("single" if gpus == 1 else "ddp"),
        prompt_tokens,
        tokens,
        price,
        target_tasks or target_size(resolved),
    )
    for title, rows in arm_rows(resolved, assumed):
        table = Table("", "", "how", title=title, show_header=False)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    if calibrate:
        from ttc_rl.stages.calibrating import calibrate as measure

        measure(resolved)
    for line in measured_rows(resolved):
        console.print(line, markup=False, soft_wrap=True)
    console.print(foreseen(resolved), markup=False, soft_wrap=True)


def launch(
    recipe: RecipeFile,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    on: Annotated[
        Literal["local", "slurm", "skypilot", "hf-jobs"],
        typer.Option(help="This machine, a cluster, or a cloud"),
    ] = "local",
    parallel: Annotated[
        Literal["single", "ddp", "fsdp2", "cpu"],
        typer.Option(help="What the training's processes share; cpu: none, without a GPU"),
    ] = "single",
    gpus: Annotated[int, typer.Option(min=1, help="GPUs a node (processes of cpu)")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes that train")] = 1,
    slurm: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="partition, time, account ...")
    ] = None,
    template: Annotated[
        Path | None, typer.Option(help="Your site's batch script, in the place of our slurm.sh")
    ] = None,
    array: Annotated[
        bool, typer.Option("--array", help="A job array: one index for each run of a `sweep:`")
    ] = False,
    requeues: Annotated[
        int, typer.Option(min=0, help="Restarts after which a SLURM job does not requeue itself")
    ] = 20,
    accelerators: Annotated[
        str | None,
        typer.Option(help="SkyPilot's name of the GPUs (H100), or a flavor of hf-jobs (h200x4)"),
    ] = None,
    bucket: Annotated[
        str, typer.Option(help="Where a cloud keeps run folders; of hf-jobs USER/NAME")
    ] = "ttc-rl-runs",
    image: Annotated[
        str | None, typer.Option(help="A Docker image with ttc-rl, for a cloud; see Dockerfile")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it; do nothing")] = False,
    unsafe_local: UnsafeLocal = False,
) -> None:
    """Select, train on many GPUs, evaluate: here, as a SLURM job, or on a cloud's machines."""
    from ttc_rl.config import load_recipe
    from ttc_rl.launch import Launch
    from ttc_rl.launch.cloud import Cloud
    from ttc_rl.launch.cluster import Batch, options
    from ttc_rl.launch.start import start

    resolved = load_recipe(recipe, overrides or [])
    request = Launch(
        recipe, overrides or [], run_dir or default_folder(recipe), parallel, gpus, nodes,
        unsafe_local,
    )  # fmt: skip
    runs = _runs(resolved) if array else {}
    batch = Batch(options(slurm or []), template, requeues, runs)
    cloud = Cloud(accelerators, bucket, image)
    lines = start(request, resolved, on, batch, cloud, dry_run=dry_run)
    console.print(lines, markup=False, soft_wrap=True)


def _runs(recipe: Recipe) -> dict[str, Recipe]:
    """Return the runs of a sweep by name. Raises UserError where there is no sweep."""
    from ttc_rl.stages.sweep import cells

    if not recipe.sweep:
        raise UserError("--array: the recipe has no `sweep:`; add one, e.g. sweep.seed=[1,2,3]")
    return dict(cells(recipe))


def config(
    recipe: Annotated[Path | None, typer.Argument(metavar="[RECIPE]")] = None,
    overrides: Overrides = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The schema as Markdown: docs/recipe.md")
    ] = False,
) -> None:
    """Show the resolved recipe; without a recipe, the JSON schema of recipes (for editors)."""
    from ttc_rl.config import Recipe, dump_recipe, load_recipe, reference

    if markdown and recipe:
        raise UserError("--markdown shows the keys of every recipe; leave out RECIPE")
    if markdown:
        console.print(reference(), markup=False, soft_wrap=True)
    elif recipe is None:
        console.print_json(data=Recipe.model_json_schema())
    else:
        console.print(
            dump_recipe(load_recipe(recipe, overrides or [])), markup=False, soft_wrap=True
        )


def benchmarks(
    name: Annotated[str | None, typer.Argument(help="One of them")] = None, data: Data = None
) -> None:
    """List the benchmarks; with a name, show its source, errata and published numbers."""
    from ttc_eval.report.benchmark_text import benchmark_table, describe

    if name is None:
        console.print(benchmark_table(data))
    else:
        console.print(describe(name), markup=False, soft_wrap=True)


def corpus(
    source: Annotated[
        str | None, typer.Argument(help="A named source, a task file, or a hub id")
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="kind=math, columns.prompt=question ..."),
    ] = None,
    data: Data = None,
    out: Annotated[
        str | None,
        typer.Option(help="Write the good tasks to a .jsonl(.gz) file or a data set, hub:NAME"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Grade every gold against itself, silence and another")
    ] = False,
) -> None:
    """List the named sources; with a name, show three of its tasks as the model will read them,
    its bad rows, and its golds graded against themselves."""
    from rich.table import Table

    from ttc_rl.corpus.sources import catalog
    from ttc_rl.stages.corpus_files import look, save, source_of

    if source is None:
        table = Table("name", "kind", "licence", "hub", "description")
        for name, entry in catalog().items():
            table.add_row(name, entry.kind, entry.licence, entry.hub or "-", entry.description)
        console.print(table)
        return
    seen = look(source_of(source, keys or [], data), every=check)
    loaded = seen.loaded
    for problem in loaded.problems:
        show(f"bad row: {problem}")
    if not check:
        for task, text in seen.shown:
            gold = f"{len(task.tests)} tests" if task.tests else f"gold: {task.gold}"
            console.print(f"{task.kind} {task.id}\n{text}\n{gold}\n", markup=False)
    show(
        f"{len(loaded.tasks):,} tasks, {loaded.duplicates:,} duplicates, "
        f"{len(loaded.problems):,} bad rows"
    )
    if seen.graded < len(loaded.tasks):
        show(f"{seen.graded:,} golds graded; --check grades every one")
    _show_golds(seen.checked)
    if out is not None:
        show(f"written: {save(loaded.tasks, out, source)}")


def embed(
    what: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE | SOURCE... [KEY=VALUE]...", help="Whose corpus to embed"),
    ],
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the shards; the cache")] = None,
    cluster: Annotated[
        Literal["local", "slurm"] | None, typer.Option(help="Split over datatrove tasks")
    ] = None,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks of --cluster")] = 1,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Tasks of --cluster local at a time; the cores")
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="partition, time, gpus_per_task ... of datatrove"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the scripts of --cluster slurm; do nothing")
    ] = False,
) -> None:
    """Embed a corpus ahead of its runs: into the cache, or as shards with a manifest."""
    from ttc_rl.stages.embedding import Ahead

    if out is None and cluster:
        raise UserError("--cluster needs --out FOLDER, one that every machine sees")
    if dry_run and not cluster:
        raise UserError("--dry-run shows the scripts of --cluster slurm")
    ahead = Ahead.parse(what, data)
    if out is None:
        ahead.into_cache()
    elif cluster is None:
        ahead.into_folder(out)
    else:
        outcome = ahead.on_cluster(
            cluster, out, tasks=tasks, workers=workers, slurm=slurm or [], dry_run=dry_run
        )
        console.print(outcome, markup=False, soft_wrap=True)


def dedupe(
    what: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE | SOURCE... [KEY=VALUE]...", help="Whose corpus to clean"),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tasks that stay, and the reasons")],
    data: Data = None,
    cluster: Annotated[
        Literal["local", "slurm"], typer.Option(help="Where datatrove's tasks run")
    ] = "local",
    tasks: Annotated[int, typer.Option(min=1, help="Tasks to split the corpus over")] = 1,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Tasks of --cluster local at a time; the cores")
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="partition, time, cpus_per_task ... of datatrove"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the scripts of --cluster slurm; do nothing")
    ] = False,
) -> None:
    """Write a corpus of millions of tasks without near-duplicates and without the target, by the
    texts: overlap.dedupe.fuzzy=0.9 target=aime25."""
    from ttc_rl.stages.deduping import dedupe

    outcome = dedupe(
        what, data, cluster, out, tasks=tasks, workers=workers, slurm=slurm or [], dry_run=dry_run
    )
    console.print(outcome, markup=False, soft_wrap=True)


def doctor(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A model's id or folder")
    ] = None,
    attacks: Annotated[
        bool, typer.Option("--attacks", help="Attack each sandbox here, harmlessly")
    ] = False,
) -> None:
    """Show what works here, and how to mend the rest: versions, GPU, disk, and each sandbox, in
    which a real program is run.

    With a model, show what the tool will do with it: the prompt that it reads, its end and pad
    tokens, its memory, and 32 tokens drawn.

    With --attacks, run harmless attacks in each sandbox that works here, and show which of them it
    contains.
    Exit code 1 where an attack succeeds that should not.
    """
    if attacks:
        _attack_sandboxes()
        return
    if model is None:
        from ttc_rl.launch.doctor import findings

        rows = list(findings())
        _print_findings(rows)
        if not any(row.works for row in rows if row.what.startswith("sandbox: ")):
            raise UserError(
                "no sandbox works here, so programs cannot be graded; see the fixes above"
            )
        return
    from ttc_rl.launch.doctor_model import model_findings

    rows = list(model_findings(model))
    _print_findings(rows)
    if any(row.works is False for row in rows):
        raise typer.Exit(1)


# --------------------------------------------------------------------------- helpers


def _attack_sandboxes() -> None:
    from rich.table import Table

    from ttc_rl.launch.doctor import attacks

    names, rows, good = attacks()
    table = Table("a program that", *(f"contained by {name}" for name in names))
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if not good:
        raise UserError(
            "a sandbox let an attack through (NO above): choose another with TTC_RL_SANDBOX, "
            "or update its package and the kernel"
        )


def _print_findings(rows: Sequence[Finding]) -> None:
    """Print a row for each finding. Text that a model wrote is printed without markup or emoji."""
    from rich.table import Table
    from rich.text import Text

    table = Table("", "", "seen", "fix")
    for row in rows:
        mark = {True: "ok", False: "BROKEN", None: "-"}[row.works]
        table.add_row(*map(Text, (row.what, mark, row.seen, row.fix)))
    console.print(table)


def _show_golds(checked: Sequence[Checked]) -> None:
    from ttc_rl.verifiers.golds import markdown

    for result in checked:
        for line in result.unreadable:
            console.print(f"unreadable: {line}", markup=False, soft_wrap=True)
        for line in result.failures:
            console.print(f"failed: {line}", markup=False, soft_wrap=True)
    if checked:
        console.print(markdown(checked), markup=False, soft_wrap=True)
