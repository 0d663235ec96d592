"""Benchmarks: a name, its tasks, and how it is sampled unless a recipe says otherwise.

`eval/benchmarks/NAME.yaml` holds one each. `NAME/PART` and `NAME/PART+PART` address the tasks
whose meta key, `subset:` in the YAML, has one of these values: `skills/cipher`, `math500/algebra`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML

from ttc_rl.config import Recipe, SamplingConfig, Section, SourceConfig
from ttc_rl.schema import Task, UserError, content_hash
from ttc_rl.sources import load_source

FOLDER = Path(__file__).parent / "benchmarks"
_FILE_ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")


class Published(Section):
    """A number that somebody printed, to be shown beside ours."""

    model: str
    metric: str
    value: float
    source: str


class BenchmarkConfig(Section):
    """One `eval/benchmarks/NAME.yaml`."""

    description: str
    source: SourceConfig | None = None
    file: str | None = None
    """Name under `{data}/benchmarks/` of the file that stands in for the source, .gz or not."""
    subset: str | None = None
    """Key of `meta` by whose values a part is addressed."""
    sampling: SamplingConfig = SamplingConfig()
    published: list[Published] = Field(default=[])

    @model_validator(mode="after")
    def _has_origin(self) -> Self:
        if self.source is None and self.file is None:
            raise ValueError("needs a source or a file")
        return self


@dataclass(frozen=True)
class Benchmark:
    """Tasks with a name. `problems` says which rows of the source could not be used."""

    name: str
    tasks: list[Task]
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    published: tuple[Published, ...] = ()
    description: str = ""
    problems: tuple[str, ...] = ()

    @property
    def tasks_hash(self) -> str:
        return content_hash([task.id for task in self.tasks])


# --------------------------------------------------------------------------- by name


def benchmark_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_config(name: str) -> BenchmarkConfig:
    path = FOLDER / f"{name}.yaml"
    try:
        return BenchmarkConfig.model_validate(YAML(typ="safe", pure=True).load(path.read_text()))
    except ValidationError as error:
        raise UserError(f"{path}: {error}") from None


def load_benchmark(name: str, data: str | None = None) -> Benchmark:
    """The benchmark `NAME` or the part `NAME/PART+PART` of one.

    With `data`, a folder of task files, nothing is asked of the hub: the file must be there.
    """
    base, _, parts = name.partition("/")
    if base not in benchmark_names():
        raise UserError(f"{_unknown('benchmark', base, benchmark_names())}{_IF_A_FILE}")
    config = load_config(base)
    whole = benchmark_from_source(name, _source(base, config, data))
    tasks = _part(whole.tasks, base, config.subset, parts) if parts else whole.tasks
    return Benchmark(
        name,
        tasks,
        config.sampling,
        tuple(config.published),
        config.description,
        whole.problems,
    )


_IF_A_FILE = "; a file of tasks ends in .jsonl, .jsonl.gz or .parquet, a prompt holds a space"


def _source(name: str, config: BenchmarkConfig, data: str | None) -> SourceConfig:
    if data is None or config.file is None:
        if config.source is None:
            raise UserError(
                f"benchmark {name}: is read from a file; set `data:` to a folder that holds "
                f"benchmarks/{config.file}"
            )
        return config.source
    path = Path(data) / "benchmarks" / config.file
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.exists():
            return SourceConfig(path=str(candidate))
    raise UserError(
        f"{path}: no such file, nor with .gz; benchmark {name} is read from there because "
        "`data:` is set (leave it out to ask the Hugging Face hub)"
    )


def _part(tasks: Sequence[Task], name: str, key: str | None, parts: str) -> list[Task]:
    if key is None:
        raise UserError(f"benchmark {name} has no parts, so {name}/{parts} names nothing")
    values = [_slug(task.meta.get(key, "")) for task in tasks]
    known = sorted(set(values) - {""})
    wanted = [_slug(part) for part in parts.split("+")]
    for part in wanted:
        if part not in known:
            raise UserError(_unknown(f"part of {name}", part, known))
    return [task for task, value in zip(tasks, values, strict=True) if value in wanted]


def _slug(value: Any) -> str:
    """`Counting & Probability` is addressed as `counting-probability`."""
    return re.sub(r"[^a-z0-9_]+", "-", str(value).lower()).strip("-")


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown {what}: {name!r}; {hint}known: {', '.join(known)}"


# --------------------------------------------------------------------------- by anything else


def named_benchmark(name: str, data: str | None = None) -> Benchmark:
    """A benchmark by its name, or the tasks of a file."""
    if name.endswith(_FILE_ENDINGS):
        source = SourceConfig(path=name)
        return benchmark_from_source(_source_name(source), source)
    return load_benchmark(name, data)


def benchmark_from_source(name: str, source: SourceConfig) -> Benchmark:
    """Every task of a source once; a repeated task is left out and told in `problems`."""
    loaded = load_source(source)
    problems = list(loaded.problems)
    if loaded.duplicates:
        problems.append(f"{name}: {loaded.duplicates} tasks repeat an earlier one and are left out")
    return Benchmark(name, loaded.tasks, problems=tuple(problems))


def target_name(recipe: Recipe) -> str:
    """The name under which a recipe's target is evaluated; reads no task."""
    target = recipe.target
    if isinstance(target, SourceConfig):
        return _source_name(target)
    if target.endswith(_FILE_ENDINGS):
        return _source_name(SourceConfig(path=target))
    return "prompt" if re.search(r"\s", target.strip()) else target


def _source_name(source: SourceConfig) -> str:
    if source.skills is not None:
        return "-".join(source.skills.families or ["skills"])
    return re.sub(r"(\.jsonl|\.gz|\.parquet)+$", "", Path(source.path or source.hub or "").name)


def resolve_target(recipe: Recipe) -> Benchmark:
    """A benchmark, a file of tasks, a source, or one prompt: whatever `target:` holds.

    A prompt has no gold: tasks can be selected and trained on for it, but nothing can be graded.
    """
    target = recipe.target
    if isinstance(target, SourceConfig):
        return benchmark_from_source(target_name(recipe), target)
    if target_name(recipe) == "prompt":
        return Benchmark("prompt", [Task(kind="math", prompt=target.strip(), source="recipe")])
    return named_benchmark(target, recipe.data)


def eval_benchmarks(recipe: Recipe) -> list[Benchmark]:
    """What a recipe evaluates: its target, unless that has no gold, and `eval.benchmarks`."""
    names = [name for name in recipe.eval.benchmarks if name != recipe.target]
    target = resolve_target(recipe)
    others = [load_benchmark(name, recipe.data) for name in dict.fromkeys(names)]
    return [target, *others] if gradable(target.tasks) else others


def gradable(tasks: Iterable[Task]) -> bool:
    """Whether every task has something to be graded against."""
    return all(task.gold is not None or task.tests for task in tasks)
