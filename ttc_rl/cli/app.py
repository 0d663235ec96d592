"""The command line: parse, call one function, print."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ttc_rl.schema import FULL_DISK, UserError, is_full_disk
from ttc_rl.system.printable import Terminal
from ttc_rl.system.progress import shown_progress
from ttc_rl.system.ranks import is_main
from ttc_rl.system.tether import follow_launch

if TYPE_CHECKING:
    from ttc_rl.config import Recipe
    from ttc_rl.launch.doctor import Finding
    from ttc_rl.schema import Task
    from ttc_rl.stages.job import Job

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train a language model for the test it is about to take.",
    epilog="Any key of a recipe can be set on the command line: selection.size=500 seed=1",
)
# Without a terminal (a log file, a pipe) tables get the width they need.
console = Terminal(width=None if sys.stdout and sys.stdout.isatty() else 160)
opened: list[Path] = []
"""Run folders that this process works in."""
GOES_ON = "the same command goes on from there (`run` and `select` with --resume)"
_ELSEWHERE = "make it writable, or name another place (--run-dir, TTC_RL_CACHE)"
MENDABLE = {
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EPIPE: "whoever reads it has ended; send it to a file",
}
"""What the system refuses that is no defect of ours -> what to do."""


def _without_sandbox(asked: bool) -> None:
    if asked:
        os.environ["TTC_RL_SANDBOX"] = "unsafe-local"


RecipeFile = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe, e.g. recipes/quickstart.yaml")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Keys to set")
]
RunFolder = Annotated[
    Path | None, typer.Option("--run-dir", help="Where to leave the run; runs/RECIPE")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that exists")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete a run that exists")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the resolved recipe and what it costs; do nothing")
]
UnsafeLocal = Annotated[
    bool,
    typer.Option(
        "--unsafe-local",
        help="Run programs without a sandbox; every verdict says so",
        callback=_without_sandbox,
    ),
]
Data = Annotated[str | None, typer.Option(help="Folder of task files that stand in for the hub")]


def main() -> None:
    """Entry point: an error the user can mend is one line on stderr and exit code 2."""
    before = {number: signal.signal(number, _stopped) for number in (SIGINT, SIGTERM)}
    try:
        follow_launch()
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  `>&-`
            _fail("standard output is closed; send it to a file, or to /dev/null")
        with shown_progress():
            app()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if is_full_disk(error):
            _fail(f"{FULL_DISK}: {error}")
        if error.errno not in MENDABLE:
            raise
        where = error.filename if error.filename is not None else "standard output"
        _fail(f"{where}: {error.strerror}; {MENDABLE[error.errno]}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopped(number: int, _: object) -> None:
    """Say how to go on, and end as the signal asks: what was written down stays whole."""
    kept = f"{opened[-1]}: what is finished is kept; " if opened else ""
    told = f"ttc-rl: stopped by {signal.Signals(number).name}; {kept}{GOES_ON}\n"
    os.write(2, told.encode(errors="replace"))
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _fail(told: str) -> None:
    Terminal(stderr=True).print(f"ttc-rl: {told}", markup=False, soft_wrap=True)
    sys.exit(2)


def show(line: str) -> None:
    """Print one plain line of a result on stdout; of several ranks one prints."""
    if is_main():
        console.print(line, markup=False, soft_wrap=True)


# --------------------------------------------------------------------------- the stages


@app.command()
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    jobs: Annotated[int, typer.Option(min=1, help="Runs of a `sweep:` at a time")] = 1,
    unsafe_local: UnsafeLocal = False,
) -> None:
    """The whole job: corpus, curriculum, GRPO, evaluation, report."""
    resolved = _resolved(recipe, overrides, dry_run)
    root = run_dir or _default_folder(recipe)
    if resolved.sweep:
        _sweep(resolved, root, jobs, resume, overwrite)
        return
    from ttc_rl.stages.job import check_extras
    from ttc_rl.stages.run import run_all

    check_extras(resolved)
    job = _open(resolved, root, resume, overwrite)
    run_all(job)
    _print_summary(job)


@app.command()
def select(
    recipe: RecipeFile,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the explanation here, not only in files")
    ] = False,
) -> None:
    """Corpus and target to a curriculum, with an explanation; for a `sweep:`, every one of it."""
    resolved = _resolved(recipe, overrides, dry_run)
    root = run_dir or _default_folder(recipe)
    if resolved.sweep:
        _select_sweep(resolved, root, resume, overwrite, explain)
    else:
        _select(_open(resolved, root, resume, overwrite), explain)


@app.command()
def train(
    recipe: RecipeFile,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    dry_run: DryRun = False,
    unsafe_local: UnsafeLocal = False,
) -> None:
    """A curriculum to a trained model; goes on from the last checkpoint."""
    resolved = _one_run(_resolved(recipe, overrides, dry_run))
    from ttc_rl.stages import run as pipeline

    pipeline.train(_open(resolved, run_dir or _default_folder(recipe), resume=True))


@app.command(name="eval")
def evaluate(
    recipe: RecipeFile,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    dry_run: DryRun = False,
    unsafe_local: UnsafeLocal = False,
    join: Annotated[
        bool, typer.Option("--join", help="Share the work with all who join the same run folder")
    ] = False,
    worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False,
) -> None:
    """Base and trained models to samples, numbers and the report; goes on where it stopped."""
    resolved = _one_run(_resolved(recipe, overrides, dry_run))
    from ttc_rl.stages import run as pipeline

    job = _open(resolved, run_dir or _default_folder(recipe), resume=True)
    if worker:
        pipeline.draw(job)
        return
    pipeline.evaluate(job, join=join)
    pipeline.report(job)
    _print_summary(job)


@app.command()
def report(run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder")]) -> None:
    """Write summary.json and report.html of a run anew."""
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages import run as pipeline
    from ttc_rl.stages.job import Job

    folder = RunDir(run_dir)
    pipeline.report(Job(folder.load_recipe(), folder))


@app.command()
def workspace(
    recipe: RecipeFile,
    entity: Annotated[str, typer.Option(help="User or team at W&B")],
    overrides: Overrides = None,
) -> None:
    """Save a W&B workspace for the runs of a recipe: a panel for each thing they log."""
    from ttc_rl.config import load_recipe
    from ttc_rl.stages.evaluating import metric_names
    from ttc_rl.tracking.workspace import save_workspace

    resolved = load_recipe(recipe, overrides or [])
    show(f"workspace: {save_workspace(resolved, entity, metric_names(resolved))}")


@app.command()
def push(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder")],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="NAME/MODEL at the Hugging Face Hub")],
    arm: Annotated[str | None, typer.Option(help="Which arm's, where there are several")] = None,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="The adapter, not the model it is merged into")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Only you may see it")] = False,
) -> None:
    """A trained model to the Hugging Face Hub, with its card and its recipe."""
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.publishing import push as push_model

    show(push_model(RunDir(run_dir), repo, arm=arm, adapter=adapter, private=private))


@app.command()
def patch(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The model that was trained from")],
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A trained model, or a patch to apply")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The patch, or the model's folder")],
) -> None:
    """What training changed as one small file, lossless in bfloat16; or the model back from it."""
    from ttc_rl.train.weights.patches import apply_patch, make_patch

    if model.is_file():
        apply_patch(base, model, out)
        show(f"{out}: {base} with {model} applied")
        return
    found = make_patch(base, model, out)
    show(
        f"{out}: {found.changed:,} of {found.weights:,} weights changed "
        f"({found.changed / found.weights:.1%}); {found.bytes / (2 * found.weights):.1%} of the "
        "model's size"
    )


# --------------------------------------------------------------------------- before a run


@app.command()
def plan(
    recipe: RecipeFile,
    overrides: Overrides = None,
    gpu: Annotated[str, typer.Option(help="Kind of GPU: h100, a100-80gb, rtx4090 ...")] = "h100",
    gpus: Annotated[int, typer.Option(min=1, help="How many train")] = 1,
    sharding: Annotated[Literal["none", "fsdp2"], typer.Option(help="What they share")] = "none",
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Expected mean completion; else its limit")
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Mean prompt")] = 256,
    price: Annotated[float | None, typer.Option(help="Of a GPU hour, in any currency")] = None,
    target_tasks: Annotated[
        int | None, typer.Option(min=1, help="Target tasks, where no benchmark says it")
    ] = None,
) -> None:
    """Steps, tokens, memory, GPU hours and price of a recipe, before anything is loaded."""
    from rich.table import Table
    from ttc_eval.report.sections.plan import foreseen, target_size

    from ttc_rl.config import load_recipe
    from ttc_rl.launch.budget import Assumed
    from ttc_rl.launch.budget.show import arm_rows

    resolved = load_recipe(recipe, overrides or [])
    assumed = Assumed(
        gpu, gpus, sharding, prompt_tokens, tokens, price, target_tasks or target_size(resolved)
    )
    for title, rows in arm_rows(resolved, assumed):
        table = Table("", "", "how", title=title, show_header=False)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(foreseen(resolved), markup=False, soft_wrap=True)


@app.command()
def launch(
    recipe: RecipeFile,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    on: Annotated[
        Literal["local", "slurm", "skypilot"], typer.Option(help="This machine, or a cluster")
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
    accelerators: Annotated[str, typer.Option(help="SkyPilot's name of the GPUs")] = "H100",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it; do nothing")] = False,
    unsafe_local: UnsafeLocal = False,
) -> None:
    """Select, train on many GPUs, evaluate: here, as a SLURM job, or as a SkyPilot task."""
    from ttc_rl.config import load_recipe
    from ttc_rl.launch import Launch
    from ttc_rl.launch.start import start

    resolved = load_recipe(recipe, overrides or [])
    asked = Launch(
        recipe, overrides or [], run_dir or _default_folder(recipe), parallel, gpus, nodes,
        unsafe_local,
    )  # fmt: skip
    shown = start(asked, resolved, on, slurm or [], accelerators, dry_run=dry_run)
    console.print(shown, markup=False, soft_wrap=True)


# --------------------------------------------------------------------------- on results


@app.command()
def score(
    samples: Annotated[
        Path,
        typer.Argument(
            metavar="SAMPLES",
            help="Our samples, or those of HumanEval, EvalPlus, lighteval (.parquet) or Inspect",
        ),
    ],
    benchmark: Annotated[str, typer.Option(help="Name of the benchmark, or a file of its tasks")],
    data: Data = None,
    k: Annotated[list[int] | None, typer.Option(help="pass@k and maj@k; may be repeated")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the two files written")] = None,
    fallback: Annotated[
        bool,
        typer.Option("--fallback", help='Without a mark, read after "answer" or a last number'),
    ] = False,
    unsafe_local: UnsafeLocal = False,
) -> None:
    """Grade completions that exist already: no model, no GPU."""
    from ttc_eval.harness.score import recipe_of
    from ttc_eval.harness.score import score as score_samples
    from ttc_eval.report.tables import result_table

    from ttc_rl.config.marks import written
    from ttc_rl.corpus.benchmarks import named_benchmark
    from ttc_rl.stages.own_code import graders_of
    from ttc_rl.verifiers import BUILT_IN

    recipe = recipe_of(samples)
    scored = score_samples(
        samples,
        named_benchmark(benchmark, data, recipe.verifiers if recipe else ()),
        k=k or [],
        out=out,
        fallback=fallback,
        graders=graders_of(recipe) if recipe else BUILT_IN,
    )
    console.print(result_table(scored.result))
    if before := scored.result.graded_before:
        others = f" ({before.by_another_verifier} were by another version of the verifier)"
        show(f"{before.moved} of {before.verdicts} earlier verdicts changed{others}")
    if scored.unread:
        marks = written(scored.unread)
        show(f"no completion has a {marks}: --fallback reads answers that stand elsewhere")
    show(f"{scored.samples_path}, {scored.result_path}")


@app.command()
def export(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder")],
    benchmark: Annotated[str, typer.Option(help="Name of the benchmark, or a file of its tasks")],
    model: Annotated[str, typer.Option(help="`base`, or an arm")] = "base",
    to: Annotated[
        Literal["humaneval", "lighteval", "inspect", "inspect-json"], typer.Option(help="Format")
    ] = "humaneval",
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="File; RUN/export/...")] = None,
) -> None:
    """A model's samples in another tool's format, verdicts and all."""
    from ttc_eval.harness.interchange import export as export_samples

    from ttc_rl.corpus.benchmarks import marked, named_benchmark
    from ttc_rl.run_dir import RunDir

    run = RunDir(run_dir)
    recipe = run.load_recipe()
    found = named_benchmark(benchmark, data or recipe.data, recipe.verifiers)
    tasks = marked(found, recipe.answer_marks)
    show(f"{export_samples(run, tasks, model, to, out)}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders")],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As Markdown, for a document")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="A table for every benchmark")] = False,
    tasks: Annotated[
        bool, typer.Option("--tasks", help="The tasks that changed most, too")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Also write one offline page, with charts and a heat map")
    ] = None,
) -> None:
    """Paired differences with intervals, flips of single tasks, the specialisation matrix."""
    from ttc_eval.compare.runs import compare as compare_runs
    from ttc_eval.report.compare_page import write_comparison
    from ttc_eval.report.tables import changed_tasks_tables, comparison_markdown, comparison_tables

    from ttc_rl.run_dir import RunDir

    found = compare_runs([RunDir(path) for path in runs])
    if html is not None:
        write_comparison(found, html)
        show(f"{html}")
    if markdown:
        console.print(
            comparison_markdown(found, every_benchmark=every), markup=False, soft_wrap=True
        )
    else:
        shown = comparison_tables(found, every_benchmark=every)
        for table in [*shown, *(changed_tasks_tables(found) if tasks else [])]:
            console.print(table)


# --------------------------------------------------------------------------- on recipes and corpora


@app.command()
def config(
    recipe: Annotated[Path | None, typer.Argument(metavar="[RECIPE]")] = None,
    overrides: Overrides = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The schema as Markdown: docs/recipe.md")
    ] = False,
) -> None:
    """The resolved recipe; without one, the JSON schema of recipes (for editors)."""
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


@app.command()
def benchmarks(
    name: Annotated[str | None, typer.Argument(help="One of them")] = None, data: Data = None
) -> None:
    """The benchmarks; with one named, where it is from, its errata and published numbers."""
    from ttc_eval.report.benchmark_text import benchmark_table, describe

    if name is None:
        console.print(benchmark_table(data))
    else:
        console.print(describe(name), markup=False, soft_wrap=True)


@app.command()
def corpus(
    source: Annotated[
        str | None, typer.Argument(help="A named source, a task file, or a hub id")
    ] = None,
    data: Data = None,
    check: Annotated[
        bool, typer.Option("--check", help="Grade every gold against itself, silence and another")
    ] = False,
) -> None:
    """The named sources; with one named, its size, its bad rows and three of its tasks."""
    from rich.table import Table

    from ttc_rl.corpus.sources import catalog, load_corpus

    if source is None:
        table = Table("name", "kind", "licence", "hub", "description")
        for name, entry in catalog().items():
            table.add_row(name, entry.kind, entry.licence, entry.hub or "-", entry.description)
        console.print(table)
        return
    loaded = load_corpus([source], data)
    for problem in loaded.problems:
        show(f"bad row: {problem}")
    show(
        f"{len(loaded.tasks):,} tasks, {loaded.duplicates:,} duplicates, "
        f"{len(loaded.problems):,} bad rows"
    )
    if check:
        _check_golds(loaded.tasks)
        return
    for task in loaded.tasks[:3]:
        console.print(f"\n{task.kind} {task.id}\n{task.prompt}\ngold: {task.gold}", markup=False)


@app.command()
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
        shown = ahead.on_cluster(
            cluster, out, tasks=tasks, workers=workers, slurm=slurm or [], dry_run=dry_run
        )
        console.print(shown, markup=False, soft_wrap=True)


@app.command()
def doctor(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A model's id or folder")
    ] = None,
    attacks: Annotated[
        bool, typer.Option("--attacks", help="Attack each sandbox here, harmlessly")
    ] = False,
) -> None:
    """What works here: versions, GPU, sandboxes (with a real program each), disk; and the fixes.

    With a model, what the tool will do with that one: the prompt that it reads, its end and pad
    tokens, the memory that it takes, and 32 tokens drawn.

    With --attacks, what each sandbox that works here contains: harmless attacks are really run in
    it. Exit code 1 where one succeeds that should not.
    """
    if attacks:
        _attack_sandboxes()
        return
    if model is None:
        from ttc_rl.launch.doctor import findings

        found = list(findings())
        _print_findings(found)
        if not any(one.works for one in found if one.what.startswith("sandbox: ")):
            raise UserError(
                "no sandbox works here, so programs cannot be graded; see the fixes above"
            )
        return
    from ttc_rl.launch.doctor_model import model_findings

    found = list(model_findings(model))
    _print_findings(found)
    if any(one.works is False for one in found):
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


def _print_findings(found: Sequence[Finding]) -> None:
    """A row each; what a model wrote is shown as it stands, without markup or emoji."""
    from rich.table import Table
    from rich.text import Text

    table = Table("", "", "seen", "fix")
    for one in found:
        mark = {True: "ok", False: "BROKEN", None: "-"}[one.works]
        table.add_row(*map(Text, (one.what, mark, one.seen, one.fix)))
    console.print(table)


def _check_golds(tasks: list[Task]) -> None:
    from ttc_rl.verifiers.golds import check_golds, markdown

    checked = check_golds(tasks)
    for found in checked:
        for line in found.unreadable:
            console.print(f"unreadable: {line}", markup=False, soft_wrap=True)
        for line in found.failures:
            console.print(f"failed: {line}", markup=False, soft_wrap=True)
    console.print(markdown(checked), markup=False, soft_wrap=True)


def _resolved(recipe: Path, overrides: list[str] | None, dry_run: bool) -> Recipe:
    """The recipe with everything folded in. A dry run shows it, with its arithmetic, looks for the
    files that it names, and ends."""
    from ttc_rl.config import dump_recipe, load_recipe
    from ttc_rl.train.curriculum import arithmetic

    resolved = load_recipe(recipe, overrides or [])
    if dry_run:
        from ttc_eval.report.sections.plan import foreseen

        console.print(dump_recipe(resolved), markup=False, soft_wrap=True)
        for name in resolved.arm_names:
            line = f"{name}: {arithmetic(resolved.arm(name))}"
            console.print(line, markup=False, soft_wrap=True)
        _check_files(resolved)
        console.print(foreseen(resolved), markup=False, soft_wrap=True)
        raise typer.Exit
    return resolved


def _check_files(recipe: Recipe) -> None:
    from ttc_rl.stages.checks import check_files
    from ttc_rl.stages.sweep import cells

    for _, cell in cells(recipe):
        check_files(cell)


def _one_run(recipe: Recipe) -> Recipe:
    if recipe.sweep:
        raise UserError("a recipe with `sweep:` is many runs: `ttc-rl run` makes them all")
    return recipe


def _default_folder(recipe: Path) -> Path:
    return Path("runs") / recipe.stem


def _open(recipe: Recipe, root: Path, resume: bool, overwrite: bool = False) -> Job:
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.job import Job

    made = RunDir.open(root, recipe, resume=resume, overwrite=overwrite)
    opened.append(root)
    return Job(recipe, made)


def _sweep(recipe: Recipe, root: Path, jobs: int, resume: bool, overwrite: bool) -> None:
    from ttc_eval.compare.runs import compare as compare_runs
    from ttc_eval.report.compare_page import write_comparison
    from ttc_eval.report.tables import comparison_markdown, comparison_tables

    from ttc_rl.run_dir import RunDir, write_text
    from ttc_rl.stages.job import check_extras
    from ttc_rl.stages.sweep import run_cells

    check_extras(recipe)
    RunDir.open(root, recipe, resume=resume, overwrite=overwrite)
    opened.append(root)
    found = compare_runs(run_cells(recipe, root, jobs))
    for table in comparison_tables(found):
        console.print(table)
    write_text(root / "compare.md", comparison_markdown(found))
    write_comparison(found, root / "compare.html")
    show(f"{root / 'compare.md'}, {root / 'compare.html'}")


def _select(job: Job, explain: bool) -> None:
    from rich.markdown import Markdown

    from ttc_rl.stages import run as pipeline

    pipeline.select(job)
    pipeline.report(job)
    for name in job.parts:
        folder = job.arm(name)[1]
        if explain:
            console.print(Markdown(folder.explanation.read_text(), hyperlinks=False))
        show(f"{name}: {folder.curriculum}, explained in {folder.explanation}")


def _select_sweep(recipe: Recipe, root: Path, resume: bool, overwrite: bool, explain: bool) -> None:
    from ttc_eval.report.selections_page import selections_markdown

    from ttc_rl.run_dir import RunDir, write_text
    from ttc_rl.stages.sweep import cells

    _check_files(recipe)
    RunDir.open(root, recipe, resume=resume, overwrite=overwrite)
    jobs = [_open(cell, root / name, resume=True) for name, cell in cells(recipe)]
    for job in jobs:
        show(f"{job.run.root.name}")
        _select(job, explain)
    write_text(root / "selections.md", selections_markdown([job.run for job in jobs]))
    show(f"{root / 'selections.md'}")


def _print_summary(job: Job) -> None:
    from ttc_eval.report.tables import summary_tables

    from ttc_rl.stages.run import read_summary

    for table in summary_tables(read_summary(job.run)):
        console.print(table)
