"""The files of a run that say what was kept out of its corpus, and why."""

from __future__ import annotations

import logging
from dataclasses import asdict

from ttc_rl.corpus.overlap.cleaning import Cleaned
from ttc_rl.corpus.overlap.dedupe import duplicates_report
from ttc_rl.run_dir import write_jsonl, write_sealed
from ttc_rl.schema import Task
from ttc_rl.stages.job import Job
from ttc_rl.verifiers.same_gold import same_golds

logger = logging.getLogger(__name__)


def write_overlap(job: Job, cleaned: Cleaned, corpus: list[Task], targets: list[Task]) -> None:
    """Write what was removed and why: overlap.jsonl, duplicates.jsonl, and the counts of both."""
    by_id = {task.id: task for task in (*targets, *corpus)}
    target_prompts = {task.id: task.prompt for task in targets}
    rows = [
        asdict(removed)
        | {
            "prompt": by_id[removed.task_id].prompt,
            "source": by_id[removed.task_id].source,
            "target_prompt": target_prompts[removed.target_id],
        }
        for removed in cleaned.overlap.removed
    ]
    pairs = [(by_id[duplicate.task_id], by_id[duplicate.of_id]) for duplicate in cleaned.duplicates]
    same = same_golds(pairs, job.graders)
    repeats = [
        asdict(duplicate)
        | {
            "same_gold": same_gold,
            "prompt": by_id[duplicate.task_id].prompt,
            "of": by_id[duplicate.of_id].prompt,
        }
        for duplicate, same_gold in zip(cleaned.duplicates, same, strict=True)
    ]
    write_jsonl(job.run.overlap, rows)
    write_jsonl(job.run.duplicates, repeats)
    report = duplicates_report(cleaned.duplicates, same)
    write_sealed(
        job.run.overlap.with_suffix(".json"),
        cleaned.overlap.report() | {"duplicates": report},
        job.run.overlap,
    )
    logger.info(
        f"overlap: {len(rows):,} corpus tasks removed, {len(cleaned.tasks):,} left; "
        f"{len(repeats):,} near-copies of others went too"
    )
