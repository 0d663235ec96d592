"""The training: what is trained, by which reward, on which task when, and what stops it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from ttc_rl.config.corpus import SourceConfig
from ttc_rl.config.evaluation import EngineConfig
from ttc_rl.config.section import OWN, OwnOr, Section, is_own, named, with_readers

SERVER_URL = "TTC_RL_VLLM_URL"
"""Variable with the address of vLLM's server, where a recipe cannot know it: in a SLURM job."""


class VllmConfig(Section):
    """How vLLM generates the rollouts of training."""

    mode: Literal["colocate", "server"] = "colocate"
    """Where vLLM runs: on the GPUs that train, or as a `vllm serve` at `server_base_url`."""
    sleep: bool = True
    """Give the GPU's memory to the trainer between rollouts; colocate on CUDA only."""
    gpu_memory_utilization: float = Field(default=0.3, gt=0, lt=1)
    """Share of each GPU's memory that vLLM takes."""
    tensor_parallel_size: int = Field(default=1, gt=0)
    """GPUs that share one copy of the model."""
    server_base_url: str | None = None
    """Address of the server, for `mode: server`, such as `http://node:8000`."""
    engine: dict[str, Any] = {}
    """More arguments of vLLM's engine by its own names, such as `max_num_batched_tokens`; of a
    server those that `ttc-rl launch` starts it with."""


METHODS = ("grpo", "sft", "dpo", "sdpo")
TRAIN_KEYS: Mapping[str, Sequence[str]] = {
    "replies": ("sft",),
    "student_fit": ("sft",),
    **dict.fromkeys(("reward", "malformed", "majority", "updates_per_step"), ("grpo", "sdpo", OWN)),
    **dict.fromkeys(("ttrl", "pass_at_k", "guard", "dynamic_sampling"), ("grpo", OWN)),
}
"""Key -> the methods that read it; all others are read by every one."""
REWARDS = ("correct", "partial", "format", "shuffled")


class DevConfig(Section):
    """Evaluation while training, on labelled tasks that are neither trained on nor tested on."""

    every: int = Field(default=10, gt=0)
    """Steps between two evaluations; there is one before the first step and one after the last."""
    tasks: int = Field(default=32, gt=0)
    """Labelled tasks that are evaluated each time."""
    samples: int = Field(default=4, gt=0)
    """Completions drawn for each of them."""
    source: str | SourceConfig | None = None
    """Labelled tasks. When left out, tasks near the targets are held out of the corpus. `target`
    reads the test's own golds, for looking on: the report then says so."""


class AdapterConfig(Section):
    """LoRA (arXiv 2106.09685) through peft: W + alpha / rank * B A, only A and B are trained."""

    rank: int = Field(default=16, gt=0)
    """Rank of the two matrices A and B."""
    alpha: int | None = Field(default=None, gt=0)
    """Twice the rank when left out."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs that is set to zero while training."""
    target_modules: str | list[str] = "all-linear"
    """Names of the linear layers that get an adapter; `all-linear` for every one but the head."""
    load_in_4bit: bool = False
    """Hold the base in four bits while training (QLoRA); needs bitsandbytes."""
    peft: dict[str, Any] = {}
    """More fields of peft's LoraConfig, handed on as they stand, such as `use_dora`."""


class SvfConfig(Section):
    """Singular-value fine-tuning (arXiv 2501.06252): W = U diag(S z) V', only z is trained."""

    target_modules: str | list[str] = "all-linear"
    """Names of the linear layers that are scaled; `all-linear` for every one but the head."""
    form: Literal["paper", "released"] = "paper"
    """z itself, or gates with their common factor taken out, as in the authors' code."""


Alarm = Literal["nan", "unmoved", "drift", "collapse", "zero_variance", "undecided", "stall"]


class WatchdogConfig(Section):
    """When training raises an alarm, and which alarms end it, with a checkpoint."""

    stop: list[Alarm] = ["nan", "unmoved", "drift"]
    """Alarms that end the training."""
    stall: float = Field(default=1800.0, gt=0)
    """Seconds a step may take before the stacks of all threads are written to stall.txt."""
    drift: float = Field(default=0.1, gt=0)
    """Nats between log-probabilities of vLLM's sampler and of the trainer, mean over tokens."""


CURRICULA = ("static", "achievable", "beta", "discover", "difficulty", "gradalign")


FOLLOWING = (*CURRICULA[1:], OWN)
CURRICULUM_KEYS: Mapping[str, Sequence[str]] = {
    "every": FOLLOWING,
    "pool": FOLLOWING,
    "reembed": tuple(name for name in FOLLOWING if name != "gradalign"),
    "probes": ("gradalign",),
    "band": ("achievable", "beta", OWN),
    "candidates": ("achievable", "beta", OWN),
}
"""Key -> the methods that read it."""


class CurriculumConfig(Section):
    """Which tasks each step trains on: those picked before training, or a choice that follows the
    model. docs/curricula.md says what each method does; what has no source there is ours."""

    model_config = ConfigDict(json_schema_extra=with_readers(CURRICULUM_KEYS))

    method: Annotated[str, OwnOr(CURRICULA)] = "static"
    """One of docs/curricula.md, or `my_package.my_module:Class`, a subclass of `Following`."""
    every: int | None = Field(default=None, gt=0)
    """Steps between two choices; 1 of `discover` and 10 of the others when left out."""
    pool: int | None = Field(default=None, gt=0)
    """Choose among the selection's picks and the so many corpus tasks nearest to the targets; four
    times `selection.size` when left out, the whole corpus where it is as large."""
    band: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (
        0.25, 0.60,
    )  # fmt: skip
    """Success that a task to be trained on should have."""
    candidates: int = Field(default=1000, gt=0)
    """Tasks that are drawn from; those nearest to the band's middle fill up."""
    reembed: bool = False
    """Before each choice, embed pool and targets with the model as it is then."""
    probes: int = Field(default=4, gt=1)
    """Rollouts for each task of the pool and each target before a choice; they are taken off the
    training's."""

    @model_validator(mode="after")
    def _band_is_one(self) -> Self:
        if self.band[0] >= self.band[1]:
            raise ValueError(f"band {list(self.band)}: the first number must be the lower one")
        return self


class GuardConfig(Section):
    """Groups that teach nothing may not move the model: they are dropped, and the step shrinks.

    Adam rescales what gradient is left to a whole step, so dropping alone does not help."""

    min_successes: int = Field(default=2, gt=0)
    """Groups with fewer successes, or without a failure, are dropped."""
    max_guess: float | None = Field(default=None, gt=0, le=1)
    """Groups whose successes are guesses with a higher chance are dropped too, by the number of
    answers that a task could have; 0.5 is a good value."""


class ExpertsConfig(Section):
    """One curriculum and one model for each target, or for each group of targets that are alike:
    a task is answered by the expert of its nearest target. `selection.size` is that of one."""

    groups: int | None = Field(default=None, gt=0)
    """Groups of targets, by k-means of their embeddings; each target is its own when left out."""
    processes: int = Field(default=1, gt=0)
    """Experts trained at once on this machine, each by a process of its own, on a GPU of its own
    where there are GPUs."""
    mix: Literal["votes", "dev"] | None = None
    """One model of all experts in their place, their changes weighted so that votes on the target
    prompts are the most agreed, or the most of the tasks of `train.dev` are right."""
    generations: int = Field(default=8, gt=0)
    """Generations of the search for the weights of `mix`."""


class TtrlConfig(Section):
    """The targets themselves in every step, rewarded for agreement (TTRL, arXiv 2504.16084)."""

    tasks: int = Field(default=2, gt=0)
    """Target prompts among a step's tasks; the rest are the curriculum's."""


class TrainConfig(Section):
    """How the model is trained on the curriculum."""

    model_config = ConfigDict(json_schema_extra=with_readers(TRAIN_KEYS))

    method: Annotated[str, OwnOr(METHODS)] = "grpo"
    """How weights are changed, or `my_package.my_module:METHOD`, a `Method` of your own.
    docs/methods.md says what each does."""
    replies: Literal["gold", "own"] = "gold"
    """What `sft` learns: the tasks' gold replies, or right rollouts of the base model itself."""
    student_fit: bool = False
    """Learn only replies that fit the model: IFD and r-IFD below 1 (arXiv 2402.10110). Of a task's
    reply and a teacher's, `meta.refined`, the one that fits better is learned."""
    epochs: int = Field(default=1, gt=0)
    """Passes over the curriculum, in the selector's order each time."""
    tasks_per_step: int = Field(default=8, gt=0)
    """Tasks in a step."""
    rollouts_per_task: int = Field(default=16, gt=1)
    """Completions drawn for each task of a step: the group that a reward is compared in."""
    max_completion_tokens: int = Field(default=2048, gt=0)
    """Most tokens of a completion; a longer one is cut."""
    micro_batch: int | None = Field(default=None, gt=0)
    """Completions per forward and backward pass on one device; all of an update's when left out."""
    updates_per_step: int = Field(default=1, gt=0)
    """Optimiser updates a step, each on an equal share of its completions, mixed over its tasks."""
    save_steps: int = Field(default=10, gt=0)
    """A resumable checkpoint every so many steps; the newest two are kept."""
    trl: dict[str, Any] = {}
    """Fields of TRL's GRPOConfig, or of SFTConfig, DPOConfig or SDPOConfig by the method, handed on
    as they stand."""
    watchdog: WatchdogConfig = WatchdogConfig()
    """Limits at which training raises an alarm or ends."""
    lora: AdapterConfig | None = None
    """Train an adapter; all parameters when left out."""
    svf: SvfConfig | None = None
    """Train an adapter that scales singular values."""
    mask: str | None = None
    """A file of `ttc-rl patch`: train only the weights that differ there, wherever they go."""
    keep: Literal["last", "best"] = "last"
    """Leave the model of the last step, or of the best evaluation on the tasks of `dev`."""
    stop: int | None = Field(default=None, gt=0)
    """End training after so many evaluations in a row without a gain on the tasks of `dev`: without
    a paired difference whose interval lies above 0."""
    dev: DevConfig | None = None
    """Evaluate every so many steps; not at all when left out."""
    reward: Annotated[str, OwnOr(REWARDS)] = "correct"
    """`partial` counts a program's tests. `format` and `shuffled` are control arms: what is gained
    without learning to solve. `module:function` is your own, of `(task, verdict)`, or of
    `(completions, **columns)` as TRL calls it."""
    malformed: float = Field(default=0.0, le=0)
    """Reward of a completion that ended by itself and left no answer to be read; a `reward` of your
    own says that itself."""
    majority: tuple[float, float] | None = None
    """Reward agreement with the majority of a group, not with the gold (TTRL), where its share of
    the group lies from the first to the second number."""
    ttrl: TtrlConfig | None = None
    """Mix target prompts into every step; their golds are not read. Not at all when left out."""
    pass_at_k: int | None = Field(default=None, gt=1)
    """Reward the best of so many rollouts (pass@k training, arXiv 2508.10751), not each one."""
    max_infra_errors: float = Field(default=0.1, ge=0, le=1)
    """Stop where more than this share of a step's verdicts failed for reasons of ours."""
    charge_selection: bool = False
    """Take what the selection spent on the model off the training: fewer steps, equal compute."""
    vllm: VllmConfig | None = None
    """Generate rollouts with vLLM; transformers' generate when left out."""
    curriculum: CurriculumConfig = CurriculumConfig()
    """Settings of the order in which tasks are trained on."""
    dynamic_sampling: int | None = Field(default=None, gt=1)
    """Draw up to so many times for a step: other tasks in the place of groups that are all right or
    all wrong (DAPO, arXiv 2503.14476). The curriculum's rollouts stay the most that are drawn, so
    that there are fewer steps."""
    guard: GuardConfig | None = None
    """Settings that drop groups of over-hard tasks; no step is touched when left out."""

    @property
    def engine(self) -> EngineConfig:
        """What draws where training is not under way yet: for selection, and for a judge here."""
        return EngineConfig(backend="vllm" if self.vllm else "transformers")

    @property
    def adapter(self) -> AdapterConfig | SvfConfig | None:
        return self.lora or self.svf

    @property
    def report_to(self) -> list[str]:
        """What `trl.report_to` names beside W&B, which is `track.wandb`."""
        return named(self.trl.get("report_to"))

    @property
    def follows(self) -> bool:
        """Training looks at each step's rewards before the next one: not so on a plain recipe."""
        return (
            self.curriculum.method != "static"
            or self.guard is not None
            or self.dynamic_sampling is not None
            or self.pass_at_k is not None
        )

    @property
    def rollouts_per_step(self) -> int:
        return self.tasks_per_step * self.rollouts_per_task

    @property
    def curriculum_tasks_per_step(self) -> int:
        """What `ttrl` leaves of `tasks_per_step`."""
        return self.tasks_per_step - (self.ttrl.tasks if self.ttrl else 0)

    @property
    def updates(self) -> int:
        """Optimiser updates between two generations: TRL's `global_step` counts these."""
        return self.updates_per_step * self.trl.get("num_iterations", 1)

    @model_validator(mode="after")
    def _one_thing_is_trained(self) -> Self:
        kinds = [name for name in ("lora", "svf", "mask") if getattr(self, name) is not None]
        if len(kinds) > 1:
            raise ValueError(f"{' and '.join(kinds)}: what is trained is one of them; name one")
        if self.mask and self.trl.get("weight_decay"):
            raise ValueError("`mask` and `trl.weight_decay`: decay would move the others as well")
        return self

    @model_validator(mode="after")
    def _looks_at_dev(self) -> Self:
        asked = "stop" if self.stop is not None else "keep" if self.keep == "best" else None
        if asked and self.dev is None:
            raise ValueError(f"`{asked}` goes by evaluations while training; give `dev:` too")
        if asked and self.dev and self.dev.source == "target":
            raise ValueError(
                f"`{asked}` and `dev.source: target`: the model would be chosen by the test's own "
                "golds; give other tasks, or leave one out"
            )
        return self

    @model_validator(mode="after")
    def _follows_by_rollouts(self) -> Self:
        if self.method in METHODS[1:] and self.curriculum.method != "static":
            raise ValueError(
                f"curriculum.method {self.curriculum.method}: follows the rollouts of GRPO, and "
                f"`method: {self.method}` trains the picks in their order; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _fits_golds(self) -> Self:
        if self.student_fit and self.replies == "own":
            raise ValueError("student_fit: the model's own replies fit it; leave it out")
        return self

    @model_validator(mode="after")
    def _one_reward(self) -> Self:
        if self.majority and self.reward != "correct":
            raise ValueError(f"`majority` and `reward: {self.reward}` are two rewards; name one")
        if self.malformed and is_own(self.reward):
            raise ValueError(
                f"`malformed` and `reward: {self.reward}`: your function says what such a "
                "completion gets; leave `malformed` out"
            )
        return self

    @model_validator(mode="after")
    def _ttrl_fits(self) -> Self:
        if self.ttrl is None:
            return self
        if self.ttrl.tasks >= self.tasks_per_step:
            raise ValueError(
                f"ttrl.tasks {self.ttrl.tasks} leaves no task of the curriculum in a step of "
                f"{self.tasks_per_step}"
            )
        if self.reward == "shuffled":
            raise ValueError("`ttrl` and `reward: shuffled`: target prompts have no gold to swap")
        if self.curriculum.method != "static" or self.guard or self.dynamic_sampling:
            raise ValueError(
                "`ttrl` mixes into a static curriculum; leave out `curriculum`, `guard` and "
                "`dynamic_sampling`"
            )
        return self

    @model_validator(mode="after")
    def _pass_at_k_fits(self) -> Self:
        if self.pass_at_k is None:
            return self
        if self.pass_at_k >= self.rollouts_per_task:
            raise ValueError(
                f"pass_at_k {self.pass_at_k} must be below rollouts_per_task "
                f"{self.rollouts_per_task}: every subset of a group would be the group"
            )
        if self.trl.get("scale_rewards") == "batch":
            raise ValueError("`pass_at_k` goes with `trl.scale_rewards` group or none, not batch")
        return self

    @model_validator(mode="after")
    def _guard_keeps_some(self) -> Self:
        if self.guard and self.guard.min_successes >= self.rollouts_per_task:
            raise ValueError(
                f"guard.min_successes {self.guard.min_successes} drops every group of "
                f"{self.rollouts_per_task} rollouts"
            )
        return self

    @model_validator(mode="after")
    def _a_step_divides(self) -> Self:
        step = f"a step ({self.tasks_per_step} tasks x {self.rollouts_per_task})"
        if self.rollouts_per_step % self.updates_per_step:
            raise ValueError(
                f"updates_per_step {self.updates_per_step} does not divide the "
                f"{self.rollouts_per_step} completions of {step}"
            )
        update = self.rollouts_per_step // self.updates_per_step
        if self.micro_batch and update % self.micro_batch:
            what = "an update" if self.updates_per_step > 1 else step
            raise ValueError(
                f"micro_batch {self.micro_batch} does not divide the {update} completions of {what}"
            )
        return self
