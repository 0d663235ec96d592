"""Benchmarks: a name, its tasks, and how it is sampled unless a recipe says otherwise.

`eval/benchmarks/NAME.yaml` holds one each; `addresses.py` says how a part is addressed. Nothing is
left out silently: rows that cannot be read, repeats, a size that is not the published one and
errata are all listed in `problems`.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ttc_rl.config import ORIGINS, EvalConfig, SamplingConfig, SourceConfig, TargetSources
from ttc_rl.config.marks import Mark, with_marks
from ttc_rl.corpus.addresses import Address, address, narrowed, worded
from ttc_rl.corpus.benchmark_config import (
    DESCRIBES,
    BenchmarkConfig,
    Erratum,
    Published,
    benchmark_names,
    is_described,
    load_config,
)
from ttc_rl.corpus.everyday import FAMILIES
from ttc_rl.corpus.files import SUFFIXES, read_files
from ttc_rl.corpus.skills import SKILLS
from ttc_rl.corpus.sources import Loaded, check_source, load_source
from ttc_rl.schema import Task, UserError, content_hash
from ttc_rl.verifiers.kinds import KINDS


@dataclass(frozen=True)
class Benchmark:
    """Tasks with a name. `problems` says what is not as published, a line each."""

    name: str
    tasks: list[Task]
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    published: tuple[Published, ...] = ()
    description: str = ""
    problems: tuple[str, ...] = ()
    errata: Mapping[str, Erratum] = field(default_factory=dict[str, Erratum])
    """By task id: what is known to be wrong with a task that is in."""
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def tasks_hash(self) -> str:
        return content_hash([task.id for task in self.tasks])


# --------------------------------------------------------------------------- by name


def load_benchmark(name: str, data: str | None = None, kinds: Collection[str] = ()) -> Benchmark:
    """Return the benchmark, or the part of one, that `name` addresses.

    With `data`, a folder of task files, the hub is not used: the file must be there. `kinds` names
    a recipe's own kinds.
    """
    where = address(name)
    config = load_config(where.base)
    source, size = _origin(where, config, data)
    loaded = load_source(source, repeats=config.size is not None, kinds=kinds)
    whole = benchmark_from_loaded(where.name, loaded, keeps_repeats=config.size is not None)
    problems = list(whole.problems)
    if size is not None and len(whole.tasks) != size:
        problems.append(f"{where.base}: {len(whole.tasks):,} tasks, {size:,} were published")
    if config.file_differs and config.file and Path(source.path or "").name.startswith(config.file):
        problems.append(f"{where.base}: {source.path} differs from the hub: {config.file_differs}")
    if config.differs:
        problems.append(f"{where.base}: {config.differs}")
    tasks, errata = corrected(whole.tasks, config.errata)
    tasks = worded(narrowed(tasks, where, config), config.prompt)
    return Benchmark(
        where.name,
        tasks,
        config.sampling,
        tuple(p for p in config.published if p.part == "/".join(where.pieces)),
        config.description,
        (*problems, *(f"{where.base}: {line}" for line in _known_errors(tasks, errata))),
        {task.id: errata[task.id] for task in tasks if task.id in errata},
        config.aliases,
    )


def _origin(
    where: Address, config: BenchmarkConfig, data: str | None
) -> tuple[SourceConfig, int | None]:
    """Return where the addressed release is read from, and how many tasks of it were published."""
    named = [piece for piece in where.pieces if piece in config.releases]
    release = named[0] if named else config.release
    size = config.releases[release].size if release else config.size
    if where.file is not None:
        return _from_file(where.file, config.source), size
    meta = config.source.meta if config.source is not None else {}
    if data is not None and config.file is not None:
        if release != config.release:
            raise UserError(
                f"{where.name}: {config.file} holds release {config.release}; leave out `data:` "
                f"for another, or give a file: {where.name}=FILE"
            )
        return SourceConfig(path=str(_stand_in(where, config.file, data)), meta=meta), size
    if config.source is None:
        raise UserError(
            f"benchmark {where.base}: is read from a file; set `data:` to a folder that holds "
            f"benchmarks/{config.file}, or give one: {where.name}=FILE"
        )
    changes = {"config": config.releases[release].config} if release else {}
    return config.source.model_copy(update=changes), size


def _from_file(path: str, source: SourceConfig | None) -> SourceConfig:
    """Return the source of a file: of our rows, which say their kind, or of rows as the hub has
    them."""
    first = next(read_files(path), None)
    row = first.value if first is not None else None
    if source is None or (isinstance(row, Mapping) and "kind" in row):
        return SourceConfig(path=path, meta=source.meta if source else {})
    return source.model_copy(update=dict.fromkeys(ORIGINS) | {"path": path})


def _stand_in(where: Address, file: str, data: str) -> Path:
    path = Path(data).expanduser() / "benchmarks" / file
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.exists():
            return candidate
    raise UserError(
        f"{path}: no such file, nor with .gz; benchmark {where.base} is read from there because "
        f"`data:` is set (leave it out to ask the Hugging Face hub, or give a file: "
        f"{where.name}=FILE)"
    )


def expanded(targets: Sequence[str | SourceConfig]) -> list[str | SourceConfig]:
    """Return the same, each pattern of files that describe benchmarks (`bench/*.yaml`) as those
    files, by name. Raises UserError where a pattern matches none."""
    found: list[str | SourceConfig] = []
    for target in targets:
        if isinstance(target, str) and "*" in target and is_described(target):
            files = sorted(glob.glob(target, recursive=True))
            if not files:
                raise UserError(f"{target}: no file matches")
            found += files
        else:
            found.append(target)
    return found


def check_target(target: str | SourceConfig, data: str | None = None) -> None:
    """Raise UserError where no benchmark has that name, or its files are missing.

    The hub is not asked, and of a file given to a benchmark one row is read.
    """
    for each in expanded([target]):
        if isinstance(each, SourceConfig) or _is_file(each):
            check_source(each, data)
        elif not is_prompt(each):
            where = address(each)
            check_source(_origin(where, load_config(where.base), data)[0])


# --------------------------------------------------------------------------- errata


def corrected(
    tasks: Sequence[Task], errata: Mapping[str, Erratum]
) -> tuple[list[Task], dict[str, Erratum]]:
    """Return the tasks with golds corrected where an erratum gives one, and the errata by task
    id."""
    errata_of: dict[str, Erratum] = {}
    tasks_now = [_corrected(task, errata, errata_of) for task in tasks]
    return tasks_now, errata_of


def _corrected(task: Task, errata: Mapping[str, Erratum], errata_of: dict[str, Erratum]) -> Task:
    names = [task.id, *(str(task.meta[key]) for key in ("id", "title") if key in task.meta)]
    erratum = next((errata[name] for name in names if name in errata), None)
    if erratum is None:
        return task
    if erratum.gold is not None:
        meta = {**task.meta, "published_gold": task.gold}
        task = replace(task, gold=erratum.gold, meta=meta, id=content_hash([task.id, erratum.gold]))
    errata_of[task.id] = erratum
    return task


def _known_errors(tasks: Sequence[Task], errata: Mapping[str, Erratum]) -> Iterable[str]:
    for task in tasks:
        if task.id in errata:
            erratum = errata[task.id]
            mended = f"; graded against {erratum.gold}" if erratum.gold is not None else ""
            yield f"task {task.meta.get('id')}: {erratum.wrong} ({erratum.source}){mended}"


# --------------------------------------------------------------------------- by anything else


def named_benchmark(name: str, data: str | None = None, kinds: Collection[str] = ()) -> Benchmark:
    """Return a benchmark by its address, or the tasks of a file as one."""
    if _is_file(name):
        source = SourceConfig(path=name)
        return benchmark_from_source(_source_name(source), source, kinds)
    return load_benchmark(name, data, kinds)


def _is_file(text: str) -> bool:
    """Return whether a file of tasks is named, not one given to a benchmark: `NAME=FILE`."""
    if not text.endswith(SUFFIXES):
        return False
    benchmark, equals, _ = text.partition("=")
    named = re.match(rf"{DESCRIBES}|[^/@=\s]+", benchmark)
    return not (equals and named and (is_described(named[0]) or named[0] in benchmark_names()))


def benchmark_from_source(
    name: str, source: SourceConfig, kinds: Collection[str] = ()
) -> Benchmark:
    """Return every task of a source once. A repeated task is left out and named in `problems`."""
    return benchmark_from_loaded(name, load_source(source, kinds=kinds))


def benchmark_from_loaded(name: str, loaded: Loaded, *, keeps_repeats: bool = False) -> Benchmark:
    problems = list(loaded.problems)
    if loaded.duplicates:
        what = "counted again, as published" if keeps_repeats else "left out"
        problems.append(f"{name}: {loaded.duplicates} tasks repeat an earlier one and are {what}")
    return Benchmark(name, loaded.tasks, problems=tuple(problems))


def target_name(targets: Sequence[str | SourceConfig]) -> str:
    """Return the name under which the target, the first of several, is evaluated. Reads no
    task."""
    return target_names(targets)[0]


def target_names(targets: Sequence[str | SourceConfig]) -> list[str]:
    return [_name(target) for target in expanded(targets)]


def _name(target: str | SourceConfig) -> str:
    if isinstance(target, SourceConfig):
        return _source_name(target)
    if _is_file(target):
        return _source_name(SourceConfig(path=target))
    return "prompt" if is_prompt(target) else address(target).name


def is_prompt(target: str | SourceConfig) -> bool:
    """Return whether a target is itself the one prompt to train for."""
    if isinstance(target, SourceConfig) or _is_file(target):
        return False
    return bool(re.search(r"\s", target.strip()))


def _source_name(source: SourceConfig) -> str:
    if source.generated is not None:
        return "-".join(source.generated.families or ["skills" if source.skills else "everyday"])
    name = Path(source.path or source.hub or "").name
    return re.sub(r"(\.(jsonl|json|csv|tsv|parquet|gz))+$", "", name)


def resolve_target(sources: TargetSources) -> Benchmark:
    """Return what a curriculum is for: the target, or the tasks of several as one."""
    return together(resolve_targets(sources))


def together(benchmarks: Sequence[Benchmark]) -> Benchmark:
    """Return the tasks of all, each once, under the settings of the first."""
    tasks = {task.id: task for benchmark in benchmarks for task in benchmark.tasks}
    problems = tuple(problem for benchmark in benchmarks for problem in benchmark.problems)
    name = "+".join(benchmark.name for benchmark in benchmarks)
    return replace(benchmarks[0], name=name, tasks=list(tasks.values()), problems=problems)


def resolve_targets(sources: TargetSources) -> list[Benchmark]:
    """Return the recipe's targets: benchmarks, files of tasks, sources, or prompts.

    A prompt has no gold: tasks can be selected and trained on for it, but nothing can be graded.
    Raises UserError where two have one name.
    """
    benchmarks = [
        marked(any_benchmark(target, sources.data, sources.verifiers), sources.answer_marks)
        for target in expanded(sources.targets)
    ]
    names = [benchmark.name for benchmark in benchmarks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"target: {twice} is named twice; name each target once")
    return benchmarks


def any_benchmark(
    target: str | SourceConfig, data: str | None = None, kinds: Collection[str] = ()
) -> Benchmark:
    """Return the benchmark of an address, a file of tasks, a source, or one prompt."""
    if isinstance(target, SourceConfig):
        return benchmark_from_source(_name(target), target, kinds)
    if is_prompt(target):
        return Benchmark("prompt", [Task(kind="math", prompt=target.strip(), source="recipe")])
    return named_benchmark(target, data, kinds)


def marked(benchmark: Benchmark, marks: Sequence[Mark]) -> Benchmark:
    """Return the benchmark, its maths tasks answered behind the marks of a recipe."""
    return replace(benchmark, tasks=with_marks(benchmark.tasks, marks))


def target_shares(shares: Mapping[str, float], targets: Sequence[Benchmark]) -> dict[str, float]:
    """Return the weight of each task by id: its target's share over its number of tasks, 1 on
    average.

    A task of two targets has both. Raises UserError for a share of what is no target.
    """
    for name in shares:
        if name not in (names := [target.name for target in targets]):
            raise UserError(f"selection.shares: {name} is no target; there are {', '.join(names)}")
    counts = {target.name: shares.get(target.name, 1.0) / len(target.tasks) for target in targets}
    weights: dict[str, float] = {}
    for target in targets:
        for task in target.tasks:
            weights[task.id] = weights.get(task.id, 0.0) + counts[target.name]
    whole = sum(weights.values()) / len(weights)
    return {task_id: count / whole for task_id, count in weights.items()}


def retention(config: EvalConfig, target: Benchmark) -> list[str | SourceConfig]:
    """Return the names of benchmarks unlike the target: those of the recipe, else by what the
    target is."""
    if config.retention is not None:
        return config.retention
    families = {str(task.meta["family"]) for task in target.tasks if "family" in task.meta}
    worlds = {task.source.partition("/")[0] for task in target.tasks}
    kinds = {task.kind: KINDS.get(task.kind) for task in target.tasks}
    if config.benchmarks or not kinds:
        return []
    for world, every in {"skills": SKILLS, "everyday": FAMILIES}.items():
        if worlds == {world}:
            others = f"{world}/not-{'+'.join(sorted(families))}@96"
            return [others] if families < set(every) else []
    unlike = {kind.retention if kind else None for kind in kinds.values()}
    return [name for name in unlike if name is not None] if len(unlike) == 1 else []


def gradable(tasks: Iterable[Task]) -> bool:
    """Return whether every task has something to be graded against."""
    return all(task.gold is not None or task.tests for task in tasks)


def check_gradable(name: str, tasks: Sequence[Task]) -> None:
    """Raise UserError where some tasks have nothing to be graded against."""
    if not gradable(tasks):
        lacking = sum(task.gold is None and not task.tests for task in tasks)
        raise UserError(
            f"{name}: {lacking} of {len(tasks)} tasks have neither gold nor tests: they cannot be "
            "graded; a prompt without gold can be selected and trained for, not evaluated"
        )
