"""The results of an evaluation: what MODEL.json and summary.json hold.

ModelResult   eval/BENCHMARK/MODEL.json: one model on one benchmark
Summary       summary.json: all models of a run, their differences, and what lies behind them

The names and types below are the keys and values of the files. A field with a default is left out
of the file while it has that default. The first key of a file is `version`: it changes when a file
of the new shape cannot be read as one of the old. A file without it is of the time before there
were versions, and has the shape of version 1.

Every number with an interval is an `Estimate`, a `Difference` or an `Elo` of `ttc_rl.metrics`.
What `ttc-rl compare` makes of several runs is in compare/comparison.py; it is not written.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from ttc_rl.config import Section
from ttc_rl.corpus.benchmark_config import Published
from ttc_rl.metrics import Difference, Elo, Estimate
from ttc_rl.run_dir import FIX, read_json, write_sealed
from ttc_rl.schema import UserError

VERSION = 1
Record = TypeVar("Record")
Metrics = dict[str, Estimate]
"""Metric -> its mean over tasks."""
Differences = dict[str, dict[str, Difference]]
"""`arm - other` -> metric -> its mean difference on the same tasks."""
Whole = PlainSerializer(BaseModel.model_dump)
"""Writes the defaults of a section too."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An analysis that cannot say anything, and why."""

    refused: str


# --------------------------------------------------------------------------- MODEL.json


class Sampling(Section):
    """How a benchmark is sampled, by the recipe, the benchmark and the defaults."""

    samples: int = 16
    temperature: float = 0.6
    top_p: float = 0.95
    k: list[int] = Field(default=[1, 8, 16])
    max_tokens: int = 8192


@dataclass(frozen=True, kw_only=True)
class GradedBefore:
    """Verdicts that a sample file held before `ttc-rl score` graded it again."""

    verdicts: int
    moved: int
    by_another_verifier: int
    """Of all verdicts, those by another version of the verifier."""
    wrong_to_right: int | None = None
    right_to_wrong: int | None = None
    to_undecided: int | None = None
    from_undecided: int | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which model was asked what. A model has a name and weights, a file of samples its path."""

    benchmark: str
    tasks_hash: str
    model: str | None = None
    seed: int | None = None
    sampling: Annotated[Sampling, Whole] | None = None
    weights: str | None = None
    """Fingerprint of the weights that drew the samples."""
    samples_sha256: str | None = None
    engine: str | None = None
    prompts: dict[str, Any] | None = None
    versions: dict[str, Any] | None = None
    """Packages, python, machine and commit."""
    samples_file: str | None = None
    fallback: bool | None = None
    """Whether maths answers without a mark were read otherwise."""
    answer_marks: Sequence[str] | None = None
    graded_before: GradedBefore | None = None
    left_out: int | None = None
    """Tasks of the benchmark without all samples, which `ttc-rl score --partial` left out."""
    unknown: int | None = None
    """Rows of other tasks, which `ttc-rl score --skip-unknown` passed over."""
    stop: Sequence[str] | None = None
    """Texts at which completions were cut before they were graded."""


@dataclass(frozen=True, kw_only=True)
class Sized:
    """How much was measured."""

    tasks: int
    samples: int
    """Of each task."""

    @property
    def avg_name(self) -> str:
        """Return the name of the mean correctness, e.g. `avg@16`."""
        return f"avg@{self.samples}"


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Shares of all samples; None where the file of the samples does not say."""

    truncated: float | None
    prompt_too_long: float | None
    no_answer: float | None
    undecided: float | None
    timeout: float | None
    infra_error: float | None
    mean_tokens: float | None
    """Of a completion."""


def _every_rate(held: Any) -> Any:
    """Add the rate that results had not from the start."""
    return {"prompt_too_long": None} | held if isinstance(held, dict) else held


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedElo(Elo):
    tasks: int
    """Those that carry a rating."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a model scored on a benchmark. Older files do not have what is None by default."""

    metrics: Metrics
    """avg@n, pass@k, maj@k, greedy: for new tasks and new samples."""
    further_metrics: Metrics | None = None
    """mg-pass@k, all@k, best@k, weighted-maj@n: likewise."""
    same_tasks: Metrics | None = None
    """avg@n for new samples of the same tasks."""
    rates: Annotated[Rates, BeforeValidator(_every_rate)]
    gold_not_read: int | None = None
    """Samples not found correct in which the gold stands all the same."""
    elo: RatedElo | None = None
    """Where tasks carry a rating."""


@dataclass(frozen=True, kw_only=True)
class ModelResult(Scores, Sized, Asked):
    """One model on one benchmark."""

    published: list[Annotated[Published, Whole]]


# --------------------------------------------------------------------------- summary.json


@dataclass(frozen=True, kw_only=True)
class Power:
    """The difference in avg@n that is found with 80 % power at a two-sided level of 5 %."""

    resolvable: float | None
    """None where nothing varied."""
    between: float | None = None
    """Variance over tasks of the true difference."""
    within: float | None = None
    """Variance of one sample of either model within tasks."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkSummary(Sized):
    """Every model on one benchmark, and paired differences over its tasks."""

    tasks_hash: str
    published: list[Annotated[Published, Whole]]
    models: dict[str, Scores]
    differences: Differences
    power: dict[str, Power]
    """`arm - other` -> what these tasks and samples can resolve."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """The gain over base on the tasks that can be changed: as they are, and changed."""

    tasks: int
    as_is: Difference
    changed: Difference
    ratio: Estimate | None
    """The second gain as a share of the first, where the first differs from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Difference):
    """Mean correctness of base and of an arm, and the difference."""

    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class Retention:
    """What an arm lost or gained on benchmarks that share no task with the target."""

    benchmarks: dict[str, Change]
    worst: str
    """The benchmark with the largest loss."""


@dataclass(frozen=True, kw_only=True)
class Readable:
    """Share of samples with an answer that could be read."""

    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class Latent:
    """Bounds of the gain in skill once format is taken out, or why there are none."""

    readable: Readable
    lower: Estimate | None = None
    upper: Estimate | None = None
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class Control:
    """A control arm over base, and each other arm over the control."""

    gain: Difference | None = None
    arms: dict[str, Difference]


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """Correctness of the samples that a filter keeps, and how much more that is."""

    after: float
    gap: Difference
    relative: float | None
    """The gap as a share of what was left; None where nothing was left."""


@dataclass(frozen=True, kw_only=True)
class VerificationGap:
    """What keeping the largest class, or the surest sample, adds to mean correctness."""

    plain: float
    majority: Filtered
    confidence: Filtered | None = None
    majority_reward: bool
    """Whether there is anything to gain from rewarding agreement."""


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Model -> measure -> estimate over tasks, and the change against base."""

    models: dict[str, Metrics]
    changes: dict[str, Metrics]
    """By `arm - base`."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """maj@k at a number of FLOPs."""

    k: int
    flops: float
    value: float


@dataclass(frozen=True, kw_only=True)
class Curve:
    curve: list[Point]


@dataclass(frozen=True, kw_only=True)
class ArmCompute(Curve):
    """An arm's curve, after what training and selection cost."""

    training_flops: float
    selection_flops: float
    equal_vote: int | None
    """Samples with which the base model's vote is as often right; None where it never is."""
    break_even_queries: int | None
    """The number of queries from which training is cheaper; None where it never is."""


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Training and voting on one axis."""

    parameters: int
    base: Curve
    arms: dict[str, ArmCompute | Refused]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What lies behind the gains on one benchmark."""

    diversity: Diversity
    verification_gap: dict[str, VerificationGap]
    latent: dict[str, Latent] | None = None
    """By arm, where base was evaluated."""
    control: dict[str, Control] | None = None
    """By control arm, where there is one."""
    compute: Compute | Refused | None = None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A run."""

    target: str
    benchmarks: dict[str, BenchmarkSummary]
    changed: dict[str, dict[str, Transfer]]
    """Variant of the target -> arm."""
    retention: dict[str, Retention]
    """By arm."""
    analysis: dict[str, Analysis | Refused]
    """By benchmark."""


# --------------------------------------------------------------------------- the files


def read_result(path: Path) -> ModelResult:
    return _read(path, ModelResult)


def read_summary(path: Path) -> Summary:
    return _read(path, Summary)


def write_record(path: Path, record: ModelResult | Summary, *files: Path) -> None:
    """Write MODEL.json or summary.json, which vouches for `files` (`write_sealed`)."""
    write_sealed(path, {"version": VERSION} | as_json(record), *files)


def as_json(record: ModelResult | Summary) -> dict[str, Any]:
    """Return what a file holds of a record, without the version."""
    return _adapter(type(record)).dump_python(record, exclude_defaults=True)


def _read(path: Path, kind: type[Record]) -> Record:
    held = read_json(path)
    version = held.pop("version", VERSION)
    if version != VERSION:
        raise UserError(
            f"{path}: has version {version!r}, this ttc-rl reads version {VERSION}; "
            "use the ttc-rl that wrote it, or look in CHANGELOG.md for what changed"
        )
    try:
        return _adapter(kind).validate_python(held)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: is damaged ({where}: {first['msg']}); {FIX}") from None


@functools.cache
def _adapter(kind: type[Record]) -> TypeAdapter[Record]:
    return TypeAdapter(kind)
