"""A selection in words that a person can check before any GPU is spent. Markdown, so text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from ttc_rl.system.printable import in_markdown

BARS = "▁▂▃▄▅▆▇█"
TARGETS_SHOWN = 40
PICKS_PER_TARGET = 3
COVERED, FAR = 0.3, 0.65
"""What observing the whole corpus leaves of a target, as a share of what it leaves of a random
direction: up to the first the target is covered, above the second it is not. With lambda 0.1 and
MiniLM, held-out problems of SVAMP have 0.02 to 0.18 with SVAMP as the corpus, AIME 2025 0.34 to
0.70, sentences that are no mathematics 0.57 to 0.85."""
VERDICTS = "covered", "hardly covered", "not covered"
NEAR = 0.9
"""A pick is shown as near to a target from this cosine on."""
Json = Mapping[str, Any]


def explain(summary: Json, rows: Sequence[Json]) -> str:
    """Describe what was selected and how good it is: curve, mix, what is and is not covered, first
    picks.

    `summary` is what selection.json holds, `rows` what curriculum.jsonl holds.
    """
    parts = [_head, _curve, _mix, _coverage, _near, _contamination, _targets]
    return "\n".join([*(line for part in parts for line in part(summary, rows)), ""])


def verdicts(summary: Json) -> dict[str, list[Json]] | None:
    """Return the targets by what the corpus can teach them; None for a selection by an earlier
    ttc-rl, which did not measure it."""
    random = summary.get("uncertainty", {}).get("random")
    if random is None:
        return None
    targets_of: dict[str, list[Json]] = {verdict: [] for verdict in VERDICTS}
    for target in summary["targets"]:
        share = floor_share(target, random)
        targets_of[VERDICTS[(share > COVERED) + (share > FAR)]].append(target)
    return targets_of


def floor_share(target: Json, random: Json) -> float:
    """Return the share of a target's variance that the whole corpus leaves, over that of a random
    direction."""
    uncertainty = target["uncertainty"]
    return uncertainty["floor"] / (uncertainty["start"] * random["floor"])


def uncovered(summary: Json) -> list[Json]:
    """Return the targets that are about as far from the whole corpus as a random direction."""
    targets_of = verdicts(summary)
    return [] if targets_of is None else targets_of[VERDICTS[-1]]


def in_short(summary: Json) -> str:
    """Say how much of the targets' variance remains; for SIFT also how near that is to the best."""
    uncertainty = summary["uncertainty"]
    line = f"uncertainty about the target {uncertainty['start']:.2f} -> {uncertainty['after']:.2f}"
    return f"{line}; {certified(summary)}" if summary["method"] == "sift" else line


def certified(summary: Json) -> str:
    """Say how near SIFT comes to the best curriculum. The bound is of SIFT's objective, and says
    little of another."""
    return (
        f"certified to remove at least {summary['certificate']['share']:.1%} of what any "
        f"{summary['size']:,} tasks of this corpus can remove of the targets' variance"
    )


def near_picks(rows: Sequence[Json]) -> list[Json]:
    """Return the picks with a cosine of `NEAR` or more with a target, nearest first."""
    return sorted(
        (row for row in rows if row["similarity"] >= NEAR), key=lambda row: -row["similarity"]
    )


def _head(summary: Json, _: Sequence[Json]) -> list[str]:
    size, text = summary["size"], in_short(summary)
    lines = [
        f"# {size:,} of {summary['corpus_tasks']:,} corpus tasks for "
        f"{len(summary['targets']):,} target tasks, by {summary['method']}",
        "",
        f"{text[0].upper()}{text[1:]}.",
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
    """Say how large the summed target variance is after 1, 2, 4, ... picks, and what each adds."""
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
    targets_of, lines = verdicts(summary), ["## What this corpus can teach of the targets", ""]
    if targets_of is None:
        return [*lines, "Not measured: the selection is an earlier version's.", ""]
    lines += [
        "Variance left of a target, as a share of what is left of a random direction: by all of "
        "the corpus, and by this curriculum.",
        "",
        "| verdict | targets | by the corpus | by the curriculum | greatest cosine |",
        "|:--|--:|:--|:--|:--|",
    ]
    random = summary["uncertainty"]["random"]
    for verdict, targets in targets_of.items():
        if targets:
            rows = [t["uncertainty"] for t in targets]
            shares = [[r[k] / (r["start"] * random[k]) for r in rows] for k in ("floor", "after")]
            cells = [_range(values) for values in (*shares, [r["cosine"] for r in rows])]
            lines.append(f"| {verdict} | {len(targets):,} | {' | '.join(cells)} |")
    far = targets_of[VERDICTS[-1]]
    if far:
        lines += ["", f"**{len(far)} of {len(summary['targets'])} targets are not covered:**", ""]
        lines += [f"- {_line(target['prompt'])}" for target in far[:TARGETS_SHOWN]]
    return [*lines, ""]


def _range(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _near(summary: Json, rows: Sequence[Json]) -> list[str]:
    """List the picks that are near a target: they deserve a look, whatever the overlap rules
    say."""
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
    """Say how near any chosen task comes to any target, by the certificate of
    overlap.certificate."""
    certificate = summary["contamination"]
    lines = [
        "## Is the test in the training set?",
        "",
        f"All {certificate['pairs_compared']:,} pairs of a chosen task and a target were compared; "
        f"{certificate['targets_above_any']:,} of {certificate['targets']:,} targets are worth a "
        "look in contamination.jsonl: they reach a threshold, and where targets reach it among "
        "themselves, they are twice as near to a task. Sets: curriculum "
        f"`{certificate['curriculum_hash']}`, target `{certificate['target_hash']}`.",
        "",
        "| nearest task to each target, by | greatest | median | threshold | targets among "
        "themselves | worth a look | of those with an equal answer |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for name, measure in certificate["measures"].items():
        lines.append(
            f"| {name} | {measure['max']:.3g} | {measure['median']:.3g} "
            f"| {measure['threshold']:g} | {measure.get('siblings', 0):.3g} | "
            f"{measure['targets_above']:,} | {measure['same_answer']:,} |"
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
    """Return a text shortened, as a code span, so that its LaTeX is shown as it is written."""
    flat = " ".join(text.split()).replace("`", "'")
    return f"`{flat if len(flat) <= width else flat[: width - 3] + '...'}`"
