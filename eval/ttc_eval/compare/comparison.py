"""The comparison of several runs: arms x targets x seeds. It is shown, and not written."""

from __future__ import annotations

from dataclasses import dataclass

from ttc_eval.records import Power, Sized
from ttc_rl.metrics import Difference, Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class OverSeeds(Difference):
    """A mean, or a mean difference, over seeds; of one seed, over its tasks."""

    seeds: int

    @classmethod
    def of(cls, estimate: Estimate, seeds: int) -> OverSeeds:
        p = estimate.p if isinstance(estimate, Difference) else None
        return cls(estimate.value, estimate.lo, estimate.hi, p, seeds=seeds)


@dataclass(frozen=True, kw_only=True)
class ChangedTask:
    """A task, and how often it was solved before and after."""

    prompt: str
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Tasks that changed hands between two models."""

    tasks: int
    up: int
    """Solved more often."""
    down: int
    """Solved less often."""
    first: int
    """Solved at all only after."""
    lost: int
    """Solved at all only before."""
    majority_up: int
    """Solved in more than half of the samples only after."""
    majority_down: int
    """Solved in more than half of the samples only before."""
    p: float | None
    """McNemar's exact two-sided test on the two majority counts."""
    most_changed: list[ChangedTask]


@dataclass(frozen=True, kw_only=True)
class PooledBenchmark(Sized):
    """Every model of several runs on one benchmark."""

    models: dict[str, dict[str, OverSeeds]]
    differences: dict[str, dict[str, OverSeeds]]
    power: dict[str, Power]
    """`arm - other` -> what such seeds can resolve, or such tasks where there is one seed."""
    flips: dict[str, Flips]


@dataclass(frozen=True, kw_only=True)
class PooledRetention:
    """An arm's change against base on benchmarks that share no task with the target."""

    benchmarks: list[str]
    mean: Estimate
    worst: str
    """The benchmark with the largest loss."""
    worst_change: Estimate


@dataclass(frozen=True, kw_only=True)
class TargetComparison:
    """The runs of one target."""

    seeds: list[int]
    benchmarks: dict[str, PooledBenchmark]
    retention: dict[str, PooledRetention]
    sigma: dict[str, OverSeeds]
    """Arm -> rank correlation of what selection left unknown with the gain."""


@dataclass(frozen=True, kw_only=True)
class OverTargets:
    """On the targets themselves: means over all of them."""

    targets: list[str]
    models: dict[str, dict[str, OverSeeds]]
    differences: dict[str, dict[str, OverSeeds]]


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """An arm's gain over base in avg@n. Rows: trained for; columns: evaluated on."""

    rows: list[str]
    columns: list[str]
    gain: list[list[float | None]]
    diagonal_minus_rest: float | None
    p_value: float | None
    """Of as large a difference under shuffled row labels."""


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    folder: str
    model: str
    """What the recipe calls its base model."""
    target: str
    seed: int
    variant: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several runs."""

    runs: list[ComparedRun]
    differing: dict[str, list[str]]
    """Key in which the recipes differ -> its value in each run."""
    variants: dict[str, str]
    """Letter -> the keys that it stands for."""
    targets: dict[str, TargetComparison]
    overall: OverTargets | None
    """Where there are several targets."""
    matrix: dict[str, Matrix]
    """By arm, where there are several targets."""
    doses: dict[str, Dose]
    """By arm, where runs differ in nothing else but the size of their curricula."""


@dataclass(frozen=True, kw_only=True)
class Dose:
    """An arm's gain over base in avg@n by the size of its curriculum, and a curve through it."""

    gains: dict[int, OverSeeds]
    asymptote: OverSeeds
    """A of A (1 - exp(-n / b))."""
    scale: float
    """b, in tasks, of the means over seeds."""
    nine_tenths: float
    """Tasks from which nine tenths of A are reached."""
