"""A recipe: its model, and the sections of its stages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from ttc_rl.config.corpus import EmbedConfig, OverlapConfig, SkillsConfig, SourceConfig
from ttc_rl.config.evaluation import EngineConfig, EvalConfig, JudgeConfig
from ttc_rl.config.marks import DEFAULT, Mark
from ttc_rl.config.methods import arm_tree, unread_in_schema
from ttc_rl.config.places import Places
from ttc_rl.config.policy import PolicyConfig
from ttc_rl.config.prompts import PromptsConfig, checked
from ttc_rl.config.section import Section, as_list
from ttc_rl.config.selection import SelectionConfig
from ttc_rl.config.study import StudyConfig
from ttc_rl.config.train import ExpertsConfig, TrainConfig


class PretrainConfig(Section):
    """A tiny Qwen3-architecture model trained from scratch, for machines with no pretrained one."""

    hidden: int = Field(default=64, gt=0)
    """Width of the hidden states."""
    heads: ClassVar[int] = 2
    """Attention heads of a layer: enough at widths that a CPU trains in a minute."""
    layers: int = Field(default=3, gt=0)
    """Number of transformer layers."""
    mlp: int = Field(default=192, gt=0)
    """Width of each layer's MLP."""
    skills: SkillsConfig | None = SkillsConfig()
    """Families it learns from; None leaves the weights random (for plumbing tests)."""
    max_steps: int = Field(default=800, ge=0)
    """Most optimiser steps; 0 leaves the weights random."""
    stop_at: float = Field(default=0.2, gt=0, le=1)
    """Stop at the first evaluation where mean pass@1 over the families reaches this."""


class WarmupConfig(Section):
    """A short supervised training of the base model, so that it knows the form of an answer.

    It is part of the model: every arm, and `base`, starts from it."""

    source: str | SourceConfig | None = None
    """Labelled tasks; the recipe's corpus when left out. Tasks that overlap a target are removed
    by the rules of `overlap:`."""
    tasks: int = Field(default=320, gt=0)
    """Tasks to train on, drawn at random; all of the source where it has no more."""
    epochs: int = Field(default=1, gt=0)
    """Passes over these tasks."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Learning rate of AdamW at the first step; falls linearly to 0."""


class ModelConfig(Section):
    """The model before training: `path` or `pretrain`, and what is done to it first."""

    path: str | None = None
    """A Hugging Face model id or a local folder."""
    pretrain: PretrainConfig | None = None
    """Settings of a tiny model trained from scratch, in place of `path`."""
    warmup: WarmupConfig | None = None
    """Train it on a few labelled tasks first; not at all when left out."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Type of the numbers that completions are drawn with and that training computes with; trained
    weights stay in float32. When left out, bfloat16 on a CUDA card and float32 elsewhere."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.pretrain is None):
            raise ValueError("needs a model id or folder, or a `pretrain:` block, not both")
        return self

    @property
    def name(self) -> str:
        """Return what the model is called: its id, or the name of its folder."""
        if self.path is None:
            return "a small model trained from scratch"
        return Path(self.path).name if Path(self.path).is_dir() else self.path


class PreflightConfig(Section):
    """A look at the base model on some tasks of the curriculum, after selection; it can say no."""

    tasks: int = Field(default=16, gt=0)
    """Tasks looked at of each arm's curriculum, evenly over its order."""
    samples: int = Field(default=8, gt=1)
    """Completions drawn for each of these tasks."""
    gain: float | None = Field(default=None, gt=0, lt=1)
    """Expected gain in avg@n: the evaluation has to resolve it. Not asked for when left out."""
    refuse: bool = True
    """End the run where something is wrong; else it is only said."""


class HubConfig(Section):
    """A model repository that gets each checkpoint's weights, as a revision of its own."""

    repo: str
    """Its name at the Hugging Face Hub, `me/it`; it is made where it is not there."""
    private: bool = True
    """Make it private; a public one is then refused."""


class TrackConfig(Section):
    """Where a run is shown while it goes on: Weights & Biases, the Hugging Face Hub."""

    wandb: bool = False
    """Whether runs are logged to Weights & Biases."""
    project: str = Field(default="ttc-rl", max_length=128, pattern=r"^[^/\\#?%:\r\n]+$")
    """Name of the project at W&B, which takes none of `/\\#?%:`."""
    hub: HubConfig | None = None
    """Send each checkpoint to the Hub while training; not at all when left out."""


def _as_folders(arms: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Refuse a name that is no folder of its own, or that another file of a run has."""
    for name in arms:
        if not re.fullmatch(r"[\w][\w=,+-]{0,99}", name) or name == "base":
            raise ValueError(
                f"{name!r} cannot be an arm's name, which its folder and files have too: up to 100 "
                "letters, digits, and any of _ - = , + after the first; not base"
            )
    return arms


def _as_model(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _as_marks(value: Any) -> Any:
    if value is None:
        raise ValueError('is empty; YAML takes #### for a comment: write ["####"], with quotes')
    return as_list(value)


def _once(marks: list[Mark]) -> list[Mark]:
    if len(set(marks)) < len(marks):
        raise ValueError("a mark stands there twice; name each once")
    return marks


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    named = cast(Mapping[str, Any], value)
    return {name: arm for name, arm in named.items() if arm is not None}


def _with_rules(schema: dict[str, Any]) -> None:
    """Let a file name its parent, which may hold the keys that every recipe needs.

    Where it has none, nor arms or a sweep, a key may not stand beside a method that ignores it.
    """
    schema["allOf"] = list(unread_in_schema())
    parent = {"type": "string", "description": "File of the parent recipe, beside this one."}
    schema["properties"] = {"extends": parent, **schema["properties"]}
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]


@dataclass(frozen=True)
class TargetSources:
    """What the tasks of a recipe's targets are made from."""

    targets: Sequence[str | SourceConfig]
    data: str | None
    verifiers: Mapping[str, str]
    answer_marks: Sequence[Mark]


Sources = Annotated[list[str | SourceConfig], Field(min_length=1)]


class Recipe(Section):
    """One run, complete: what `recipe.yaml` in a run folder holds."""

    model_config = ConfigDict(json_schema_extra=_with_rules)

    model: Annotated[
        ModelConfig, BeforeValidator(_as_model, json_schema_input_type=str | ModelConfig)
    ]
    """Model to train: an id or a folder, or a block of settings."""
    corpus: Annotated[
        list[str | SourceConfig],
        BeforeValidator(as_list, json_schema_input_type=str | SourceConfig | Sources),
    ]
    """Named sources (`ttc-rl corpus` lists them), task files, hub ids, or blocks of keys."""
    target: str | SourceConfig | Sources
    """A benchmark, a file of tasks, or one prompt; or several, which then count alike in selection
    however many tasks they hold. The first one is the headline of the report."""
    data: str | None = None
    """A folder of task files that stand in for the hub: `corpus/` and `benchmarks/`. When left out,
    the one that the variable TTC_RL_DATA names, if it is set."""
    seed: int = 42
    """Seed of all that is drawn at random."""
    prompts: Annotated[
        dict[str, Any], BeforeValidator(checked, json_schema_input_type=PromptsConfig)
    ] = {}
    """What the model reads around a task."""
    answer_marks: Annotated[
        list[Mark],
        BeforeValidator(_as_marks, json_schema_input_type=Mark | list[Mark]),
        Field(min_length=1),
        AfterValidator(_once),
    ] = list(DEFAULT)
    """What announces the final answer of a maths task, to training and evaluation alike: `boxed`,
    `"####"` to the end of its line, `<answer>` to `</answer>`. The last announced answer counts;
    the built-in prompt and the replies of a warm-up use the first mark of the list."""
    max_unreadable: float = Field(default=0.05, ge=0, le=1)
    """Share of a source's maths golds that may be sentences, against which no answer can be
    compared; above it a selection stops before it begins."""
    embed: EmbedConfig = EmbedConfig()
    """Settings of the vectors that selection compares tasks by."""
    overlap: OverlapConfig = OverlapConfig()
    """Rules that keep the targets out of the corpus."""
    selection: SelectionConfig = SelectionConfig()
    """Settings of the choice of the curriculum."""
    preflight: PreflightConfig | None = None
    """Look at the base model before training; none when left out. `preflight={}` asks for one."""
    train: TrainConfig = TrainConfig()
    """Settings of the training."""
    eval: EvalConfig = EvalConfig()
    """Settings of the evaluation."""
    policy: PolicyConfig = PolicyConfig()
    """How the trained model, or another one, answers."""
    track: TrackConfig = TrackConfig()
    """Settings of what shows the run elsewhere."""
    experts: ExpertsConfig | None = None
    """Several models, each for some of the targets; one for all when left out."""
    judge: JudgeConfig | None = None
    """Model that grades tasks of kind `judge`."""
    verifiers: dict[str, str] = {}
    """Kind of task -> `module:name` of your own: a function `(task, completion)` that returns a
    verdict, a bool or a share from 0 to 1, or a `Kind`."""
    arms: Annotated[
        dict[str, dict[str, Any]],
        BeforeValidator(_without_nulls, json_schema_input_type=dict[str, dict[str, Any] | None]),
        AfterValidator(_as_folders),
    ] = {}
    """Arm name -> the keys in which it differs; empty for a run of one arm, the recipe itself. An
    arm that is null is left out: `arms.random=null`."""
    study: StudyConfig | None = None
    """What `ttc-rl study` is to answer; without it, the difference of `sift` and `random`."""
    sweep: dict[str, list[Any]] = {}
    """Dotted key -> values: one run for each combination."""
    _places: Places = PrivateAttr(default_factory=Places)

    @property
    def places(self) -> Places:
        """Where its keys stand; unknown of a recipe that no file holds."""
        return self._places

    def placed(self, places: Places) -> Self:
        """Return the same recipe, which now knows where its keys stand."""
        self._places = places
        return self

    @property
    def embedding(self) -> EmbedConfig:
        """Return `embed:` with what the policy reads around a text, if it is the encoder."""
        return self.embed.reading(self.prompts)

    @property
    def engine(self) -> EngineConfig:
        """What an evaluation draws with, its backend filled in."""
        backend = self.eval.engine.backend or self.train.engine.backend
        return self.eval.engine.model_copy(update={"backend": backend})

    def arm(self, name: str) -> Recipe:
        """The recipe of one arm, with its differences folded in; also of ARM/EXPERT."""
        name = name.partition("/")[0]
        plain = self.model_dump(exclude={"arms", "sweep"})
        arm = Recipe.model_validate(arm_tree(plain, self.arms.get(name, {})))
        return arm.placed(self.places.of_arm(name))

    @model_validator(mode="after")
    def _has_a_corpus(self) -> Self:
        if not self.corpus and self.eval.models != ["base"]:
            raise ValueError("corpus: names no source; only an evaluation of the base does without")
        return self

    @model_validator(mode="after")
    def _options_have_an_engine(self) -> Self:
        if self.eval.engine.options and self.engine.backend != "vllm":
            raise ValueError(
                "eval.engine.options: are vLLM's, and this evaluation does not draw by vLLM; "
                "set eval.engine.backend: vllm, or leave them out"
            )
        return self

    @model_validator(mode="after")
    def _mix_has_its_tasks(self) -> Self:
        if self.experts and self.experts.mix == "dev" and self.train.dev is None:
            raise ValueError("experts.mix: dev: weighs by the tasks of `train.dev`; name it")
        return self

    @model_validator(mode="after")
    def _marks_are_asked_for(self) -> Self:
        if tuple(self.answer_marks) == DEFAULT or "math" not in self.prompts:
            return self
        parts = (self.prompts.get(key) or "" for key in ("system", "math", "after"))
        asked = "".join(parts)
        if not any(mark in asked for mark in self.answer_marks):
            raise ValueError(
                f"prompts.math: asks for none of answer_marks ({', '.join(self.answer_marks)}), so "
                "no answer would be read; name one in the template, or leave the template out"
            )
        return self

    @property
    def targets(self) -> list[str | SourceConfig]:
        return self.target if isinstance(self.target, list) else [self.target]

    @property
    def target_sources(self) -> TargetSources:
        return TargetSources(self.targets, self.data, self.verifiers, self.answer_marks)

    @property
    def arm_names(self) -> list[str]:
        return list(self.arms) or [self.selection.method.rpartition(":")[2]]
