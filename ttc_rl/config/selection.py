"""The selection: which tasks of the corpus become the curriculum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from ttc_rl.config.corpus import SourceConfig
from ttc_rl.config.section import OWN, OwnOr, Section, with_readers


class DifficultyConfig(Section):
    """How often the base model solves a corpus task; for `difficulty` and `band`."""

    key: str | None = None
    """Key of `meta` that holds the success rate, e.g. `solve_rate_percent`; drawn when left out."""
    scale: float = Field(default=1.0, gt=0)
    """What that number is multiplied by: 0.01 for percent."""
    samples: int = Field(default=8, gt=0)
    """Completions drawn from the base model for each task of the pool."""
    pool: int | None = Field(default=None, gt=0)
    """Draw for the so many tasks nearest to the targets; four times `size` when left out."""


class LessConfig(Section):
    """Gradient influence on the targets (arXiv 2402.04333), for `less`."""

    labels: Literal["dev", "majority", "policy"] = "majority"
    """What stands for the targets' golds, which are never read: labelled tasks of yours (`dev`),
    the vote of a group (`majority`), or the policy gradient of voted groups (`policy`)."""
    dev: SourceConfig | None = None
    """Labelled tasks like the targets, none of which is one; for `labels: dev`."""
    subtask_by: str | None = None
    """Key of `meta` that names the subtask of a target; all are one subtask when left out. Dev
    tasks of a subtask that no target has are left out."""
    pool: int | None = Field(default=None, gt=0)
    """Take gradients of the so many tasks nearest to the targets; four times `size` by default."""
    features: int = Field(default=8192, gt=0)
    """Numbers that a gradient is sketched into."""
    samples: int = Field(default=8, gt=1)
    """Completions a group, for `majority` and `policy`."""
    warmup_learning_rate: float = Field(default=2e-5, gt=0)
    """Learning rate of the warm-up's Adam at the first step; falls linearly to 0. `policy` has no
    warm-up."""

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if (self.labels == "dev") != (self.dev is not None):
            raise ValueError("`labels: dev` and a source `dev:` go together")
        return self


class StopConfig(Section):
    """End a curriculum of SIFT before its size is reached: one of the two rules."""

    remaining: float | None = Field(default=None, gt=0, lt=1)
    """Stop where further tasks could take off at most this share of the variance: certified."""
    adaptive: float | None = Field(default=None, gt=0)
    """Adaptive SIFT's alpha: stop where the share left exceeds 1 / (alpha n)."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.remaining is None) == (self.adaptive is None):
            raise ValueError("needs one of remaining and adaptive")
        return self


class VariantsConfig(Section):
    """Problems like the targets, written and answered by the base model, beside the corpus."""

    per_target: int = Field(default=4, gt=0)
    """Variants that are written of each target."""
    samples: int = Field(default=8, gt=1)
    """Answers to each of them; the one that most agree on is its gold."""
    agree: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (
        0.3, 0.8,
    )  # fmt: skip
    """Share of the answers that has to agree, from and to: below, the vote is not trusted; above,
    nothing is left to learn."""


SELECTORS = (
    "sift", "difficulty", "band", "nearest", "top", "random", "random-within-kind", "oracle",
    "facility", "kmeans++", "uncertainty", "qp", "hull", "less",
)  # fmt: skip
"""docs/selectors.md says what each does, where it is from, and what it costs."""


SIFTS = "sift", "difficulty", "band"
SELECTION_KEYS: Mapping[str, Sequence[str]] = {
    "repeat": SIFTS,
    "stop": SIFTS,
    "device": SIFTS,
    "group_by": ("oracle", OWN),
    "difficulty": ("difficulty", "band"),
    "less": ("less",),
}
"""Key -> the methods that read it. The others are read for every method, or for its report."""


class SelectionConfig(Section):
    """How the curriculum is chosen from the corpus."""

    model_config = ConfigDict(json_schema_extra=with_readers(SELECTION_KEYS))

    method: Annotated[str, OwnOr(SELECTORS)] = "sift"
    """A selector, or `my_package.my_module:function`, which is given a `Problem`."""
    size: int = Field(default=1000, gt=0)
    """Tasks in the curriculum; the most, where `stop` ends it before."""
    noise: float = Field(default=0.1, gt=0)
    """Observation noise, the paper's lambda; larger favours relevance over diversity."""
    objective: Literal["sum", "mean", "max"] = "sum"
    """What of the targets' variances is lowered; `max` looks after the target that is worst off."""
    weight_by: str | None = None
    """Key of `meta` that holds a target's weight; all weigh the same when left out."""
    shares: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Name of a target -> what its tasks count for together; 1 where it is not named."""
    repeat: bool = False
    """SIFT may pick a task again."""
    stop: StopConfig | None = None
    """Rule that ends a curriculum of SIFT early; none when left out."""
    device: str | None = None
    """A torch device for SIFT, `cuda` or `cuda:1`; numpy on the host when left out."""
    leave_nearest: int = Field(default=0, ge=0)
    """Leave each target's so many nearest tasks out of the choice: does the gain survive that?"""
    variants: VariantsConfig | None = None
    """Choose among variants of the targets too, which the model writes; none when left out."""
    group_by: str = "family"
    """Key of `meta` in which a corpus task must agree with a target."""
    difficulty: DifficultyConfig = DifficultyConfig()
    """How often the base model solves a corpus task."""
    less: LessConfig = LessConfig()
    """Settings of gradient influence."""
