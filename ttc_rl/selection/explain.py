"""A selection in words that a person can check before any GPU is spent. Markdown, so text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BARS = "▁▂▃▄▅▆▇█"
TARGETS_SHOWN = 40
PICKS_PER_TARGET = 3
FAR = 0.5
"""A target is not covered where observing the whole corpus leaves more than this share of it."""


def explain(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Source mix, uncertainty curve, and the first picks nearest to each target.

    `summary` is what selection.json holds, `rows` what curriculum.jsonl holds.
    """
    return "\n".join(
        [
            *_head(summary),
            *_curve(summary, rows),
            *_mix(summary),
            *_contamination(summary["contamination"]),
            *_targets(summary, rows),
            "",
        ]
    )


def _head(summary: Mapping[str, Any]) -> list[str]:
    return [
        f"# {summary['size']:,} of {summary['corpus_tasks']:,} corpus tasks for "
        f"{len(summary['targets']):,} target tasks, by {summary['method']}",
        "",
    ]


def _curve(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where the summed target variance stands after 1, 2, 4, ... picks."""
    start, floor = summary["uncertainty"]["start"], summary["uncertainty"]["floor"]
    values = [start, *(row["uncertainty"] for row in rows)]
    points = [0, *(2**i for i in range(len(values)) if 2**i < len(values) - 1), len(values) - 1]
    span = max(start - floor, 1e-12)
    lines = [
        "## Uncertainty about the targets",
        "",
        f"Summed posterior variance: {start:.3f} before, {values[-1]:.3f} after; observing the "
        f"whole corpus would leave {floor:.3f}. The curriculum removes "
        f"{(start - values[-1]) / span:.1%} of what this corpus can remove, and, certified, at "
        f"least {summary['certificate']['share']:.1%} of what any {summary['size']:,} of its tasks "
        "can.",
        "",
        "| picks | uncertainty | share of the removable, removed | |",
        "|--:|--:|--:|:--|",
    ]
    for n in dict.fromkeys(points):
        share = (start - values[n]) / span
        bar = BARS[min(int(share * len(BARS)), len(BARS) - 1)]
        lines.append(
            f"| {n:,} | {values[n]:.3f} | {share:.1%} | {bar * max(1, round(20 * share))} |"
        )
    return [*lines, ""]


def _uncovered(summary: Mapping[str, Any]) -> list[str]:
    """Targets of which even the whole corpus would leave more than half unknown."""
    far = [
        target
        for target in summary["targets"]
        if target["uncertainty"]["floor"] > FAR * target["uncertainty"]["start"]
    ]
    if not far:
        return [
            f"Every target is covered: the corpus can remove {1 - FAR:.0%} or more of each.",
            "",
        ]
    lines = [
        f"**{len(far)} of {len(summary['targets'])} targets are not covered by this corpus:**",
        "",
    ]
    return [*lines, *(f"- {_line(target['prompt'])}" for target in far[:TARGETS_SHOWN]), ""]


def _mix(summary: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Where the tasks come from",
        "",
        "| source | chosen | in the corpus | lift |",
        "|:--|--:|--:|--:|",
    ]
    for source, count in summary["sources"].items():
        there = summary["corpus_sources"][source]
        lift = (count / summary["size"]) / (there / summary["corpus_tasks"])
        lines.append(f"| {source} | {count:,} | {there:,} | {lift:.1f}x |")
    none = [name for name in summary["corpus_sources"] if name not in summary["sources"]]
    return [*lines, *([f"| none from | {', '.join(none)} | | |"] if none else []), ""]


def _contamination(found: Mapping[str, Any]) -> list[str]:
    """The certificate of overlap.certificate: how close any chosen task comes to any target."""
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
            lines.append(
                f"    - #{row['rank'] + 1}, cosine {row['similarity']:.2f}, {task['source']}: "
                f"{_line(task['prompt'])}"
            )
    more = len(summary["targets"]) - TARGETS_SHOWN
    return [*lines, *([f"- ... and {more:,} more targets"] if more > 0 else [])]


def _line(text: str, width: int = 110) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 3] + "..."
