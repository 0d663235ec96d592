"""The stages of a run, in order: select, train, evaluate, report.

Each stage reads the files the one before left in the run folder, and leaves its own; a stage whose
files are there is not done again. `say` receives plain lines for whoever watches.
"""

from __future__ import annotations

import functools
import importlib.util
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttc_rl.config import Recipe
from ttc_rl.run_dir import (
    ArmDir,
    RunDir,
    cache_dir,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
    write_text,
)
from ttc_rl.schema import Completer, Task, UserError, content_hash
from ttc_rl.unfinished import Unfinished
from ttc_rl.verifiers.endpoint import Unreachable
from ttc_rl.verifiers.judge import Judge, from_completer, use_judge
from ttc_rl.versions import versions

if TYPE_CHECKING:
    from ttc_rl.overlap.cleaning import Cleaned

JUDGE_TOKENS = 1024
"""The most a judge in this process may write before its verdict."""
BASE = "base"
"""Name of the untrained model among the evaluated ones."""


@dataclass(frozen=True)
class Job:
    recipe: Recipe
    run: RunDir
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        judge = self.recipe.judge
        use_judge(_local_judge(self.recipe) if judge and judge.endpoint is None else judge)

    def arm(self, name: str) -> tuple[Recipe, ArmDir]:
        return self.recipe.arm(name), self.run.arm(name, self.recipe)


def run_all(job: Job) -> None:
    """Everything, from the corpus to the report."""
    for stage in (select, train, evaluate, report):
        stage(job)


def check_extras(recipe: Recipe) -> None:
    """Raise at once what would otherwise stop the run halfway: an extra that is not installed."""
    needed = {"trl": "train", "datasets": "train", "sentence_transformers": "embed"}
    if recipe.track.wandb:
        needed["wandb"] = "wandb"
    if recipe.train.vllm or recipe.embed.backend == "vllm":
        needed["vllm"] = "vllm"
    for module, extra in needed.items():
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{module} is not installed: pip install 'ttc-rl[{extra}]'")


def _local_judge(recipe: Recipe) -> Judge:
    """The recipe's judge as a model in this process, loaded when there is something to judge."""
    config = recipe.judge
    assert config is not None

    @functools.cache
    def judge_model() -> Completer:
        from ttc_rl.prompts import PLACE
        from ttc_rl.sampling import Decoding, load_completer

        use_vllm = recipe.train.vllm is not None
        loaded = load_completer(config.model, {"judge": PLACE}, use_vllm=use_vllm)
        return loaded.decoding_with(Decoding(JUDGE_TOKENS, temperature=0))

    def ask(prompts: Sequence[str]) -> list[str | Unreachable]:
        step = config.concurrency
        parts = (prompts[start : start + step] for start in range(0, len(prompts), step))
        return [reply for part in parts for reply in from_completer(judge_model())(part)]

    return Judge(ask, config.model, cache_dir() / "judge")


# --------------------------------------------------------------------------- select


def select(job: Job) -> None:
    """Corpus and target to curriculum.jsonl and selection.json of every arm, and overlap.jsonl."""
    arms = [name for name in job.recipe.arm_names if not job.arm(name)[1].selection.exists()]
    if not arms:
        job.say("curriculum: there already")
        return
    from eval.benchmarks import resolve_target
    from ttc_rl.embed import POLICY, embed
    from ttc_rl.inputs import NEEDS_MODEL
    from ttc_rl.overlap.cleaning import clean, clean_near, needs_embeddings
    from ttc_rl.overlap.near import rows_of
    from ttc_rl.selection.duplication import duplication
    from ttc_rl.sources import load_corpus

    if any(job.arm(name)[0].selection.method in NEEDS_MODEL for name in arms):
        check_extras(job.recipe)
    started = time.perf_counter()
    loaded, target = load_corpus(job.recipe.corpus, job.recipe.data), resolve_target(job.recipe)
    _say_problems(job, [*loaded.problems, *target.problems])
    job.say(
        f"corpus: {len(loaded.tasks):,} tasks ({loaded.duplicates:,} exact duplicates left out); "
        f"target {target.name}: {len(target.tasks):,} tasks"
    )
    cleaned = clean(loaded.tasks, target.tasks, job.recipe.overlap)
    _write_overlap(job, cleaned, loaded.tasks, target.tasks)
    corpus = cleaned.tasks
    write_json(
        job.run.versions,
        versions() | {"corpus": _hash(loaded.tasks), "target": _hash(target.tasks)},
    )
    config = job.recipe.embed
    policy = starting_model(job.recipe, job.say) if config.model == POLICY else None
    corpus_ND = embed(corpus, config, job.say, policy=policy)
    target_MD = embed(target.tasks, config, job.say, policy=policy)[:]
    if needs_embeddings(job.recipe.overlap):
        cleaned, rows = clean_near(cleaned, target.tasks, corpus_ND, target_MD)
        _write_overlap(job, cleaned, loaded.tasks, target.tasks)
        corpus, corpus_ND = cleaned.tasks, rows_of(corpus_ND, rows)
    common = {
        "bad_rows": loaded.problems,
        "duplicates": loaded.duplicates,
        "tasks": {"corpus": _hash(corpus), "target": _hash(target.tasks)},
        "duplication": duplication(corpus_ND, target_MD).as_dict(),
    }
    for name in arms:
        seconds = time.perf_counter() - started
        _select_arm(job, name, corpus, target.tasks, corpus_ND, target_MD, common, seconds)


def _select_arm(
    job: Job,
    name: str,
    corpus: list[Task],
    targets: list[Task],
    corpus_ND: Any,
    target_MD: Any,
    common: dict[str, Any],
    preparation_seconds: float,
) -> None:
    import numpy as np

    from ttc_rl.inputs import Ask, model_inputs
    from ttc_rl.overlap.certificate import certify_overlap
    from ttc_rl.selection import Stop
    from ttc_rl.selection import select as select_picks
    from ttc_rl.selection.certificate import certify, coverage
    from ttc_rl.selection.difficulty import noise_of
    from ttc_rl.selection.explain import explain
    from ttc_rl.verifiers.same_gold import same_golds

    recipe, folder = job.arm(name)
    config, started = recipe.selection, time.perf_counter()
    base = functools.partial(starting_model, recipe, job.say)
    extra = model_inputs(Ask(recipe, job.run, base, job.say, corpus, targets, corpus_ND, target_MD))
    asked = [config.model_dump(), recipe.embed.model_dump(), recipe.seed, common["tasks"]]
    with Unfinished(folder, asked) as unfinished:
        picks = select_picks(
            corpus_ND,
            target_MD,
            size=config.size,
            method=config.method,
            noise=config.noise,
            seed=recipe.seed,
            objective=config.objective,
            weights=_weights(targets, config.weight_by),
            repeat=config.repeat,
            stop=Stop(**config.stop.model_dump()) if config.stop else None,
            device=config.device,
            before=unfinished.picks,
            progress=unfinished.progress(job.say, name, config.size),
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
    contaminated, contamination = certify_overlap(
        chosen, targets, corpus_ND[rows_n], target_MD, recipe.overlap, same_golds
    )
    noise: Any = config.noise
    if config.method == "difficulty":
        noise = noise_of(extra.keywords["success"], config.noise)
    repeated = len(set(rows_n.tolist())) < len(rows_n)
    certificate = certify(corpus_ND, target_MD, rows_n, noise, repeat=repeated)
    covered = coverage(corpus_ND, target_MD, rows_n, noise)
    rows = [asdict(p) | {"task": asdict(task)} for p, task in zip(picks, chosen, strict=True)]
    summary = {
        "method": config.method,
        "size": len(picks),
        "noise": config.noise,
        "seconds": seconds,
        "preparation_seconds": preparation_seconds,
        "compute": extra.compute,
        "inputs": extra.notes,
        "corpus_tasks": len(corpus),
        "targets": [
            {"task_id": task.id, "prompt": task.prompt, "uncertainty": left}
            for task, left in zip(targets, covered, strict=True)
        ],
        "uncertainty": {
            "start": certificate.start,
            "after": certificate.after,
            "floor": sum(left["floor"] for left in covered),
        },
        "certificate": certificate.as_dict(),
        "contamination": contamination,
        "sources": _counts([task.source for task in chosen]),
        "corpus_sources": _counts([task.source for task in corpus]),
        **common,
    }
    write_jsonl(folder.curriculum, rows)
    write_jsonl(folder.contamination, contaminated)
    write_text(folder.explanation, explain(summary, rows))
    write_json(folder.selection, summary)
    before, after = summary["uncertainty"]["start"], summary["uncertainty"]["after"]
    job.say(
        f"{name}: {len(picks):,} tasks in {seconds:.1f} s; uncertainty about the target "
        f"{before:.2f} -> {after:.2f}, certified {certificate.share:.1%} of what any "
        f"{len(picks):,} tasks could remove"
    )


def _weights(targets: list[Task], key: str | None) -> list[float] | None:
    """What each target's `meta` says that it weighs."""
    if key is None:
        return None
    for task in targets:
        if not isinstance(task.meta.get(key), int | float):
            raise UserError(
                f"selection.weight_by {key!r}: target {task.id} has {task.meta.get(key)!r} there, "
                "which is no number"
            )
    return [float(task.meta[key]) for task in targets]


def _write_overlap(job: Job, cleaned: Cleaned, corpus: list[Task], targets: list[Task]) -> None:
    """What went and why: overlap.jsonl, duplicates.jsonl, and the counts of both."""
    from ttc_rl.overlap.dedupe import duplicates_report
    from ttc_rl.verifiers.same_gold import same_golds

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
    same = same_golds([(by_id[one.task_id], by_id[one.of_id]) for one in cleaned.duplicates])
    repeats = [
        asdict(one)
        | {"same_gold": found, "prompt": by_id[one.task_id].prompt, "of": by_id[one.of_id].prompt}
        for one, found in zip(cleaned.duplicates, same, strict=True)
    ]
    write_jsonl(job.run.overlap, rows)
    write_jsonl(job.run.duplicates, repeats)
    report = duplicates_report(cleaned.duplicates, same)
    write_json(
        job.run.overlap.with_suffix(".json"), cleaned.overlap.report() | {"duplicates": report}
    )
    job.say(
        f"overlap: {len(rows):,} corpus tasks removed, {len(cleaned.tasks):,} left; "
        f"{len(repeats):,} near-copies of others went too"
    )


def _say_problems(job: Job, problems: list[str]) -> None:
    for line in problems[:5]:
        job.say(f"bad row left out: {line}")
    if len(problems) > 5:
        job.say(f"... and {len(problems) - 5:,} more bad rows; all are in selection.json")


def _hash(tasks: list[Task]) -> dict[str, Any]:
    return {"tasks": len(tasks), "hash": content_hash([task.id for task in tasks])}


def _counts(names: list[str]) -> dict[str, int]:
    """Most frequent first, equals by name."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


# --------------------------------------------------------------------------- train


def train(job: Job) -> None:
    """The curriculum of every arm to a trained model."""
    arms = [name for name in job.recipe.arm_names if not job.arm(name)[1].model.exists()]
    if not arms:
        job.say("training: done already")
        return
    check_extras(job.recipe)
    from ttc_rl.curriculum import charged, plan
    from ttc_rl.tracking import tracked

    plans, tasks = {}, {}
    for name in arms:
        recipe, folder = job.arm(name)
        order, tasks[name] = _curriculum(folder)
        compute = read_json(folder.selection).get("compute")
        plans[name] = charged(plan(order, recipe.train), recipe.train, compute)
    base = starting_model(job.recipe, job.say)
    from ttc_rl.train.grpo import train_grpo

    for name in arms:
        recipe, folder = job.arm(name)
        less = f" ({n} charged for selection)" if (n := plans[name].charged) else ""
        job.say(f"training arm {name}: {plans[name].steps} steps{less}")
        with tracked(recipe, folder.root, job.say) as track:
            train_grpo(
                recipe,
                plans[name],
                tasks[name],
                base,
                folder,
                track=track,
                say=_prefixed(job, name),
            )


def _curriculum(folder: ArmDir) -> tuple[list[str], dict[str, Task]]:
    """Task ids in training order, where one may stand several times, and the tasks by id."""
    if not folder.curriculum.exists():
        raise UserError(f"{folder.curriculum}: not there yet; `ttc-rl select RECIPE` makes it")
    rows = list(read_jsonl(folder.curriculum))
    return [row["task_id"] for row in rows], {r["task_id"]: Task(**r["task"]) for r in rows}


def starting_model(recipe: Recipe, say: Callable[[str], None]) -> str | Path:
    """The model that training starts from: an id or folder, or one trained from scratch now."""
    model = recipe.model
    if model.path is not None:
        return model.path
    assert model.pretrain is not None
    import torch

    from ttc_rl.train.pretrain import base_model

    # Matrices this small run slower on two threads than on one, and one thread repeats exactly.
    torch.set_num_threads(1)
    return base_model(model.pretrain, recipe.seed, recipe.prompts, say)


def _prefixed(job: Job, name: str) -> Callable[[str], None]:
    return lambda line: job.say(f"{name}: {line}")


# --------------------------------------------------------------------------- evaluate


def evaluate(job: Job) -> None:
    """Base and trained models on the target and the recipe's other benchmarks."""
    from eval.benchmarks import eval_benchmarks
    from eval.harness import evaluate_model, missing_samples
    from eval.results import resolve_sampling
    from ttc_rl.sampling import Decoding, load_completer

    recipe = job.recipe
    benchmarks = eval_benchmarks(recipe)
    models: dict[str, Callable[[], str | Path]] = {
        BASE: functools.partial(starting_model, recipe, job.say)
    }
    for name in recipe.arm_names:
        folder = job.arm(name)[1]
        if not folder.model.exists():
            raise UserError(f"{folder.model}: no model there yet; `ttc-rl train RECIPE` makes it")
        models[name] = functools.partial(Path, folder.model)
    for model, path in models.items():
        completer = None
        results: dict[str, Any] = {}
        for benchmark in benchmarks:
            sampling = resolve_sampling(recipe.eval, benchmark.sampling)
            lacking = missing_samples(
                job.run, benchmark, model, sampling, greedy=recipe.eval.greedy
            )
            if lacking and completer is None:
                use_vllm = recipe.train.vllm is not None
                completer = load_completer(path(), recipe.prompts, use_vllm=use_vllm)
            sampled = greedy = None
            if lacking and completer is not None:
                job.say(f"evaluating {model} on {benchmark.name}: {lacking:,} completions")
                sampled = completer.decoding_with(
                    Decoding(sampling.max_tokens, sampling.temperature, sampling.top_p)
                )
                if recipe.eval.greedy:
                    greedy = completer.decoding_with(Decoding(sampling.max_tokens, temperature=0))
            results[benchmark.name] = evaluate_model(
                sampled,
                benchmark,
                sampling,
                job.run,
                model,
                greedy=greedy,
                batch=recipe.eval.batch or (4096 if recipe.train.vllm else 64),
                seed=recipe.seed,
                progress=_every_few_seconds(job.say, f"{model} on {benchmark.name}"),
            )["metrics"]
        _track_results(job, model, results)


def _track_results(job: Job, model: str, results: dict[str, Any]) -> None:
    if model == BASE or not job.recipe.track.wandb:
        return
    from ttc_rl.tracking import log_results, tracked

    with tracked(job.recipe, job.arm(model)[1].root, job.say):
        log_results(results)


def _every_few_seconds(say: Callable[[str], None], what: str) -> Callable[[int, int], None]:
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 5:
            last = time.monotonic()
            say(f"{what}: {done:,} of {total:,}")

    return progress


# --------------------------------------------------------------------------- report


def report(job: Job) -> None:
    """summary.json, where something was evaluated, and report.html."""
    from eval.compare import summary
    from eval.report import write_report

    if job.run.benchmarks():
        write_json(job.run.summary, summary(job.run, job.recipe))
    path = write_report(job.run, job.recipe)
    job.say(f"report: {path}")


def read_summary(run: RunDir) -> dict[str, Any]:
    if not run.summary.exists():
        raise UserError(f"{run.root}: nothing evaluated yet; `ttc-rl eval RECIPE` does it")
    return read_json(run.summary)
