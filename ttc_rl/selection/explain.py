"""A selection in words that a person can check before any GPU is spent. Markdown, so text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ttc_rl.printable import in_markdown

BARS = "▁▂▃▄▅▆▇█"
TARGETS_SHOWN = 40
PICKS_PER_TARGET = 3
FAR = 0.5
"""A target is not covered where observing the whole corpus leaves more than this share of it."""
NEAR = 0.9
"""A pick is shown as near to a target from this cosine on."""
Json = Mapping[str, Any]


def explain(summary: Json, rows: Sequence[Json]) -> str:
    """What was selected and how good it is: curve, mix, what is and is not covered, first picks.

    `summary` is what selection.json holds, `rows` what curriculum.jsonl holds.
    """
    parts = [_head, _curve, _mix, _coverage, _near, _contamination, _targets]
    return "\n".join([*(line for part in parts for line in part(summary, rows)), ""])


def uncovered(summary: Json) -> list[Json]:
    """Targets of which even the whole corpus would leave more than half unknown."""
    return [
        target
        for target in summary["targets"]
        if target["uncertainty"]["floor"] > FAR * target["uncertainty"]["start"]
    ]


def near_picks(rows: Sequence[Json]) -> list[Json]:
    """Picks with a cosine of `NEAR` or more with a target, nearest first."""
    return sorted(
        (row for row in rows if row["similarity"] >= NEAR), key=lambda row: -row["similarity"]
    )


def _head(summary: Json, _: Sequence[Json]) -> list[str]:
    size, share = summary["size"], summary["certificate"]["share"]
    lines = [
        f"# {size:,} of {summary['corpus_tasks']:,} corpus tasks for "
        f"{len(summary['targets']):,} target tasks, by {summary['method']}",
        "",
        f"Certified: at least {share:.1%} of what any {size:,} tasks of this corpus can remove of "
        "the targets' variance.",
    ]
    around = summary.get("duplication")
    if around:
        kind = "repeats itself" if around["share"] >= 0.2 else "hardly repeats itself"
        lines += [
            "",
            f"The corpus {kind} around the targets: of a target's {around['neighbours']} nearest "
            f"tasks {around['share']:.0%} have a near-duplicate among them (cosine "
            f"{around['alike']} or more), and {around['distinct']:.0f} differ. The more it does, "
            "the more SIFT has over nearest neighbours.",
        ]
    return [*lines, ""]


def _curve(summary: Json, rows: Sequence[Json]) -> list[str]:
    """Where the summed target variance stands after 1, 2, 4, ... picks, and what each adds."""
    start, floor = summary["uncertainty"]["start"], summary["uncertainty"]["floor"]
    values = [start, *(row["uncertainty"] for row in rows)]
    points = [0, *(2**i for i in range(len(values)) if 2**i < len(values) - 1), len(values) - 1]
    span = max(start - floor, 1e-12)
    lines = [
        "## Uncertainty about the targets",
        "",
        f"Summed posterior variance: {start:.3f} before, {values[-1]:.3f} after; observing the "
        f"whole corpus would leave {floor:.3f}.",
        "",
        "| picks | uncertainty | last gain | of the removable, removed | |",
        "|--:|--:|--:|--:|:--|",
    ]
    for n in dict.fromkeys(points):
        share = (start - values[n]) / span
        bar = BARS[min(max(int(share * len(BARS)), 0), len(BARS) - 1)]
        gain = f"{values[n - 1] - values[n]:.2g}" if n else ""
        bars = bar * max(1, round(20 * share))
        lines.append(f"| {n:,} | {values[n]:.3f} | {gain} | {share:.1%} | {bars} |")
    return [*lines, ""]


def _mix(summary: Json, rows: Sequence[Json]) -> list[str]:
    lines = [
        "## Where the tasks come from",
        "",
        "| source | chosen | in the corpus | lift |",
        "|:--|--:|--:|--:|",
    ]
    for source, count in summary["sources"].items():
        there = summary["corpus_sources"][source]
        lift = (count / summary["size"]) / (there / summary["corpus_tasks"])
        lines.append(f"| {in_markdown(source)} | {count:,} | {there:,} | {lift:.1f}x |")
    none = [name for name in summary["corpus_sources"] if name not in summary["sources"]]
    lines += [f"| none from | {', '.join(map(in_markdown, none))} | | |"] if none else []
    for key in ("level", "difficulty", "subject"):
        values = [str(meta[key]) for row in rows if key in (meta := row["task"].get("meta", {}))]
        if values:
            shares = ", ".join(
                f"{in_markdown(name)} {n:,}" for name, n in Counter(values).most_common(12)
            )
            lines += ["", f"By {key}, where the task says it ({len(values):,} do): {shares}."]
    return [*lines, ""]


def _coverage(summary: Json, _: Sequence[Json]) -> list[str]:
    far, lines = uncovered(summary), ["## Targets that this corpus cannot teach", ""]
    if not far:
        return [*lines, f"None: the corpus can remove {1 - FAR:.0%} or more of each.", ""]
    lines += [
        f"**{len(far)} of {len(summary['targets'])} targets are not covered:** with all of the "
        f"corpus observed, more than {FAR:.0%} of their variance would be left.",
        "",
    ]
    return [*lines, *(f"- {_line(target['prompt'])}" for target in far[:TARGETS_SHOWN]), ""]


def _near(summary: Json, rows: Sequence[Json]) -> list[str]:
    """Picks that look like a target: worth a look, whatever the overlap rules said."""
    near = near_picks(rows)
    lines = ["## Picks nearest to a target", ""]
    if not near:
        return [*lines, f"No pick has a cosine of {NEAR} or more with a target.", ""]
    lines += [
        f"{len(near):,} picks have a cosine of {NEAR} or more with a target; the nearest:",
        "",
    ]
    for row in near[:10]:
        target = summary["targets"][row["nearest_target"]]["prompt"]
        task = row["task"]
        source, prompt = in_markdown(task["source"]), _line(task["prompt"])
        lines.append(f"- {row['similarity']:.3f}, {source}: {prompt}")
        lines.append(f"    - target: {_line(target)}")
    return [*lines, ""]


def _contamination(summary: Json, _: Sequence[Json]) -> list[str]:
    """The certificate of overlap.certificate: how close any chosen task comes to any target."""
    found = summary["contamination"]
    lines = [
        "## Is the test in the training set?",
        "",
        f"All {found['pairs_compared']:,} pairs of a chosen task and a target were compared; "
        f"{found['targets_above_any']:,} of {found['targets']:,} targets reach a threshold and are "
        "worth a look in contamination.jsonl. Sets: curriculum "
        f"`{found['curriculum_hash']}`, target `{found['target_hash']}`.",
        "",
        "| nearest task to each target, by | greatest | median | threshold | targets at or above "
        "it | of those with an equal answer |",
        "|:--|--:|--:|--:|--:|--:|",
    ]
    for name, one in found["measures"].items():
        lines.append(
            f"| {name} | {one['max']:.3g} | {one['median']:.3g} | {one['threshold']:g} | "
            f"{one['targets_above']:,} | {one['same_answer']:,} |"
        )
    return [*lines, ""]


def _targets(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["## First picks nearest to each target", ""]
    for number, target in enumerate(summary["targets"][:TARGETS_SHOWN]):
        own = [row for row in rows if row["nearest_target"] == number]
        lines.append(f"- **{_line(target['prompt'])}** ({len(own)} picks)")
        for row in own[:PICKS_PER_TARGET]:
            task = row["task"]
            source, prompt = in_markdown(task["source"]), _line(task["prompt"])
            lines.append(
                f"    - #{row['rank'] + 1}, cosine {row['similarity']:.2f}, {source}: {prompt}"
            )
    more = len(summary["targets"]) - TARGETS_SHOWN
    return [*lines, *([f"- ... and {more:,} more targets"] if more > 0 else [])]


def _line(text: str, width: int = 110) -> str:
    """Shortened, and as a code span, so that its LaTeX is shown as it is written."""
    flat = " ".join(text.split()).replace("`", "'")
    return f"`{flat if len(flat) <= width else flat[: width - 3] + '...'}`"
