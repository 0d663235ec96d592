"""What several selections chose, side by side, as Markdown: made from their run folders alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ttc_eval.compare.summary import Json
from ttc_rl.corpus.benchmarks import target_name
from ttc_rl.run_dir import ArmDir, RunDir, read_json, read_jsonl
from ttc_rl.selection.explain import uncovered

SOURCES_SHOWN = 6
HEAD = """# Selections

One `ttc-rl select` for each target, from the same corpus; the command wrote this page. *Variance*
is the targets' summed posterior variance under SIFT's model, *floor* what observing all of the
corpus would leave, *certified share* how much of what any curriculum of this size could remove
this one removes at least. All three speak of the embeddings' geometry: a target that counts as
covered may still be beyond the model. *Near-duplicates around*: of a
target's nearest tasks, how many have a near-duplicate among them; the more, the more SIFT has
over nearest neighbours.
"""
Named = tuple[str, ArmDir, RunDir]


def selections_markdown(runs: Sequence[RunDir]) -> str:
    """Return tables over targets: certificate and coverage, the sources of the picks, the
    overlap."""
    arms: list[Named] = []
    for run in runs:
        recipe = run.load_recipe()
        for arm in run.parts(recipe):
            name = target_name(recipe.targets) + (f", {arm}" if recipe.arms or "/" in arm else "")
            arms.append((name, run.arm(arm, recipe), run))
    read = {name: read_json(folder.selection) for name, folder, _ in arms}
    parts = [
        _curricula(read),
        _sources(read),
        _overlap({name: run for name, _, run in arms}),
        _left(read),
        _uncovered(read),
    ]
    return "\n".join([HEAD, *(line for part in parts for line in [*part, ""])])


def _curricula(read: Mapping[str, Json]) -> list[str]:
    lines = [
        "**What each curriculum does for its target**",
        "",
        "| target | tasks | corpus | picks | variance before -> after (floor) | certified share "
        "| not covered | near-duplicates around | seconds |",
        "|:--|--:|--:|--:|:--|--:|--:|--:|--:|",
    ]
    for name, selection in read.items():
        start, after, floor = (selection["uncertainty"][at] for at in ("start", "after", "floor"))
        lines.append(
            f"| {name} | {len(selection['targets']):,} | {selection['corpus_tasks']:,} "
            f"| {selection['size']:,} | {start:.1f} -> {after:.2f} ({floor:.2f}) "
            f"| {_certified(selection)} | {len(uncovered(selection)):,} "
            f"| {selection['duplication']['share']:.0%} | {selection['seconds']:.1f} |"
        )
    return lines


def _sources(read: Mapping[str, Json]) -> list[str]:
    lines = [
        "**Where the picks come from** (share of the picks; in brackets, times its share of the "
        "corpus)",
        "",
    ]
    for name, selection in read.items():
        parts = [
            f"{source} {count / selection['size']:.0%} ({_lift(selection, source):.1f}x)"
            for source, count in list(selection["sources"].items())[:SOURCES_SHOWN]
        ]
        lines.append(f"- {name}: {', '.join(parts)}")
    return lines


def _lift(selection: Json, source: str) -> float:
    there = selection["corpus_sources"][source] / selection["corpus_tasks"]
    return selection["sources"][source] / selection["size"] / there


def _overlap(runs: Mapping[str, RunDir]) -> list[str]:
    lines = [
        "**Corpus tasks removed before selection**",
        "",
        "| target | removed | targets hit | by rule | by source |",
        "|:--|--:|--:|:--|:--|",
    ]
    for name, run in runs.items():
        rows = list(read_jsonl(run.overlap))
        hit = len({row["target_id"] for row in rows})
        rules, sources = (_counted(row[key] for row in rows) for key in ("rule", "source"))
        lines.append(f"| {name} | {len(rows):,} | {hit:,} | {rules} | {sources} |")
    return lines


def _left(read: Mapping[str, Json]) -> list[str]:
    """Return what deserves a look in the certificate of the chosen tasks."""
    measures = list(next(iter(read.values()))["contamination"]["measures"])
    lines = [
        "**What is left among the chosen tasks**: targets that one of them comes near to, by any "
        "measure and by each (with how many golds equal); the greatest in brackets",
        "",
        f"| target | any | {' | '.join(measures)} |",
        "|:--|--:|" + ":--|" * len(measures),
    ]
    for name, selection in read.items():
        contamination = selection["contamination"]
        cells = [
            f"{m['targets_above']:,} ({m['same_answer']:,} equal; {m['max']:.2g})"
            for m in contamination["measures"].values()
        ]
        lines.append(f"| {name} | {contamination['targets_above_any']:,} | {' | '.join(cells)} |")
    return lines


def _certified(selection: Json) -> str:
    return f"{selection['certificate']['share']:.1%}" if selection["method"] == "sift" else "-"


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in Counter(names).most_common()) or "-"


def _uncovered(read: Mapping[str, Json]) -> list[str]:
    lines = ["**Targets that the corpus does not cover** (hardly more than a random direction)"]
    for name, selection in read.items():
        far = uncovered(selection)
        if far:
            prompts = [" ".join(target["prompt"].split())[:90] for target in far[:3]]
            lines += ["", f"- {name}: {len(far):,} of {len(selection['targets']):,}, such as:"]
            lines += [f"    - {prompt}" for prompt in prompts]
    return lines if len(lines) > 1 else [*lines, "", "None."]
