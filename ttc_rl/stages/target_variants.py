"""Variants of the targets, written by the model itself, for targets that the corpus cannot teach.

A remedy, and no more (after TTCS, arXiv 2601.22628): the base model writes problems like each
target, answers each several times, and a variant stays where its answers agree as far as at the
edge of what the model solves. The gold is the vote: nobody else has seen the problem.
variants.jsonl holds all that were written, with their votes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ttc_rl.config import VariantsConfig
from ttc_rl.config.marks import KEY
from ttc_rl.metrics.flops import Spent
from ttc_rl.run_dir import write_jsonl
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import BEFORE, Task, UserError, content_hash
from ttc_rl.stages.base_model import BaseModel
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.verifiers import Graders
from ttc_rl.verifiers.majority import check_voting, majority

logger = logging.getLogger(__name__)

ASK = """\
Here is a problem:

{prompt}

Write another problem of the same kind, with other numbers, names and details, and another answer. \
Write the problem alone, without its solution."""
SOURCE = "variants of the targets"
ANSWERED = re.compile(r"\W*(?:the |final |correct )*(?:answer|solution)\b", re.IGNORECASE)
"""Begins what is no problem: the model answered instead, and would agree with itself."""
LONGEST = 4
"""A variant may be so many times as long as its target, and 200 characters more."""
Draw = Callable[[Sequence[Task], int], list[Group]]
"""Draws so many completions of each task by the base model; nothing is graded."""


@dataclass(frozen=True)
class Variant:
    """A problem that the model wrote, and what its own answers to it say."""

    target_id: str
    task: Task
    share: float
    """Of its answers that agree."""
    label: str | None
    """The answer they agree on; None where they do not, or too little, or too much."""


def written_variants(job: Job, part: str, targets: Sequence[Task]) -> tuple[list[Task], Spent]:
    """Return the variants of the targets that stay for an arm, or an expert, with voted golds, and
    what they cost.

    No gold of a target is read. Raises UserError for kinds whose answers cannot vote, and for
    choices, whose options nobody would write.
    """
    from ttc_rl.selection.less.gradients import num_parameters

    recipe, folder = job.arm(part)
    config = recipe.selection.variants
    assert config is not None
    check_voting(targets, "selection.variants", job.graders)
    if any(task.kind == "choice" for task in targets):
        raise UserError(
            "selection.variants: a variant of a choice would need options; leave it out"
        )
    base = starting_model(recipe)
    spent, model = Spent(num_parameters(base)), BaseModel(base, recipe, job.run, job.graders)

    def draw(tasks: Sequence[Task], samples: int) -> list[Group]:
        groups = model.groups("variants", tasks, samples, grade=False)
        for group in groups:
            for tokens in group.tokens:
                spent.drawn(group.prompt_tokens, tokens)
        return groups

    try:
        found = variants(targets, draw, config, job.graders)
    finally:
        model.close()
    write_jsonl(folder.variants, ({**vars(one), "task": _row(one.task)} for one in found))
    tasks = [replace(one.task, gold=one.label) for one in found if one.label is not None]
    logger.info(
        f"variants: {len(found):,} written for {len(targets):,} targets, {len(tasks):,} at the edge"
    )
    return tasks, spent


def variants(
    targets: Sequence[Task], draw: Draw, config: VariantsConfig, graders: Graders
) -> list[Variant]:
    """Return what the model wrote for each target, with the vote of its own answers."""
    asks = [
        Task("variant", ASK.format(prompt=task.prompt), id=content_hash([ASK, task.id]))
        for task in targets
    ]
    seen = {_bare(task.prompt) for task in targets}
    written: list[tuple[Task, Task]] = []
    for target, group in zip(targets, draw(asks, config.per_target), strict=True):
        for text, finished in zip(group.texts, group.finished, strict=True):
            prompt = text.strip()
            most = LONGEST * len(target.prompt) + 200
            if not finished or not _bare(prompt) or len(prompt) > most or _bare(prompt) in seen:
                continue
            if ANSWERED.match(prompt):
                continue
            seen.add(_bare(prompt))
            kept = {key: target.meta[key] for key in (KEY, *BEFORE) if key in target.meta}
            meta = kept | {"variant_of": target.id}
            written.append((target, Task(target.kind, prompt, source=SOURCE, meta=meta)))
    answered = draw([task for _, task in written], config.samples) if written else []
    return [
        _voted(target, task, group, config, graders)
        for (target, task), group in zip(written, answered, strict=True)
    ]


def _voted(
    target: Task, task: Task, group: Group, config: VariantsConfig, graders: Graders
) -> Variant:
    vote = majority(task, group.texts, config.agree, graders)
    return Variant(target.id, task, vote.share, vote.label)


def _bare(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()


def _row(task: Task) -> dict[str, Any]:
    return {"id": task.id, "kind": task.kind, "prompt": task.prompt}


def bill(own: dict[str, Any] | None, spent: Spent | None) -> dict[str, Any] | None:
    """Return selection's bill with what the variants cost."""
    if spent is None:
        return own
    more = spent.as_dict()
    if own is None:
        return more
    counted = ("completions", "generated_tokens", "forwarded_tokens", "backpropagated_tokens")
    both = {key: own[key] + more[key] for key in (*counted, "flops")}
    lengths = [part for part in (own, more) if part["tokens_a_rollout"] is not None]
    tokens = sum(part["tokens_a_rollout"] * part["completions"] for part in lengths)
    return {**own, **both, "tokens_a_rollout": tokens / both["completions"] if lengths else None}
