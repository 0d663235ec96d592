"""The first stage of a run: corpus and target to the curriculum of every arm."""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ttc_rl.config.marks import with_marks
from ttc_rl.run_dir import read_experts, write_json, write_jsonl, write_sealed, write_text
from ttc_rl.schema import Task, UserError
from ttc_rl.selection.unfinished import Unfinished
from ttc_rl.stages.job import Job, check_extras, starting_model
from ttc_rl.stages.own_code import own_selector
from ttc_rl.system.ranks import alone

if TYPE_CHECKING:
    from ttc_rl.config import Recipe
    from ttc_rl.run_dir import ArmDir

logger = logging.getLogger(__name__)


def select(job: Job) -> None:
    """Select from the corpus: write curriculum.jsonl and selection.json of every arm, and
    overlap.jsonl."""
    alone("select")

    from ttc_rl.stages.same_tasks import check_corpus, hash_of, read_targets, record, selected

    def whole(arm: str) -> bool:
        return all(selected(job, part) for part in job.parts_of(arm))

    choosing = [name for name in job.recipe.arm_names if job.recipe.arm(name).policy.selects]
    arms = [name for name in choosing if not whole(name)]
    if not arms:
        logger.info("curriculum: there already")
        return
    import numpy as np

    from ttc_rl.corpus.benchmarks import target_shares, together
    from ttc_rl.corpus.overlap.cleaning import clean, clean_near, needs_embeddings
    from ttc_rl.corpus.sources import load_corpus
    from ttc_rl.embed import POLICY, embed
    from ttc_rl.selection.duplication import duplication
    from ttc_rl.stages.checks import check_run
    from ttc_rl.stages.holdout import hold_out
    from ttc_rl.stages.inputs import NEEDS_MODEL
    from ttc_rl.stages.removed_tasks import write_overlap
    from ttc_rl.stages.target_variants import written_variants
    from ttc_rl.vectors import rows_of
    from ttc_rl.verifiers.golds import check_readable

    choices = [job.arm(name)[0].selection for name in arms]
    if any(choice.method in NEEDS_MODEL or choice.variants for choice in choices):
        check_extras(job.recipe)
    check_run(job.recipe, job.run, ["select"])
    started = time.perf_counter()
    loaded = load_corpus(job.recipe.corpus, job.recipe.data, job.recipe.verifiers)
    loaded = replace(loaded, tasks=with_marks(loaded.tasks, job.recipe.answer_marks))
    check_corpus(job, loaded)
    check_readable(loaded.tasks, job.recipe.max_unreadable, job.graders)
    targets = read_targets(job)
    target, shares = together(targets), functools.partial(target_shares, targets=targets)
    check_readable(target.tasks, job.recipe.max_unreadable, job.graders)
    _log_problems([*loaded.problems, *target.problems])
    logger.info(
        f"corpus: {len(loaded.tasks):,} tasks ({loaded.duplicates:,} exact duplicates left out); "
        f"target {target.name}: {len(target.tasks):,} tasks"
    )
    cleaned = clean(loaded.tasks, target.tasks, job.recipe.overlap)
    write_overlap(job, cleaned, loaded.tasks, target.tasks)
    corpus = cleaned.tasks
    record(job, loaded, targets)
    config = job.recipe.embedding
    policy = starting_model(job.recipe) if config.model == POLICY else None
    corpus_ND = embed(corpus, config, policy=policy)
    target_MD = embed(target.tasks, config, policy=policy)[:]
    if needs_embeddings(job.recipe.overlap):
        cleaned, rows = clean_near(cleaned, target.tasks, corpus_ND, target_MD)
        write_overlap(job, cleaned, loaded.tasks, target.tasks)
        corpus, corpus_ND = cleaned.tasks, rows_of(corpus_ND, rows)
    rows = hold_out(job, corpus, target.tasks, corpus_ND, target_MD)
    if len(rows) < len(corpus):
        corpus, corpus_ND = [corpus[row] for row in rows], rows_of(corpus_ND, rows)
    common = {
        "bad_rows": loaded.problems,
        "duplicates": loaded.duplicates,
        "duplication": duplication(corpus_ND, target_MD).as_dict(),
    }
    for name in arms:
        for part, rows in _groups(job, name, target.tasks, target_MD).items():
            if selected(job, part):
                continue
            seconds, theirs = time.perf_counter() - started, [target.tasks[row] for row in rows]
            arm = job.arm(part)[0]
            near = arm.selection.leave_nearest
            own, own_ND = _without_nearest(corpus, corpus_ND, target_MD, near)
            about = common | {
                "tasks": {"corpus": hash_of(own), "target": hash_of(theirs)},
                "left_out_as_nearest": len(corpus) - len(own),
            }
            if arm.selection.variants is not None:
                more, about["variants"] = written_variants(job, part, theirs)
                if more:
                    vectors = embed(more, config, policy=policy)[:]
                    own, own_ND = [*own, *more], np.concatenate([own_ND[:], vectors])
            weights = _weights(theirs, arm, shares)
            _select_arm(job, part, own, theirs, own_ND, target_MD[rows], weights, about, seconds)


def _without_nearest(
    corpus: list[Task], corpus_ND: Any, target_MD: Any, count: int
) -> tuple[list[Task], Any]:
    """Return the corpus without each target's `count` nearest tasks, and its vectors."""
    import numpy as np

    from ttc_rl.corpus.overlap.near import nearest_tasks
    from ttc_rl.vectors import rows_of

    if not count:
        return corpus, corpus_ND
    rows = np.delete(np.arange(len(corpus)), nearest_tasks(corpus_ND, target_MD, count).i)
    if not len(rows):
        raise UserError(f"selection.leave_nearest: {count} a target leave no task of the corpus")
    return [corpus[row] for row in rows], rows_of(corpus_ND, rows)


def _groups(job: Job, name: str, targets: list[Task], target_MD: Any) -> dict[str, list[int]]:
    """Return the rows of the targets that each part of an arm is for: all, or each expert's own."""
    from ttc_rl.selection.groups import target_groups

    recipe, folder = job.arm(name)
    if recipe.experts is None:
        return {name: list(range(len(targets)))}
    if not folder.experts.exists():
        groups = target_groups(target_MD, recipe.experts.groups, recipe.seed)
        digits = len(str(len(groups) - 1))
        experts = [
            {"name": f"e{i:0{digits}d}", "targets": [targets[row].id for row in rows]}
            for i, rows in enumerate(groups)
        ]
        write_json(folder.experts, experts)
        logger.info(f"{name}: {len(groups)} experts for {len(targets)} targets")
    row_of = {task.id: row for row, task in enumerate(targets)}
    return {
        f"{name}/{expert['name']}": [row_of[task_id] for task_id in expert["targets"]]
        for expert in read_experts(folder.experts)
    }


def _select_arm(
    job: Job,
    name: str,
    corpus: list[Task],
    targets: list[Task],
    corpus_ND: Any,
    target_MD: Any,
    weights: list[float] | None,
    common: dict[str, Any],
    preparation_seconds: float,
) -> None:
    import numpy as np

    variants = common.pop("variants", None)

    from ttc_rl.corpus.overlap.certificate import certify_overlap
    from ttc_rl.embed.encoders import text_of
    from ttc_rl.selection import Stop, weighted
    from ttc_rl.selection import select as select_picks
    from ttc_rl.selection.certificate import certify, coverage
    from ttc_rl.selection.difficulty import noise_of
    from ttc_rl.selection.explain import explain, in_short
    from ttc_rl.stages.inputs import Ask, model_inputs
    from ttc_rl.stages.target_variants import SOURCE, bill
    from ttc_rl.verifiers.same_gold import same_golds

    recipe, folder = job.arm(name)
    config, started = recipe.selection, time.perf_counter()
    base = functools.partial(starting_model, recipe)
    extra = model_inputs(
        Ask(recipe, job.run, base, corpus, targets, corpus_ND, target_MD, job.graders)
    )
    question = [config.model_dump(), recipe.embed.model_dump(), recipe.seed, common["tasks"]]
    with Unfinished(folder, question) as unfinished:
        picks = select_picks(
            corpus_ND,
            target_MD,
            size=config.size,
            method=own_selector(recipe) or config.method,
            noise=config.noise,
            seed=recipe.seed,
            objective=config.objective,
            weights=weights,
            repeat=config.repeat,
            stop=Stop(**config.stop.model_dump()) if config.stop else None,
            device=config.device,
            before=unfinished.picks,
            progress=unfinished.progress(name, config.size),
            ids=[task.id for task in corpus],
            corpus_groups=[task.meta.get(config.group_by) for task in corpus],
            target_groups=[task.meta.get(config.group_by) for task in targets],
            corpus_kinds=[task.kind for task in corpus],
            target_kinds=[task.kind for task in targets],
            **extra.keywords,
        )
    seconds = time.perf_counter() - started
    chosen = [corpus[pick.index] for pick in picks]
    rows_n = np.array([pick.index for pick in picks])
    aims_MD = weighted(target_MD, weights, config.objective)
    contaminated, contamination = certify_overlap(
        chosen,
        targets,
        corpus_ND[rows_n],
        target_MD,
        recipe.overlap,
        functools.partial(same_golds, graders=job.graders),
    )
    noise: Any = config.noise
    if config.method == "difficulty":
        noise = noise_of(extra.keywords["success"], config.noise)
    repeated = len(set(rows_n.tolist())) < len(rows_n)
    certificate = certify(corpus_ND, aims_MD, rows_n, noise, repeat=repeated)
    covered = coverage(corpus_ND, aims_MD, rows_n, noise)
    rows = [asdict(p) | {"task": asdict(task)} for p, task in zip(picks, chosen, strict=True)]
    summary = {
        "method": config.method,
        "size": len(picks),
        "noise": config.noise,
        "seconds": seconds,
        "preparation_seconds": preparation_seconds,
        "compute": bill(extra.compute, variants),
        "variants": sum(task.source == SOURCE for task in corpus) if variants else None,
        "inputs": extra.notes,
        "corpus_tasks": len(corpus),
        "targets": [
            {"task_id": task.id, "prompt": task.prompt, "uncertainty": uncertainty}
            for task, uncertainty in zip(targets, covered.targets, strict=True)
        ],
        "uncertainty": {
            "start": certificate.start,
            "after": certificate.after,
            "floor": sum(uncertainty["floor"] for uncertainty in covered.targets),
            "random": covered.random,
        },
        "certificate": certificate.as_dict(),
        "contamination": contamination,
        "sources": _counts([task.source for task in chosen]),
        "corpus_sources": _counts([task.source for task in corpus]),
        **common,
    }
    if recipe.train.curriculum.method != "static":
        texts = [text_of(task, recipe.embed) for task in targets]
        _write_pool(recipe, folder, corpus, corpus_ND, aims_MD, rows_n, texts, extra.keywords)
    write_jsonl(folder.curriculum, rows)
    write_jsonl(folder.contamination, contaminated)
    write_text(folder.explanation, explain(summary, rows))
    files = [folder.curriculum, folder.contamination, folder.pool, folder.pool_vectors]
    files.append(job.run.dev_tasks)
    write_sealed(folder.selection, summary, *(path for path in files if path.exists()))
    logger.info(f"{name}: {len(picks):,} tasks in {seconds:.1f} s; {in_short(summary)}")


def _write_pool(
    recipe: Recipe,
    folder: ArmDir,
    corpus: list[Task],
    corpus_ND: Any,
    aims_MD: Any,
    picks: Any,
    texts: list[str],
    inputs: dict[str, Any],
) -> None:
    """Write the tasks that a curriculum chooses from which follows the model."""
    from ttc_rl.stages.inputs import POOL
    from ttc_rl.train.curriculum.pool import Pool, pool_rows, write_pool

    size = recipe.train.curriculum.pool or POOL * recipe.selection.size
    rows = pool_rows(corpus_ND, aims_MD, picks, size)
    success = inputs.get("success")
    write_pool(
        folder,
        Pool(
            [corpus[row] for row in rows],
            corpus_ND[rows],
            aims_MD,
            None if success is None else success[rows],
            tuple(texts),
        ),
    )


def _weights(
    targets: list[Task], recipe: Recipe, shares: Callable[[Mapping[str, float]], dict[str, float]]
) -> list[float] | None:
    """Return the weight of each target by its `meta`, times its share where there are several
    targets."""
    key, shared = recipe.selection.weight_by, len(recipe.targets) > 1
    if recipe.selection.shares and not shared:
        raise UserError("selection.shares: there is one target only; name several, or leave it out")
    plain_max = recipe.selection.objective == "max" and not recipe.selection.shares
    if key is None and (not shared or plain_max):
        return None
    share_of = shares(recipe.selection.shares) if shared else dict[str, float]()
    return [_weight(task, key) * share_of.get(task.id, 1.0) for task in targets]


def _weight(task: Task, key: str | None) -> float:
    if key is None:
        return 1.0
    if not isinstance(weight := task.meta.get(key), int | float):
        raise UserError(
            f"selection.weight_by {key!r}: target {task.id} has {weight!r} there, which is no "
            "number"
        )
    return float(weight)


def _log_problems(problems: list[str]) -> None:
    for line in problems[:5]:
        logger.info(f"bad row left out: {line}")
    if len(problems) > 5:
        logger.info(f"... and {len(problems) - 5:,} more bad rows; all are in selection.json")


def _counts(names: list[str]) -> dict[str, int]:
    """Return how often each name occurs, most frequent first, equals by name."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))
