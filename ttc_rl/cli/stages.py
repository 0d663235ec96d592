"""The stages of a run: run, select, train, eval, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ttc_rl.cli.options import (
    AsJson,
    DryRun,
    Overrides,
    Overwrite,
    RecipeFile,
    Resume,
    RunFolder,
    UnsafeLocal,
    console,
    default_folder,
    opened,
    print_json,
    show,
)
from ttc_rl.schema import UserError

if TYPE_CHECKING:
    from ttc_rl.config import Recipe
    from ttc_rl.stages.job import Job


def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    jobs: Annotated[int, typer.Option(min=1, help="Runs of a `sweep:` at a time")] = 1,
    as_json: AsJson = False,
    unsafe_local: UnsafeLocal = False,
) -> None:
    """Run the whole job: corpus, curriculum, GRPO, evaluation, report."""
    resolved = _resolved(recipe, overrides, dry_run)
    root = run_dir or default_folder(recipe)
    if resolved.sweep:
        _sweep(resolved, root, jobs, resume, overwrite)
        return
    from ttc_rl.stages.job import check_extras
    from ttc_rl.stages.run import run_all

    check_extras(resolved)
    job = _open(resolved, root, resume, overwrite)
    run_all(job)
    _print_summary(job, as_json)


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
    """Select a curriculum from the corpus, and explain it; of a `sweep:`, for every cell."""
    resolved = _resolved(recipe, overrides, dry_run)
    root = run_dir or default_folder(recipe)
    if resolved.sweep:
        _select_sweep(resolved, root, resume, overwrite, explain)
    else:
        _select(_open(resolved, root, resume, overwrite), explain)


def train(
    recipe: RecipeFile,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    dry_run: DryRun = False,
    unsafe_local: UnsafeLocal = False,
    expert: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train a model on the curriculum. Training goes on from the last checkpoint."""
    resolved = _one_run(_resolved(recipe, overrides, dry_run))
    from ttc_rl.stages import run as pipeline

    job = _open(resolved, run_dir or default_folder(recipe), resume=True)
    if expert is None:
        pipeline.train(job)
    else:  # started by a training of several at once
        pipeline.train_expert(job, expert)


def evaluate(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="A recipe; or --model, --benchmark")
    ] = None,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    model: Annotated[
        str | None, typer.Option(help="An id or a folder, to evaluate without a recipe")
    ] = None,
    benchmark: Annotated[
        list[str] | None, typer.Option(help="A benchmark or a file of tasks; may be repeated")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Completions a task")] = None,
    url: Annotated[
        str | None, typer.Option(help="Ask this endpoint, where the model has that name")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    unsafe_local: UnsafeLocal = False,
    join: Annotated[
        bool, typer.Option("--join", help="Share the work with all who join the same run folder")
    ] = False,
    worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False,
) -> None:
    """Evaluate base and trained models, and write the report. Evaluation goes on where it
    stopped."""
    from ttc_rl.stages import run as pipeline
    from ttc_rl.stages.evaluate_only import folder_for, recipe_for

    keys = [*(overrides or []), *([f"eval.samples={samples}"] if samples else [])]
    if recipe is not None and ("=" not in recipe or Path(recipe).exists()):
        if model or benchmark or url:
            raise UserError("eval: a recipe names its model and benchmarks itself")
        resolved = _one_run(_resolved(Path(recipe), keys, dry_run))
        root = run_dir or default_folder(Path(recipe))
    else:
        keys = [recipe, *keys] if recipe else keys
        resolved = recipe_for(model, benchmark or [], keys, url=url)
        root = run_dir or folder_for(str(model), benchmark or [])
        _show_dry(resolved, dry_run)
    job = _open(resolved, root, resume=True)
    if worker:
        pipeline.draw(job)
        return
    pipeline.evaluate(job, join=join)
    pipeline.report(job)
    _print_summary(job, as_json)


def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder")],
    figures: Annotated[
        bool, typer.Option("--figures", help="Each figure also as SVG and PDF, in RUN/figures")
    ] = False,
) -> None:
    """Write summary.json, report.html and its pages of a run again."""
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages import run as pipeline
    from ttc_rl.stages.job import Job

    folder = RunDir(run_dir)
    pipeline.report(Job(folder.load_recipe(), folder))
    if figures:
        from ttc_eval.report.figures import write_figures

        paths = write_figures(folder.report, folder.figures)
        show(f"{folder.figures}: {len(paths) // 2} figures, each as SVG and PDF")


def study(
    recipe: RecipeFile,
    overrides: Overrides = None,
    run_dir: RunFolder = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time")] = 1,
    unsafe_local: UnsafeLocal = False,
) -> None:
    """Run arms x targets x seeds at one budget, with controls, and answer the questions asked."""
    from ttc_eval.report.study_page import answers_table, sentence
    from ttc_rl.config import load_recipe
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.job import check_extras
    from ttc_rl.stages.study import run_study, with_controls

    resolved = with_controls(load_recipe(recipe, overrides or []))
    _show_dry(resolved, dry_run)
    root = run_dir or default_folder(recipe)
    check_extras(resolved)
    RunDir.open(root, resolved, resume=resume, overwrite=overwrite)
    opened.append(root)
    asked, arms, pages = run_study(resolved, root, jobs)
    for question in asked:
        show(sentence(question))
    console.print(answers_table(arms))
    show(", ".join(map(str, pages)))


def ttt(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="A study, e.g. recipes/text/packages.yaml")
    ],
    overrides: Overrides = None,
    run_dir: RunFolder = None,
) -> None:
    """Train on a text's picks and measure its bits per byte, selector by selector; goes on where
    it stopped."""
    from ttc_rl.config.texts import load_study
    from ttc_rl.stages.text_study import run_study, tables

    folder = _opened(study, run_dir)
    page = tables(run_study(load_study(study, overrides or []), folder))
    _show_page(folder / "ttt.md", page)


def arc(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="A study, e.g. recipes/grids/small.yaml")
    ],
    overrides: Overrides = None,
    run_dir: RunFolder = None,
) -> None:
    """Train an adapter for each grid puzzle and answer it, component by component; goes on where it
    stopped."""
    from ttc_rl.config.grids import load_grid_study
    from ttc_rl.stages.grid_study import grid_tables, run_grid_study

    folder = _opened(study, run_dir)
    page = grid_tables(run_grid_study(load_grid_study(study, overrides or []), folder))
    _show_page(folder / "arc.md", page)


def discover(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="A study, e.g. recipes/discovery/schedules.yaml")
    ],
    overrides: Overrides = None,
    run_dir: RunFolder = None,
) -> None:
    """Train on each problem to find its best answer, and compare with drawing alone; goes on where
    it stopped."""
    from ttc_rl.config.discovery import load_discovery
    from ttc_rl.stages.discovery_study import discovery_tables, run_discovery

    folder = _opened(study, run_dir)
    page = discovery_tables(run_discovery(load_discovery(study, overrides or []), folder))
    _show_page(folder / "discovery.md", page)


# --------------------------------------------------------------------------- helpers


def _opened(study: Path, run_dir: Path | None) -> Path:
    """Return a study's folder, which an error names."""
    folder = run_dir or default_folder(study)
    opened.append(folder)
    return folder


def _show_page(path: Path, page: str) -> None:
    from ttc_rl.run_dir import write_text

    write_text(path, page + "\n")
    console.print(page, markup=False, soft_wrap=True)


def _resolved(recipe: Path, overrides: list[str] | None, dry_run: bool) -> Recipe:
    """Return the recipe with its parent and overrides folded in. A dry run shows it with its
    arithmetic, checks that the files exist which it names, and ends."""
    from ttc_rl.config import load_recipe

    resolved = load_recipe(recipe, overrides or [])
    _show_dry(resolved, dry_run)
    return resolved


def _show_dry(resolved: Recipe, dry_run: bool) -> None:
    """In a dry run, show the recipe, its arithmetic and a prompt, look for its files, and end."""
    from ttc_rl.config import dump_recipe
    from ttc_rl.train.curriculum import arithmetic

    if dry_run:
        from ttc_eval.report.sections.plan import foreseen
        from ttc_rl.stages.dry_run import example_prompt
        from ttc_rl.stages.sweep import check_cells

        console.print(dump_recipe(resolved), markup=False, soft_wrap=True)
        for name in resolved.arm_names:
            arm = resolved.arm(name)
            line = f"answers by policy.method {arm.policy.method}: trains nothing"
            if arm.policy.trains:
                line = arithmetic(arm.train, arm.selection.size, experts=arm.experts is not None)
            console.print(f"{name}: {line}", markup=False, soft_wrap=True)
        check_cells(resolved, sources=True)
        console.print(foreseen(resolved), markup=False, soft_wrap=True)
        console.print(example_prompt(resolved), markup=False, soft_wrap=True)
        raise typer.Exit


def _one_run(recipe: Recipe) -> Recipe:
    if recipe.sweep:
        raise UserError("a recipe with `sweep:` is many runs: `ttc-rl run` makes them all")
    return recipe


def _open(recipe: Recipe, root: Path, resume: bool, overwrite: bool = False) -> Job:
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.job import Job

    run = RunDir.open(root, recipe, resume=resume, overwrite=overwrite)
    opened.append(root)
    return Job(recipe, run)


def _sweep(recipe: Recipe, root: Path, jobs: int, resume: bool, overwrite: bool) -> None:
    from ttc_eval.report.compare_opening import differing_table, opening
    from ttc_eval.report.tables import comparison_tables
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.job import check_extras
    from ttc_rl.stages.sweep import compare_cells

    check_extras(recipe)
    RunDir.open(root, recipe, resume=resume, overwrite=overwrite)
    opened.append(root)
    comparison, pages = compare_cells(recipe, root, jobs)
    for sentence in opening(comparison):
        show(sentence)
    for table in [*differing_table(comparison), *comparison_tables(comparison)]:
        console.print(table)
    show(", ".join(map(str, pages)))


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
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.sweep import cells, check_cells, write_selections

    check_cells(recipe)
    RunDir.open(root, recipe, resume=resume, overwrite=overwrite)
    jobs = [_open(cell, root / name, resume=True) for name, cell in cells(recipe)]
    for job in jobs:
        show(f"{job.run.root.name}")
        _select(job, explain)
    show(f"{write_selections([job.run for job in jobs], root)}")


def _print_summary(job: Job, as_json: bool) -> None:
    from ttc_eval.report.base_model import shown_name
    from ttc_eval.report.tables import summary_tables
    from ttc_rl.stages.run import read_summary

    summary = read_summary(job.run)
    if as_json:
        print_json(summary)
        return
    for table in summary_tables(summary, base=shown_name("base", job.recipe)):
        console.print(table)
