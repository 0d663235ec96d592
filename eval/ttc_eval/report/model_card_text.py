"""What a model card says in words. First of all: which test the model was trained for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ttc_eval.records import BenchmarkSummary, Summary
from ttc_eval.report.base_model import base_facts
from ttc_eval.report.sections.carried import sentence
from ttc_eval.report.tables import points, share, shown
from ttc_rl.config import Recipe, dump_recipe
from ttc_rl.corpus.benchmarks import is_prompt, target_names
from ttc_rl.selection.explain import in_short
from ttc_rl.system.printable import in_markdown

Json = dict[str, Any]
BLIND = ("random", "kmeans++", "uncertainty")
"""Selection methods that do not look at the target."""


@dataclass(frozen=True)
class Told:
    """What the files of a run say of one of its arms."""

    name: str
    arm: str
    whole: Recipe
    recipe: Recipe
    """The arm's own."""
    selection: Json
    overlap: Json
    corpus: Sequence[Json]
    versions: Json
    steps: Sequence[Mapping[str, Any]]
    """Rows of metrics.jsonl."""
    alarms: Sequence[Mapping[str, Any]]
    summary: Summary | None
    tried: str = ""
    """How many runs were begun for this target, where that is on record."""

    @property
    def target(self) -> str:
        return " and ".join(target_names(self.recipe))

    @property
    def answers(self) -> str:
        """The arm that is evaluated: of an expert the one it is part of."""
        return self.arm.partition("/")[0]

    @property
    def is_private(self) -> bool:
        return any(map(is_prompt, self.recipe.targets))

    @property
    def base(self) -> str:
        path = self.recipe.model.path
        if path is None:
            return "a small model trained from scratch"
        return Path(path).name if Path(path).exists() else path

    @cached_property
    def evaluated(self) -> dict[str, BenchmarkSummary]:
        """Benchmark -> its part of the summary, where this arm has results; the target first."""
        parts = self.summary.benchmarks if self.summary else {}
        mine = [name for name, part in parts.items() if self.answers in part.models]
        own = target_names(self.recipe)
        return {name: parts[name] for name in sorted(mine, key=lambda n: (n not in own, n))}


def text(told: Told, *, adapter: bool) -> str:
    sections = {
        "": _what(told, adapter),
        "Curriculum": _curriculum(told),
        "Training": _training(told),
        "Results": _results(told),
        "What it cost elsewhere": _retention(told),
        "Data and licences": _licences(told),
        "How to reproduce": _reproduce(told),
    }
    parts = [f"# {told.name}"]
    for title, lines in sections.items():
        parts += [f"## {title}"] if title else []
        parts += list(lines)
    return "\n\n".join(parts) + "\n"


def public_recipe(recipe: Recipe) -> str:
    """recipe.yaml as it may be shown: without a token, or a target that is a prompt of one's own.

    Not covered: paths of this machine, and other secrets that somebody writes into a recipe.
    """
    tokens = {recipe.arm(name).train.trl.get("hub_token") for name in recipe.arm_names}
    told = ["(a prompt that is not published)" if is_prompt(t) else t for t in recipe.targets]
    recipe = recipe.model_copy(update={"target": told if len(told) > 1 else told[0]})
    shown_text = dump_recipe(recipe)
    for token in filter(None, tokens):
        shown_text = shown_text.replace(token, "...")
    return shown_text


# --------------------------------------------------------------------------- sections


def _what(told: Told, adapter: bool) -> Iterator[str]:
    yield f"> {_purpose(told)}"
    train = told.recipe.train
    name = "SVF" if train.svf else "LoRA"
    kind = f"{name} adapter for" if adapter else "Fine-tuned from"
    merged = f", its {name} adapter merged in" if train.adapter and not adapter else ""
    yield (
        f"{kind} {told.base}{merged}, by GRPO on a test-time curriculum (TTC-RL, arXiv 2510.04786) "
        f"with ttc-rl; arm `{told.arm}` of its run."
    )
    yield from base_facts(told.versions)
    if adapter and train.svf:
        yield "peft reads the adapter once `ttc_rl.train.weights.svf` has been imported."
    if told.arm != told.answers:
        yield (
            f"**One expert of several**, for {len(told.selection['targets'])} of the test's tasks. "
            f"Results are those of arm `{told.answers}`, whose experts answer each its own tasks."
        )
    elif told.recipe.experts:
        yield "A mixture of several experts, each trained for some of the test's tasks."
    if control := _control(told.recipe):
        yield f"**A control arm: {control}.** It is there to be compared with, not to be used."


def _purpose(told: Told) -> str:
    """Which test the model was trained for, and what a score on it then means."""
    train = told.recipe.train
    chosen = told.recipe.selection.method not in BLIND or train.curriculum.method != "static"
    if not chosen and not train.ttrl:
        return (
            f"**Trained for comparison on one test: {_shown_target(told)}.** Its training tasks "
            "were drawn without a look at that test, but for the removal of tasks that overlap "
            "with it. It stands beside models of the same run that were specialised on it."
        )
    saw = "Its training tasks were chosen for this test's prompts; the answers were not read."
    if train.ttrl:
        saw = saw if chosen else ""
        saw += (
            " It was also trained on the test's own prompts, rewarded for agreement with its own "
            "majority answer; golds were not read."
        )
    if told.is_private:
        return (
            f"**Specialised on one prompt, which is not published.** {saw.strip()} The model is "
            "meant for that prompt and says little about other tasks."
        )
    return (
        f"**Specialised on one test: {told.target}.** {saw.strip()} A score on {told.target} "
        "therefore says how well the model does on the test it prepared for. It is not comparable "
        "with the scores of models that had not prepared for it, says little about other tasks, "
        "and should not be reported without this sentence."
    )


def _shown_target(told: Told) -> str:
    return "a prompt that is not published" if told.is_private else told.target


def _control(recipe: Recipe) -> str:
    return {
        "format": "any readable answer was rewarded, right or wrong",
        "shuffled": "it was rewarded for another task's answer",
    }.get(recipe.train.reward, "")


def _curriculum(told: Told) -> Iterator[str]:
    found, method = told.selection, told.recipe.selection.method
    if found:
        yield (
            f"{found['size']:,} of {found['corpus_tasks']:,} tasks, by `{method}`. Hash of the "
            f"curriculum `{found['contamination']['curriculum_hash']}`, of the target's "
            f"{found['contamination']['targets']:,} tasks "
            f"`{found['contamination']['target_hash']}`. In SIFT's model, {in_short(found)}."
        )
        yield (
            "Chosen from: "
            + ", ".join(
                f"{in_markdown(name)} {count:,}" for name, count in found["sources"].items()
            )
            + "."
        )
    following = told.recipe.train.curriculum.method
    if following != "static":
        yield f"While training, each step's tasks were chosen anew by `{following}` from a pool."
    if told.overlap:
        yield (
            f"Overlap with the target: {told.overlap['removed']:,} of "
            f"{told.overlap['corpus_tasks']:,} corpus tasks were removed before selection "
            f"(`overlap` in the recipe; {told.overlap['remaining_overlap']} of those left break "
            "the same rules). " + _worth_a_look(found.get("contamination", {}))
        )


def _worth_a_look(found: Json) -> str:
    """Of the certificate over all pairs of chosen tasks and targets."""
    if not found:
        return ""
    above = ", ".join(f"{n} {one['targets_above']}" for n, one in found["measures"].items())
    return (
        f"Afterwards {found['pairs_compared']:,} pairs of chosen tasks and targets were compared: "
        f"{found['targets_above_any']} of {found['targets']} targets have a chosen task above a "
        f"measure's threshold ({above})."
    )


def _training(told: Told) -> Iterator[str]:
    train, rows = told.recipe.train, told.steps
    last = rows[-1] if rows else {}
    rate = max((row["learning_rate"] for row in rows if "learning_rate" in row), default=None)
    facts = {
        "steps": last.get("step"),
        "rollouts a step": f"{train.tasks_per_step} tasks x {train.rollouts_per_task}",
        "generated tokens": f"{tokens:,.0f}" if (tokens := last.get("tokens/generated")) else None,
        "longest completion": f"{train.max_completion_tokens:,} tokens",
        "learning rate": None if rate is None else f"{rate:.3g} at its highest",
        "trained": _trained(told.recipe),
        "reward": f"majority of a group, {train.majority}" if train.majority else train.reward,
        "further settings of TRL": ", ".join(
            f"{key} {value}" for key, value in train.trl.items() if key != "hub_token"
        ),
        "guard": f"groups with fewer than {train.guard.min_successes} successes are dropped"
        if train.guard
        else None,
        "seed": told.recipe.seed,
    }  # fmt: skip
    yield _table(
        ["", ""], [[name, str(fact)] for name, fact in facts.items() if fact not in (None, "")]
    )
    if told.alarms:
        names = sorted({str(alarm["alarm"]) for alarm in told.alarms})
        yield f"Alarms while training: {', '.join(names)}."


def _trained(recipe: Recipe) -> str:
    train = recipe.train
    if train.lora:
        return f"LoRA of rank {train.lora.rank}"
    if train.svf:
        return "scales of singular values (SVF)"
    return "the parameters that another run had changed" if train.mask else "all parameters"


def _results(told: Told) -> Iterator[str]:
    if not told.evaluated:
        yield "Not evaluated yet."
        return
    rows: list[list[str]] = []
    for name, part in told.evaluated.items():
        mine = part.models[told.answers].metrics
        base = part.models["base"].metrics if "base" in part.models else {}
        gains = part.differences.get(f"{told.answers} - base", {})
        size = f"{part.tasks} x {part.samples}"
        for metric in shown(mine, every_k=False):
            before = share(base[metric]) if metric in base else ""
            gain = points(gains[metric]) if metric in gains else ""
            rows.append([name, size, metric, before, share(mine[metric]), gain])
    columns = ["benchmark", "tasks x samples", "metric", "base, %", "this model, %", "points"]
    yield _table(columns, rows)
    yield (
        "In brackets 95 % intervals over tasks; the last column is the paired difference on the "
        "same tasks. Another seed of training may differ by more. Undecided samples count as not "
        "correct." + _several(told)
    )
    if told.tried:
        yield told.tried


def _several(told: Told) -> str:
    arms = len(told.whole.arm_names)
    if arms == 1:
        return ""
    return f" The run trained {arms} arms; intervals are not widened for choosing among them."


def _retention(told: Told) -> Iterator[str]:
    kept = told.summary.retention.get(told.answers) if told.summary else None
    if kept is None:
        yield "Not measured: no benchmark unlike the target was evaluated."
        return
    rows = [
        [name, f"{100 * change.before:.1f}", f"{100 * change.after:.1f}", points(change)]
        for name, change in kept.benchmarks.items()
    ]
    yield sentence(told.answers, kept)
    yield _table(["benchmark", "before, %", "after, %", "points"], rows)


def _licences(told: Told) -> Iterator[str]:
    if not told.corpus:
        yield "Not recorded: the run was made by an earlier ttc-rl."
        return
    rows = [
        [
            *map(in_markdown, (_source(row), row.get("hub") or "")),
            f"{row['tasks']:,}",
            in_markdown(_licence(row)),
        ]
        for row in told.corpus
    ]
    yield "The corpus that the curriculum was chosen from, with each source's licence:"
    yield _table(["source", "hub", "tasks", "licence"], rows)


def _source(row: Json) -> str:
    if row["name"]:
        return Path(row["name"]).name if row["name"].startswith(("/", "~", ".")) else row["name"]
    if row.get("skills"):
        return "generated tasks: " + ", ".join(row["skills"].get("families") or ["all families"])
    return Path(row.get("path") or row.get("hub") or "").name


def _licence(row: Json) -> str:
    return row["licence"] or ("made by ttc-rl itself" if row.get("skills") else "not known")


def _reproduce(told: Told) -> Iterator[str]:
    packages = told.versions.get("packages", {})
    known = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    commit = told.versions.get("git_commit")
    yield "```bash\npip install 'ttc-rl[train]'\nttc-rl run recipe.yaml\n```"
    yield f"Made with {known or 'versions that are not known'}" + (
        f"; ttc-rl at commit `{commit}`." if commit else "."
    )
    recipe = public_recipe(told.whole)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", recipe)), default=0))
    yield f"<details><summary>recipe.yaml</summary>\n\n{fence}yaml\n{recipe}{fence}\n\n</details>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, [":--"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
