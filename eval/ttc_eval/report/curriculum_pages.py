"""pages/curriculum-ARM.html: from a pick to the targets that it is near, and from a target back.

A pick and a target belong together where the target is the pick's nearest, or the pick is the
target's nearest. So every pick has a target and every target has a pick, also one that no pick has
as its nearest. What a pick took off other targets' variance is in none of the run's files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from ttc_eval.compare.summary import Json
from ttc_eval.report import page
from ttc_eval.report.addresses import REPORT, curriculum_file, task_page
from ttc_eval.report.material import Material
from ttc_eval.report.templates import part
from ttc_rl.run_dir import (
    SELECT_ANEW,
    ArmDir,
    check_vouched,
    read_json,
    read_jsonl,
    write_text,
)


def browsable(folder: ArmDir) -> bool:
    """Return whether an arm's files say which picks and which targets there are."""
    return folder.curriculum.exists() and folder.selection.exists()


def write_curriculum_pages(material: Material) -> None:
    """Write a page for each arm, or expert, that has a curriculum."""
    tasks = next(iter(material.on_target.values())).tasks if material.on_target else []
    numbers = {task["task_id"]: number for number, task in enumerate(tasks, 1)}
    for name in material.arms:
        folder = material.run.arm(name, material.recipe)
        if browsable(folder):
            fix = SELECT_ANEW.format(folder.selection)
            check_vouched(folder.selection, fix, folder.curriculum, folder.contamination)
            material.run.pages.mkdir(parents=True, exist_ok=True)
            path = material.run.pages / curriculum_file(name)
            write_text(path, _page(f"{name}, {material.run.root.name}", folder, numbers))


def _page(name: str, folder: ArmDir, numbers: Mapping[str, int]) -> str:
    picks, targets = list(read_jsonl(folder.curriculum)), read_json(folder.selection)["targets"]
    contamination = list(read_jsonl(folder.contamination)) if folder.contamination.exists() else []
    targets_of, picks_of = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for pick, target in together(picks, len(targets), contamination):
        targets_of[pick].append(target)
        picks_of[target].append(pick)
    inside = part(
        "browser",
        picks=[_pick(row, targets_of[i]) for i, row in enumerate(picks)],
        targets=[_target(target, picks_of[i], numbers) for i, target in enumerate(targets)],
    )
    note = (
        "A pick and a target belong together where the target is the pick's nearest, or the pick "
        "the target's nearest, by the cosine of their embeddings. Choose one to see its partners."
    )
    sections: list[tuple[str, str, Markup]] = [
        ("browse", "Picks and targets", page.paragraph(note, "note") + inside)
    ]
    lead = f"{len(picks):,} picks for {len(targets):,} targets."
    return page.page(f"Curriculum {name}", f"Curriculum {name}", lead, sections,
                     links=[(REPORT, "Report")])  # fmt: skip


def together(
    picks: Sequence[Json], targets: int, contamination: Sequence[Json]
) -> list[tuple[int, int]]:
    """Return the pairs (pick, target) that belong together, by place, each once, in order."""
    pairs = {(i, row["nearest_target"]) for i, row in enumerate(picks)}
    for target, row in enumerate(contamination):
        nearest = row.get("cosine", {}).get("rank")
        if nearest is not None:
            pairs.add((nearest, target))
    return sorted((p, t) for p, t in pairs if 0 <= p < len(picks) and 0 <= t < targets)


def _pick(row: Json, targets: Sequence[int]) -> Json:
    task = row["task"]
    facts = [task.get("source") or "", f"gain {row['gain']:.3g}", f"cosine {row['similarity']:.2f}"]
    return {
        "prompt": task["prompt"],
        "about": ", ".join(filter(None, facts)),
        "partners": [f"target-{target + 1}" for target in targets],
        "address": "",
    }


def _target(target: Json, picks: Sequence[int], numbers: Mapping[str, int]) -> Json:
    left = target.get("uncertainty") or {}
    number = numbers.get(target.get("task_id", ""))
    return {
        "prompt": target["prompt"],
        "about": f"{left['after'] / left['start']:.0%} of its variance left"
        if left.get("start")
        else "",
        "partners": [f"pick-{pick + 1}" for pick in picks],
        "address": task_page(number) if number else "",
    }
