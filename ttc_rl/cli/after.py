"""After a run: score, export, compare, workspace, push, patch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ttc_rl.cli.options import (
    AsJson,
    Data,
    Overrides,
    RecipeFile,
    UnsafeLocal,
    console,
    print_json,
    show,
)


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
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out tasks without all samples, and count them")
    ] = False,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Pass over rows of other tasks, and count them")
    ] = False,
    stop: Annotated[
        list[str] | None, typer.Option(help="Grade up to this text; may be repeated")
    ] = None,
    as_json: AsJson = False,
    unsafe_local: UnsafeLocal = False,
) -> None:
    """Grade completions that exist already: no model, no GPU."""
    from ttc_eval.harness.score import recipe_of
    from ttc_eval.harness.score import score as score_samples
    from ttc_eval.report.tables import result_table
    from ttc_rl.config.marks import written
    from ttc_rl.corpus.benchmarks import named_benchmark
    from ttc_rl.stages.own_code import graders_for
    from ttc_rl.verifiers import BUILT_IN

    recipe = recipe_of(samples)
    tested = named_benchmark(benchmark, data, recipe.verifiers if recipe else ())
    scored = score_samples(
        samples,
        tested,
        k=k or [],
        out=out,
        fallback=fallback,
        partial=partial,
        skip_unknown=skip_unknown,
        stop=stop or [],
        graders=graders_for(recipe, tested.tasks) if recipe else BUILT_IN,
    )
    if as_json:
        print_json(scored.result)
        return
    console.print(result_table(scored.result))
    if scored.result.left_out:
        show(f"{scored.result.left_out} tasks without all samples are left out (--partial)")
    if scored.result.unknown:
        show(f"{scored.result.unknown} rows of other tasks are passed over (--skip-unknown)")
    if before := scored.result.graded_before:
        others = f" ({before.by_another_verifier} were by another version of the verifier)"
        show(f"{before.moved} of {before.verdicts} earlier verdicts changed{others}")
    if scored.unread:
        marks = written(scored.unread)
        show(f"no completion has a {marks}: --fallback reads answers that stand elsewhere")
    show(f"{scored.samples_path}, {scored.result_path}")


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
    """Write a model's samples, with their verdicts, in the format of another tool."""
    from ttc_eval.harness.interchange import export as export_samples
    from ttc_rl.corpus.benchmarks import marked, named_benchmark
    from ttc_rl.run_dir import RunDir

    run = RunDir(run_dir)
    recipe = run.load_recipe()
    named = named_benchmark(benchmark, data or recipe.data, recipe.verifiers)
    tasks = marked(named, recipe.answer_marks)
    show(f"{export_samples(run, tasks, model, to, out)}")


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
    """Show paired differences with intervals, flips of single tasks, the specialisation matrix."""
    from ttc_eval.compare.runs import compare as compare_runs
    from ttc_eval.report.compare_opening import comparison_markdown, differing_table, opening
    from ttc_eval.report.compare_page import write_comparison
    from ttc_eval.report.tables import changed_tasks_tables, comparison_tables
    from ttc_rl.run_dir import RunDir

    comparison = compare_runs([RunDir(path) for path in runs])
    if html is not None:
        write_comparison(comparison, html)
        show(f"{html}")
    if markdown:
        console.print(
            comparison_markdown(comparison, every_benchmark=every), markup=False, soft_wrap=True
        )
    else:
        for sentence in opening(comparison):
            show(sentence)
        tables = comparison_tables(comparison, every_benchmark=every)
        for table in [
            *differing_table(comparison),
            *tables,
            *(changed_tasks_tables(comparison) if tasks else []),
        ]:
            console.print(table)


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


def push(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder")],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="NAME/MODEL at the Hugging Face Hub")],
    arm: Annotated[str | None, typer.Option(help="Which arm's, where there are several")] = None,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="The adapter, not the model it is merged into")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Only you may see it")] = False,
) -> None:
    """Upload a trained model to the Hugging Face Hub, with its card and its recipe."""
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.publishing import push as push_model

    show(push_model(RunDir(run_dir), repo, arm=arm, adapter=adapter, private=private))


def patch(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The model that was trained from")],
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A trained model, or a patch to apply")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The patch, or the model's folder")],
) -> None:
    """Write what training changed as one small file, lossless in bfloat16; or apply such a file."""
    from ttc_rl.train.weights.patches import apply_patch, make_patch

    if model.is_file():
        apply_patch(base, model, out)
        show(f"{out}: {base} with {model} applied")
        return
    change = make_patch(base, model, out)
    show(
        f"{out}: {change.changed:,} of {change.weights:,} weights changed "
        f"({change.changed / change.weights:.1%}); "
        f"{change.bytes / (2 * change.weights):.1%} of the model's size"
    )


def changes(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder")],
    arm: Annotated[str | None, typer.Option(help="One arm; all that are trained when left out")] = (
        None
    ),
    as_json: AsJson = False,
) -> None:
    """Show what training changed, module by module: shares in bfloat16, norms, effective ranks."""
    from ttc_eval.report.tables import changes_table
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.diagnostics import changes_of
    from ttc_rl.stages.job import Job

    folder = RunDir(run_dir)
    for name, about, found in changes_of(Job(folder.load_recipe(), folder), arm):
        if as_json:
            print_json({"arm": name, **about, "modules": found})
        else:
            console.print(changes_table(name, about, found))


def alike(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder")],
    benchmark: Annotated[
        str | None, typer.Option(help="One of the run's; its first when left out")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how alike the models of a run answer: the mean cosine of their samples of one task."""
    from ttc_eval.report.tables import share
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.diagnostics import alike_of
    from ttc_rl.stages.job import Job

    folder = RunDir(run_dir)
    name = benchmark or next(iter(folder.benchmarks()), "")
    found = alike_of(Job(folder.load_recipe(), folder), name)
    if as_json:
        print_json([{"models": pair, "cosine": cosine} for pair, cosine in found.items()])
        return
    show(f"{name}: mean cosine of two samples of one task, in %")
    for (first, second), cosine in found.items():
        pair = f"{first}, two samples" if first == second else f"{first} and {second}"
        show(f"{pair}: {share(cosine)}")


def headroom(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder")],
    as_json: AsJson = False,
) -> None:
    """Show how well the embedding tells what the base model solves: whether SIFT's kernel carries
    difficulty."""
    from ttc_rl.run_dir import RunDir
    from ttc_rl.stages.diagnostics import headroom_of
    from ttc_rl.stages.job import Job

    folder = RunDir(run_dir)
    found = headroom_of(Job(folder.load_recipe(), folder))
    if as_json:
        print_json(found)
        return
    show(
        f"{found.tasks:,} tasks, {found.mean:.1%} solved by the base. R^2 of held-out solve rates "
        f"from the vectors: ridge {found.ridge:.2f}, five nearest {found.neighbours:.2f}; at most "
        f"{found.ceiling:.2f} with so many samples."
    )
    if found.ridge < 0.1 * found.ceiling:
        show("The kernel tells nothing of difficulty here: SIFT's bounds are about geometry alone.")
