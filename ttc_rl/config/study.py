"""A study: which questions a sweep of runs is to answer, and the controls that it has unasked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from ttc_rl.config.section import Section, merge

CONTROLS: Mapping[str, Mapping[str, Any]] = {
    "random": {"selection": {"method": "random"}},
    "format": {"train": {"reward": "format"}},
    "without-nearest": {"selection": {"leave_nearest": 5}},
}
"""Name of a control -> in what it differs from the headline arm: nothing chosen, nothing learned
but how answers are written, nothing trained on that is nearest to a target."""


class StudyConfig(Section):
    """What `ttc-rl study` asks of a recipe with `sweep: {seed: [...]}`. docs/studies.md"""

    questions: list[Annotated[str, StringConstraints(pattern=r"^\S+ - \S+$")]] = []
    """Pairs of arms, `sift - random`: each gets a sentence and a figure. The first arm is the
    headline, from which the controls are made; `sift - random` when left out."""
    without: dict[str, str] = {}
    """Control that is left out -> why; the page says so."""
    near: int = Field(default=5, gt=0)
    """Tasks nearest to each target that the control `without-nearest` may not train on."""


def headline(questions: Sequence[str], arms: Sequence[str]) -> str:
    """Return the arm that a study is about: the first of its questions, else `sift`, else the first
    that is no control."""
    if questions:
        return questions[0].partition(" - ")[0]
    return "sift" if "sift" in arms else next((a for a in arms if a not in CONTROLS), "sift")


def control_arms(
    study: StudyConfig, arms: Mapping[str, Mapping[str, Any]], own: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the controls that are lacking, each the headline arm (`own`) with its change."""
    found: dict[str, dict[str, Any]] = {}
    for name, change in CONTROLS.items():
        if name not in arms and name not in study.without:
            near = {"selection": {"leave_nearest": study.near}}
            found[name] = merge(dict(own), near if name == "without-nearest" else change)
    return found
