"""Which version of the verifiers gave the verdicts of a run, and which verdicts it moved."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

from markupsafe import Markup

from ttc_eval.harness.variants import MARK
from ttc_eval.records import GradedBefore, read_result
from ttc_eval.report import page
from ttc_eval.report.material import Material
from ttc_rl.config import Recipe
from ttc_rl.config.plugins import file_of_module
from ttc_rl.corpus.benchmarks import target_names
from ttc_rl.run_dir import RESCORED
from ttc_rl.verifiers import KINDS
from ttc_rl.verifiers.fingerprint import built_in_version, file_version

_VERIFIER = re.compile(rb'"verifier":\s*"([^"\\]+)"')
"""In a line of samples; inside a completion the quotes have a backslash before them."""


def verdicts(material: Material) -> Markup:
    """Say which verdicts moved, and which are of another version of the verifier."""
    run, recipe, sentences = material.run, material.recipe, list[str]()
    for benchmark, models in material.results.items():
        for model in models:
            again = f"{model}{RESCORED}"
            if (graded := run.result(benchmark, again)).exists():
                if before := read_result(graded).graded_before:
                    sentences.append(moved(f"{model} on {benchmark}", before))
                if not other_versions(run.samples(benchmark, again), recipe):
                    continue
            path = run.samples(benchmark, model)
            versions = other_versions(path, recipe)
            if not versions:
                continue
            command = f"ttc-rl score {shlex.quote(str(path))} {_benchmark(recipe, benchmark)}"
            advice = f"To see which verdicts move, run: {command}"
            if MARK in benchmark:
                advice = (
                    "ttc-rl score cannot name changed tasks: evaluate them in a new run folder."
                )
            sentences.append(f"{_outdated(f'{model} on {benchmark}', versions, recipe)} {advice}")
    return Markup().join(map(page.paragraph, sentences))


def moved(what: str, before: GradedBefore) -> str:
    """Say how many earlier verdicts moved when `ttc-rl score` graded again, and which way."""
    by_others = f"{before.by_another_verifier:,} of them by another version of the verifier"
    start = f"{what}: {before.verdicts:,} earlier verdicts ({by_others}) were graded again"
    if not before.moved:
        return f"{start}, and none moved."
    if before.wrong_to_right is None:
        return (
            f"{start}, and {before.moved:,} moved. The file does not say in which direction: "
            "run ttc-rl score again."
        )
    ways = [
        f"{before.wrong_to_right:,} from wrong to right",
        f"{before.right_to_wrong:,} from right to wrong",
        f"{before.to_undecided:,} to undecided",
        f"{before.from_undecided:,} from undecided to right or wrong",
    ]
    return f"{start}, and {before.moved:,} moved: {', '.join(ways)}."


def other_versions(path: Path, recipe: Recipe) -> Counter[str]:
    """Count the verdicts of a sample file by the version that gave them, without the installed
    version.

    Leaves out those of a plug-in whose file is not here: nobody can say what its version is.
    """
    counts = Counter[str]()
    if path.exists():
        with path.open("rb") as file:
            counts.update(match[1].decode() for line in file for match in _VERIFIER.finditer(line))
    return Counter({v: n for v, n in counts.items() if _installed(v, recipe) not in (v, None)})


def _installed(version: str, recipe: Recipe) -> str | None:
    """Return the version that would grade now; no user code is imported."""
    kind = version.rpartition("-")[0]
    if kind in KINDS:
        return built_in_version(kind)
    file = file_of_module(recipe.verifiers.get(kind, ""), recipe.places.folders)
    return file_version(kind, file) if file else None


def _outdated(what: str, versions: Counter[str], recipe: Recipe) -> str:
    installed = sorted({_installed(version, recipe) or "" for version in versions})
    return (
        f"{what}: {versions.total():,} verdicts are by {', '.join(sorted(versions))}, and "
        f"{', '.join(installed)} is installed."
    )


def _benchmark(recipe: Recipe, name: str) -> str:
    """Return the options of `ttc-rl score` that name the benchmark."""
    target = dict(zip(target_names(recipe.targets), recipe.targets, strict=True)).get(name, name)
    if not isinstance(target, str):
        target = target.path or f"FILE-WITH-THE-TASKS-OF-{name}"
    data = f" --data {shlex.quote(recipe.data)}" if recipe.data else ""
    return f"--benchmark {shlex.quote(target)}{data}"
