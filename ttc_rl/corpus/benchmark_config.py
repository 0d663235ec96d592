"""What `eval/benchmarks/NAME.yaml` holds: where tasks come from, sampling, and what is known.

Numbers and errata carry their source, and a test holds every file to that.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ttc_rl.config import SamplingConfig, Section, SourceConfig
from ttc_rl.config.places import did_you_mean
from ttc_rl.corpus.inspect_tasks import from_inspect
from ttc_rl.corpus.lm_eval_tasks import Function, from_lm_eval, is_lm_eval
from ttc_rl.schema import UserError

FOLDER = Path(str(resources.files("ttc_rl").joinpath("benchmarks")))
"""The checkout's `eval/benchmarks`, through a link that the wheel turns into files."""


class Published(Section):
    """A number that somebody printed, to be shown beside ours."""

    model: str
    metric: str
    value: float
    source: str
    part: str = ""
    """Of which part, `v6/2025-02..2025-04`; of the whole when left out."""


class Erratum(Section):
    """A known error of a task. The task stays in; numbers published before included it too."""

    wrong: str
    source: str
    gold: str | None = None
    """The right gold, which is then graded against, where the source gives one."""


class Release(Section):
    """One published state of a benchmark that grows."""

    config: str
    """Of the hub's data set."""
    size: int = Field(gt=0)


class BenchmarkConfig(Section):
    """One benchmark."""

    description: str
    source: SourceConfig | None = None
    file: str | None = None
    """Name under `{data}/benchmarks/` of the file that stands in for the source, .gz or not."""
    file_differs: str = ""
    """How that file differs from the source; reported whenever it is used."""
    differs: str = ""
    """How asking or grading differs from what those do who made the benchmark; reported."""
    size: int | None = Field(default=None, gt=0)
    """How many tasks were published, repeats included: a mismatch is reported."""
    prompt: str = ""
    """What the policy reads for a task (`addresses.shown`). The task's prompt when left out."""
    subset: str | None = None
    """Key of `meta` by whose values a part is addressed."""
    date: str | None = None
    """Key of `meta` that holds a day, by which a window is addressed: `2024-08..2025-01`."""
    releases: dict[str, Release] = Field(default={})
    release: str | None = None
    """The one of `releases` that source, size and file stand for."""
    aliases: dict[str, str] = Field(default={})
    """How others begin a task's id -> how its id begins here, for sample files of theirs."""
    sampling: SamplingConfig = SamplingConfig()
    errata: dict[str, Erratum] = Field(default={})
    """By the task's id in its source, its title, or its content hash."""
    published: list[Published] = Field(default=[])

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.source is None and self.file is None:
            raise ValueError("needs a source or a file")
        if self.releases and self.release not in self.releases:
            raise ValueError(f"release: one of {', '.join(self.releases)}")
        return self


def benchmark_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def is_described(base: str) -> bool:
    """Return whether a benchmark is named by a file of the user's that describes it: a YAML file,
    or a Python file of Inspect's tasks, `evals.py@task`."""
    return bool(_DESCRIBES.fullmatch(base))


DESCRIBES = r"[^@=\s]+?\.(?:yaml|yml|py(?:@[A-Za-z_]\w*)?)"
_DESCRIBES = re.compile(DESCRIBES)


def title_of(base: str) -> str:
    """Return a described benchmark's short name: that of the task, or of the file."""
    file, _, task = base.partition("@")
    return task or Path(file).stem


def is_benchmark(target: str) -> bool:
    """Return whether a target names a whole benchmark: one of the tool's, or a file that exists
    and describes one."""
    file = Path(target.partition("@")[0])
    return target in benchmark_names() or (is_described(target) and file.is_file())


def load_config(name: str) -> BenchmarkConfig:
    """Read what is known of a benchmark, by its name or by the path of a file that describes it: a
    YAML file of our own keys, one of lm-evaluation-harness, or Inspect tasks.

    Raises UserError where there is no such benchmark, or where its file cannot be read.
    """
    file, _, task = name.partition("@") if is_described(name) else (name, "", "")
    path = Path(file) if is_described(name) else FOLDER / f"{name}.yaml"
    if is_described(name) and not path.is_file():
        raise UserError(f"{path}: no such file; it would describe a benchmark")
    if not path.exists():
        raise UserError(f"{unknown('benchmark', name, benchmark_names())}{_IF_A_FILE}")
    if path.suffix == ".py":
        tree = from_inspect(path, task)
    else:
        tree = _load(path)
        if is_lm_eval(tree):
            tree = from_lm_eval(path, tree, _load)
    try:
        return BenchmarkConfig.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error)}") from None


class _Constructor(SafeConstructor):
    """Plain YAML, and the tag by which lm-eval names Python code."""


_Constructor.add_constructor("!function", lambda _, node: Function(str(node.value)))


def _load(path: Path) -> Mapping[str, Any]:
    """Return the keys of a YAML file. Raises UserError where it holds none."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; another one includes it") from None
    except MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not readable as YAML: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(tree, Mapping):
        raise UserError(f"{path}: holds no keys; a benchmark's file has description and source")
    return tree


def _first_problem(error: ValidationError) -> str:
    """Return the first of pydantic's complaints in one line, behind its key."""
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(key, BenchmarkConfig.model_fields)}"
    return ": ".join(filter(None, [key, problem["msg"].removeprefix("Value error, ")]))


_IF_A_FILE = "; a file of tasks ends in .jsonl, .jsonl.gz or .parquet, a prompt holds a space"


def unknown(what: str, name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown {what}: {name!r}; {hint}known: {', '.join(names)}"
