"""How an arm answers: by the weights that its training left, or in a way that trains nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from ttc_rl.config.section import OWN, OwnOr, Section, with_readers

POLICIES = ("trained", "demonstrations", "neighbours", "interpolation", "proxy")
POLICY_KEYS: Mapping[str, Sequence[str]] = {
    "of": ("demonstrations", "interpolation", "proxy", OWN),
    "count": ("demonstrations", "neighbours", OWN),
    "alpha": ("interpolation", "proxy", OWN),
    "expert": ("proxy", OWN),
    "antiexpert": ("proxy", OWN),
}
"""Key -> the methods that read it."""


class PolicyConfig(Section):
    """How an arm answers. An arm whose method is not `trained` trains nothing. docs/policies.md
    says what each method does."""

    model_config = ConfigDict(json_schema_extra=with_readers(POLICY_KEYS))

    method: Annotated[str, OwnOr(POLICIES)] = "trained"
    """One of docs/policies.md, or `my_package.my_module:function`, which is given the job and the
    arm's name and returns a `Policy`."""
    of: str | None = None
    """The arm whose trained weights it begins with; the base model's when left out."""
    count: int = Field(default=4, gt=0)
    """Picks that are shown before a task, or that vote for its answer: those nearest to it."""
    alpha: float = 1.0
    """How far from the base towards the trained model, or how often the difference of the two
    experts is added; 0 is the base, 1 the whole way, more than 1 goes beyond."""
    expert: str | None = None
    """A trained model, mostly a small one, whose difference to `antiexpert` is added; in the place
    of `of`."""
    antiexpert: str | None = None
    """That model before its training."""

    @property
    def trains(self) -> bool:
        return self.method == "trained"

    @property
    def selects(self) -> bool:
        """Return whether the arm's own curriculum has a part in its answers."""
        return self.method not in ("interpolation", "proxy")

    @model_validator(mode="after")
    def _starts_somewhere(self) -> Self:
        if self.method == "interpolation" and self.of is None:
            raise ValueError(
                "`interpolation` goes from the base to a trained model: name it, `of:`"
            )
        pair = self.expert is not None, self.antiexpert is not None
        if self.method == "proxy" and (pair == (True, True)) == (self.of is not None):
            raise ValueError(
                "`proxy` adds what training changed: of an arm, `of:`, or of another model, "
                "`expert:` and `antiexpert:`"
            )
        if pair[0] != pair[1]:
            raise ValueError("`expert` and `antiexpert` are one model, after training and before")
        return self
