"""The sections of a recipe: typed, frozen, strict. A knob is here because a recipe needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    model_validator,
)
from pydantic_core import core_schema

from ttc_rl.config.marks import DEFAULT, Mark
from ttc_rl.config.places import Places, did_you_mean


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class OwnOr:
    """The type of one of the names, or of a dotted path to something of the user's own."""

    names: tuple[str, ...]

    def check(self, value: str) -> str:
        if value not in self.names and not re.fullmatch(DOTTED, value):
            hint = did_you_mean(value, self.names) or f"; there are {', '.join(self.names)}"
            raise ValueError(f"no such name{hint}; of your own: my_package.my_module:name")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.names)}, {"type": "string", "pattern": DOTTED}]}


DOTTED = r"^[\w.]+:\w+$"


def is_own(name: str) -> bool:
    """Whether a recipe names something of the user's own."""
    return ":" in name


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping) else value


class SkillsConfig(Section):
    """Tasks made by the procedural source `ttc_rl.corpus.skills`."""

    families: list[str] | None = None
    """Skill families; all of them when left out."""
    split: Literal["pretrain", "train", "test"] = "train"
    tasks_per_family: int = Field(default=128, gt=0)
    levels: list[int] = [1, 2, 3]
    seed: int = 0


class EverydayConfig(Section):
    """Everyday questions made by the procedural source `ttc_rl.corpus.everyday`."""

    families: list[str] | None = None
    """Families of questions; all of them when left out."""
    split: Literal["warmup", "train", "test"] = "train"
    tasks_per_family: int = Field(default=128, gt=0)
    """Different contents of each family; echoes come on top."""
    echoes: int = Field(default=0, ge=0, le=4)
    """Near-duplicates of every fourth content: the same question behind another opening."""
    seed: int = 0


Shape = Literal[
    "humaneval", "mbpp", "mbppplus", "leetcode", "livecodebench", "codeforces", "codeelo",
    "code_contests", "taco", "primeintellect", "gpqa", "mmlu_pro", "olympiadbench",
]  # fmt: skip
"""Published row formats that ttc_rl/corpus/row_shapes.py turns into our fields."""


class ConditionConfig(Section):
    """What a row's value in one column has to be; all that is named has to hold."""

    one_of: list[Any] | None = None
    none_of: list[Any] | None = None
    before: str | None = None
    """As text, which is right for days as 2024-08-01."""
    contains: str | None = None


ORIGINS = ("path", "hub", "skills", "everyday")


class SourceConfig(Section):
    """Where tasks come from: exactly one of `path`, `hub`, `skills` and `everyday`."""

    path: str | None = None
    """A .jsonl, .jsonl.gz or .parquet file, or a glob of them."""
    hub: str | None = None
    """A Hugging Face dataset id."""
    skills: SkillsConfig | None = None
    everyday: EverydayConfig | None = None
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    kind: str | None = None
    """Task kind of every row, where the rows do not carry their own."""
    columns: dict[str, str] = {}
    """Task field -> column name, e.g. `{prompt: problem, gold: answer}`."""
    gold_after: str | None = None
    """The gold is what follows the last such mark in its column: GSM8K's `####`."""
    shape: Shape | None = None
    """The published format of the rows, where naming columns is not enough."""
    meta: dict[str, Any] = {}
    """Added to every task: `{tolerance: 0.05}` where golds were rounded."""
    where: dict[str, ConditionConfig] = {}
    """Column -> condition: rows that do not fulfil all of them are not part of the source."""
    min_tests: int | None = Field(default=None, gt=0)
    """Programs with fewer tests are not part of it, unless the first one's input is long."""
    limit: int | None = Field(default=None, gt=0)

    @property
    def generated(self) -> SkillsConfig | EverydayConfig | None:
        """The settings of a procedural source; None where rows are read."""
        return self.skills or self.everyday

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ORIGINS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(ORIGINS)}; got {given or 'none'}")
        if self.shape and (self.columns or self.kind):
            raise ValueError(f"shape {self.shape} knows kind and columns; leave them out")
        return self


class PretrainConfig(Section):
    """A tiny Qwen3-architecture model trained from scratch, for machines with no pretrained one."""

    hidden: int = Field(default=64, gt=0)
    layers: int = Field(default=3, gt=0)
    heads: int = Field(default=2, gt=0)
    mlp: int = Field(default=192, gt=0)
    skills: SkillsConfig | None = SkillsConfig()
    """Families it learns from; None leaves the weights random (for plumbing tests)."""
    max_steps: int = Field(default=800, ge=0)
    batch: int = Field(default=64, gt=0)
    stop_at: float = Field(default=0.2, gt=0, le=1)
    """Stop at the first evaluation where mean pass@1 over the families reaches this."""
    eval_every: int = Field(default=25, gt=0)
    seed: int | None = None
    """The recipe's seed when left out."""


class WarmupConfig(Section):
    """A short supervised training of the base model, so that it knows the form of an answer.

    It is part of the model: every arm, and `base`, starts from it."""

    source: str | SourceConfig | None = None
    """Labelled tasks; the recipe's corpus when left out. Tasks that overlap a target are removed
    by the rules of `overlap:`."""
    tasks: int = Field(default=320, gt=0)
    """At random; all of the source where it has no more."""
    epochs: int = Field(default=1, gt=0)
    batch: int = Field(default=8, gt=0)
    """Tasks a step."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Of AdamW; falls linearly to 0."""
    seed: int | None = None
    """The recipe's seed when left out."""


class ModelConfig(Section):
    path: str | None = None
    """A Hugging Face model id or a local folder."""
    pretrain: PretrainConfig | None = None
    warmup: WarmupConfig | None = None
    """Train it on a few labelled tasks first; not at all when left out."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Of the numbers that completions are drawn with and that training computes with; trained
    weights stay in float32. When left out, bfloat16 on a CUDA card and float32 elsewhere."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.pretrain is None):
            raise ValueError("needs a model id or folder, or a `pretrain:` block, not both")
        return self


class EmbedConfig(Section):
    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    """A sentence encoder, or `policy`: the recipe's own model, at the prompt's last token."""
    backend: Literal["sentence-transformers", "vllm"] = "sentence-transformers"
    prompt: str = ""
    """Put before every text, for encoders trained with one."""
    kind_sentence: bool = False
    """Put a sentence after every text that names the task's kind."""
    batch: int = Field(default=64, gt=0)
    processes: int | None = Field(default=None, gt=0)
    """Of sentence-transformers; one a GPU when left out, and none besides this without a GPU."""
    dtype: Literal["float16", "float32"] = "float16"
    """Of the vectors of the corpus on disk; docs/embedding.md says what float16 changes."""
    shards: Annotated[list[str], BeforeValidator(_as_list)] = []
    """Folders that `ttc-rl embed --out` made; a text found there is not embedded again."""


class DedupeConfig(Section):
    """Of tasks of the corpus that repeat one another, the first stays."""

    exact: bool = True
    """The same prompt but for white space and LaTeX that does not print."""
    fuzzy: float | None = Field(default=None, gt=0, le=1)
    """The same formulas, and weighted Jaccard similarity of the texts of at least this."""
    cosine: float | None = Field(default=None, gt=-1, le=1)
    """The same formulas, and embeddings with at least this cosine."""


class OverlapConfig(Section):
    ngram: int = Field(default=13, gt=0)
    """Remove a corpus task that shares an n-gram with a target, ..."""
    coverage: float = Field(default=0.5, ge=0, le=1)
    """... if shared n-grams cover at least this share of the target's; 0 removes on any one."""
    fuzzy: float | None = Field(default=0.8, gt=0, le=1)
    """Remove where at least this share of the shorter text, by rarity, is in the longer one."""
    cosine: float | None = Field(default=None, gt=-1, le=1)
    """Remove where the embeddings that selection uses have at least this cosine."""
    leave_nearest: int = Field(default=0, ge=0)
    """Remove each target's so many nearest tasks as well: does the gain survive without them?"""
    dedupe: DedupeConfig = DedupeConfig()


class DifficultyConfig(Section):
    """How often the base model solves a corpus task; for `difficulty`, `band` and their report."""

    key: str | None = None
    """Key of `meta` that holds the success rate, e.g. `solve_rate_percent`; drawn when left out."""
    scale: float = Field(default=1.0, gt=0)
    """What that number is multiplied by: 0.01 for percent."""
    samples: int = Field(default=8, gt=0)
    """Completions drawn from the base model for each task of the pool."""
    prior: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (1.0, 1.0)
    """Beta prior: successes and failures believed in before any draw."""
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
    warmup_share: float = Field(default=0.05, gt=0, le=1)
    """Share of the corpus, at random, that the warm-up trains on; `policy` has no warm-up."""
    warmup_epochs: int = Field(default=4, gt=0)
    """Passes over it; a checkpoint is kept after each."""
    warmup_batch: int = Field(default=32, gt=0)
    warmup_learning_rate: float = Field(default=2e-5, gt=0)
    """Of Adam; falls linearly to 0."""
    lora_rank: int | None = Field(default=None, ge=0)
    """0 for gradients of all parameters; when left out, 128 from 50 million parameters on."""

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


SELECTORS = (
    "sift", "difficulty", "band", "nearest", "top", "random", "random-within-kind", "oracle",
    "facility", "kmeans++", "uncertainty", "qp", "hull", "less",
)  # fmt: skip
"""docs/selectors.md says what each does, where it is from, and what it costs."""


class SelectionConfig(Section):
    method: Annotated[str, OwnOr(SELECTORS)] = "sift"
    """A selector, or `my_package.my_module:function`, which is given a `Problem`."""
    size: int = Field(default=1000, gt=0)
    """Tasks in the curriculum; the most, where `stop` ends it before."""
    noise: float = Field(default=0.1, gt=0)
    """Observation noise, the paper's lambda; larger favours relevance over diversity."""
    objective: Literal["sum", "mean", "max"] = "sum"
    """Of the targets' variances; `max` looks after the target that is worst off."""
    weight_by: str | None = None
    """Key of `meta` that holds a target's weight; all weigh the same when left out."""
    shares: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Of several targets: name -> what its tasks count for together; 1 where it is not named."""
    repeat: bool = False
    """SIFT may pick a task again."""
    stop: StopConfig | None = None
    device: str | None = None
    """A torch device for SIFT, `cuda` or `cuda:1`; numpy on the host when left out."""
    group_by: str = "family"
    """`oracle` only: the key of `meta` in which a corpus task must agree with a target."""
    difficulty: DifficultyConfig = DifficultyConfig()
    less: LessConfig = LessConfig()


SERVER_URL = "TTC_RL_VLLM_URL"
"""Variable with the address of vLLM's server, where a recipe cannot know it: in a SLURM job."""


class VllmConfig(Section):
    mode: Literal["colocate", "server"] = "colocate"
    """On the GPUs that train, or a `vllm serve` of its own at `server_base_url`."""
    sleep: bool = True
    """Give the GPU's memory to the trainer between rollouts; colocate on CUDA only."""
    gpu_memory_utilization: float = Field(default=0.3, gt=0, lt=1)
    tensor_parallel_size: int = Field(default=1, gt=0)
    server_base_url: str | None = None


REWARDS = ("correct", "partial", "format", "shuffled")


class EngineConfig(Section):
    """What draws the completions of an evaluation."""

    backend: Literal["transformers", "vllm", "endpoint"] | None = None
    """That of training when left out: vllm where `train.vllm` is set, else transformers."""
    processes: int = Field(default=1, gt=0)
    """Engines on this machine that share the work, each on GPUs of its own."""
    tensor_parallel_size: int = Field(default=1, gt=0)
    """GPUs of one vLLM engine."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    max_model_len: int | None = Field(default=None, gt=0)
    """Tokens of prompt and completion that vLLM makes room for; the model's own when left out."""
    url: str | None = None
    """Of an endpoint, up to and including the version: `http://localhost:8000/v1`."""
    served: dict[str, str] = {}
    """Model of this run (`base`, an arm) -> its name at the endpoint; only these are evaluated."""
    chat: bool = True
    """Ask for chat completions; False for base models without a chat template."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the endpoint's key."""
    concurrency: int = Field(default=64, gt=0)
    """Requests under way at the endpoint."""
    timeout: float = Field(default=1800.0, gt=0)
    """Seconds for one completion of the endpoint."""

    def batch(self, asked: int | None) -> int:
        """Completions to ask for at once, where `eval.batch` does not say it."""
        if asked is not None:
            return asked
        return {"transformers": 64, "vllm": 4096}.get(self.backend or "", 4 * self.concurrency)

    @model_validator(mode="after")
    def _endpoint_is_whole(self) -> Self:
        told = self.url is not None, bool(self.served)
        if self.backend == "endpoint" and told != (True, True):
            raise ValueError(
                "`backend: endpoint` needs `url:` and `served: {base: its name there}`"
            )
        if self.backend != "endpoint" and any(told):
            raise ValueError("`url:` and `served:` belong to `backend: endpoint`")
        if self.backend == "endpoint" and self.processes > 1:
            raise ValueError("an endpoint is asked by one process; raise `concurrency:` instead")
        return self


class DevConfig(Section):
    """Evaluation while training, on labelled tasks that are neither trained on nor tested on."""

    every: int = Field(default=10, gt=0)
    """Steps between two evaluations; there is one before the first step and one after the last."""
    tasks: int = Field(default=32, gt=0)
    samples: int = Field(default=4, gt=0)
    source: str | SourceConfig | None = None
    """Labelled tasks. When left out, tasks near the targets are held out of the corpus. `target`
    reads the test's own golds, for looking on: the report then says so."""


class AdapterConfig(Section):
    """LoRA (arXiv 2106.09685) through peft: W + alpha / rank * B A, only A and B are trained."""

    rank: int = Field(default=16, gt=0)
    alpha: int | None = Field(default=None, gt=0)
    """Twice the rank when left out."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"
    load_in_4bit: bool = False
    """Hold the base in four bits while training (QLoRA); needs bitsandbytes."""


class SvfConfig(Section):
    """Singular-value fine-tuning (arXiv 2501.06252): W = U diag(S z) V', only z is trained."""

    target_modules: str | list[str] = "all-linear"
    form: Literal["paper", "released"] = "paper"
    """z itself, or gates with their common factor taken out, as in the authors' code."""


Alarm = Literal["nan", "unmoved", "drift", "collapse", "zero_variance", "undecided", "stall"]


class WatchdogConfig(Section):
    """When training raises an alarm, and which alarms end it, with a checkpoint."""

    stop: list[Alarm] = ["nan", "unmoved", "drift"]
    window: int = Field(default=20, gt=0)
    """Steps that a mean is taken over."""
    stall: float = Field(default=1800.0, gt=0)
    """Seconds a step may take before the stacks of all threads are written to stall.txt."""
    drift: float = Field(default=0.1, gt=0)
    """Nats between log-probabilities of vLLM's sampler and of the trainer, mean over tokens."""
    collapse: float = Field(default=0.5, gt=0, lt=1)
    """Share of its best window to which the mean reward may fall."""
    zero_variance: float = Field(default=0.95, gt=0, le=1)
    """Share of groups in which all rewards are equal."""
    undecided: float = Field(default=0.1, gt=0, le=1)
    """Share of completions that could not be compared with their golds; votes do not count."""


CURRICULA = ("static", "achievable", "beta", "discover", "difficulty")


class CurriculumConfig(Section):
    """Which tasks each step trains on: those picked before training, or a choice that follows the
    model. docs/curricula.md says what each method does; what has no source there is ours."""

    method: Annotated[str, OwnOr(CURRICULA)] = "static"
    """One of docs/curricula.md, or `my_package.my_module:Class`, a subclass of `Following`."""
    every: int | None = Field(default=None, gt=0)
    """Steps between two choices; 1 of `discover` and 10 of the others when left out."""
    pool: int | None = Field(default=None, gt=0)
    """Choose among the selection's picks and the so many corpus tasks nearest to the targets; four
    times `selection.size` when left out, the whole corpus where it is as large."""
    prior: float = Field(default=0.5, gt=0, lt=1)
    """Success believed in before a rollout, where selection has not measured it."""
    band: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (
        0.25, 0.60,
    )  # fmt: skip
    """Of `achievable` and `beta`: success that a task to be trained on should have."""
    candidates: int = Field(default=1000, gt=0)
    """Of `achievable` and `beta`: where fewer are in the band, those nearest to its middle fill."""
    decay: float = Field(default=0.95, gt=0, le=1)
    """Weight that a rollout keeps from step to step; of all but `achievable`."""
    reach: float = Field(default=0.05, gt=0)
    """A rollout counts exp((cosine - 1) / reach) for a similar task; of all but `achievable`."""
    novelty: float = Field(default=1.0, ge=0)
    """Of `discover`: standard deviations of success that count as success."""
    reembed: bool = False
    """Before each choice, embed pool and targets with the model as it is then."""
    rate: float = Field(default=0.1, gt=0)
    """Of `discover`: how fast relevance is given up for success where less than half succeeds."""

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
    full_at: float = Field(default=0.5, gt=0, le=1)
    """The learning rate of a step is multiplied by (share of groups kept) / this, at most 1."""


class ExpertsConfig(Section):
    """One curriculum and one model for each target, or for each group of targets that are alike:
    a task is answered by the expert of its nearest target. `selection.size` is that of one."""

    groups: int | None = Field(default=None, gt=0)
    """Groups of targets, by k-means of their embeddings; each target is its own when left out."""
    mix: Literal["votes", "dev"] | None = None
    """In place of that, one model of them all, their changes weighted so that votes on the target
    prompts are the most agreed, or the most of the tasks of `train.dev` are right."""
    generations: int = Field(default=8, gt=0)
    """Of the search for those weights."""


class TtrlConfig(Section):
    """The targets themselves in every step, rewarded for agreement (TTRL, arXiv 2504.16084)."""

    tasks: int = Field(default=2, gt=0)
    """Of a step's tasks, how many are target prompts; the rest are the curriculum's."""
    band: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (
        0.0, 1.0,
    )  # fmt: skip
    """Share of a group that must agree for its vote to be trusted, from and to."""


class TrainConfig(Section):
    method: Literal["grpo"] = "grpo"
    """How weights are changed."""
    epochs: int = Field(default=1, gt=0)
    """Passes over the curriculum, in the selector's order each time."""
    tasks_per_step: int = Field(default=8, gt=0)
    rollouts_per_task: int = Field(default=16, gt=1)
    max_completion_tokens: int = Field(default=2048, gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    """Completions per forward and backward pass on one device; all of an update's when left out."""
    updates_per_step: int = Field(default=1, gt=0)
    """Optimiser updates a step, each on an equal share of its completions, mixed over its tasks."""
    save_steps: int = Field(default=10, gt=0)
    """A resumable checkpoint every so many steps; the newest two are kept."""
    trl: dict[str, Any] = {}
    """Handed to TRL's GRPOConfig as it stands."""
    watchdog: WatchdogConfig = WatchdogConfig()
    lora: AdapterConfig | None = None
    """Train an adapter; all parameters when left out."""
    svf: SvfConfig | None = None
    """Train an adapter that scales singular values."""
    mask: str | None = None
    """A file of `ttc-rl patch`: train only the weights that differ there, wherever they go."""
    dev: DevConfig | None = None
    """Evaluate every so many steps; not at all when left out."""
    reward: Annotated[str, OwnOr(REWARDS)] = "correct"
    """`partial` counts a program's tests. `format` and `shuffled` are control arms: what is gained
    without learning to solve."""
    malformed: float = Field(default=0.0, le=0)
    """Reward of a completion that ended by itself and left no answer to be read."""
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
    guard: GuardConfig | None = None
    """Against over-hard tasks; no step is touched when left out."""

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
    def _check(self) -> Self:
        asked = [name for name in ("lora", "svf", "mask") if getattr(self, name) is not None]
        if len(asked) > 1:
            raise ValueError(f"{' and '.join(asked)}: what is trained is one of them; name one")
        if self.mask and self.trl.get("weight_decay"):
            raise ValueError("`mask` and `trl.weight_decay`: decay would move the others as well")
        if self.majority and self.reward != "correct":
            raise ValueError(f"`majority` and `reward: {self.reward}` are two rewards; name one")
        if self.ttrl and self.ttrl.tasks >= self.tasks_per_step:
            raise ValueError(
                f"ttrl.tasks {self.ttrl.tasks} leaves no task of the curriculum in a step of "
                f"{self.tasks_per_step}"
            )
        if self.ttrl and self.reward == "shuffled":
            raise ValueError("`ttrl` and `reward: shuffled`: target prompts have no gold to swap")
        if self.ttrl and (self.curriculum.method != "static" or self.guard):
            raise ValueError(
                "`ttrl` mixes into a static curriculum; leave out `curriculum`, `guard`"
            )
        if self.pass_at_k and self.pass_at_k >= self.rollouts_per_task:
            raise ValueError(
                f"pass_at_k {self.pass_at_k} must be below rollouts_per_task "
                f"{self.rollouts_per_task}: every subset of a group would be the group"
            )
        if self.pass_at_k and self.trl.get("scale_rewards") == "batch":
            raise ValueError("`pass_at_k` goes with `trl.scale_rewards` group or none, not batch")
        if self.guard and self.guard.min_successes >= self.rollouts_per_task:
            raise ValueError(
                f"guard.min_successes {self.guard.min_successes} drops every group of "
                f"{self.rollouts_per_task} rollouts"
            )
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


class PreflightConfig(Section):
    """A look at the base model on some tasks of the curriculum, after selection; it can say no."""

    tasks: int = Field(default=16, gt=0)
    """Of each arm's curriculum, evenly over its order."""
    samples: int = Field(default=8, gt=1)
    max_truncated: float = Field(default=0.5, ge=0, le=1)
    """Share of completions cut at the limit."""
    max_flat: float = Field(default=0.9, ge=0, le=1)
    """Share of groups with one verdict only."""
    max_refused_golds: float = Field(default=0.02, ge=0, le=1)
    """Share of golds that their own verifier does not accept."""
    max_uncovered: float = Field(default=0.6, ge=0, le=1)
    """Share of targets of which even the whole corpus would leave more than half unknown."""
    gain: float | None = Field(default=None, gt=0, lt=1)
    """Expected gain in avg@n: the evaluation has to resolve it. Not asked for when left out."""
    refuse: bool = True
    """End the run where something is wrong; else it is only said."""


class SamplingConfig(Section):
    """How completions are drawn in an evaluation. A benchmark's YAML holds its own defaults."""

    samples: int | None = Field(default=None, gt=0)
    """Completions per task; avg@n is over all of them."""
    temperature: float | None = Field(default=None, gt=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    k: list[Annotated[int, Field(gt=0)]] | None = None
    """pass@k and maj@k are reported for each."""
    max_tokens: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _k_fits(self) -> Self:
        if self.k and self.samples and max(self.k) > self.samples:
            raise ValueError(
                f"k: pass@{max(self.k)} needs at least {max(self.k)} samples per task, "
                f"but samples is {self.samples}"
            )
        return self


class EvalConfig(SamplingConfig):
    benchmarks: list[str] = []
    """Benchmarks besides the target, which is always evaluated."""
    retention: list[str] | None = None
    """Benchmarks unlike the target, to see what training on it cost. When left out and no other
    benchmark is named: other families for skills and everyday questions, 200 tasks of MMLU-Pro for
    maths, 100 of MATH-500 for programs and choices."""
    perturbed: list[str] = []
    """Changes under which the target is evaluated as well: reworded, distracted, reordered (choice
    options), one-fewer (skills), or `my_package.my_module:function`."""
    greedy: bool = False
    """One more completion per task at temperature 0, reported as `greedy`."""
    batch: int | None = Field(default=None, gt=0)
    """Completions asked for at once: 64 of transformers' generate when left out, 4,096 of vLLM,
    four times its concurrency of an endpoint."""
    engine: EngineConfig = EngineConfig()
    models: list[str] | None = None
    """Which to evaluate: `base` and names of arms; all of them when left out."""


class JudgeConfig(Section):
    """A model that grades tasks of kind `judge`: behind an OpenAI-compatible endpoint, or here."""

    endpoint: str | None = None
    """Up to and including the version, e.g. `http://localhost:8000/v1`; the model is loaded in
    this process when left out."""
    model: str
    """Its name at the endpoint; without one, an id or a folder."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key."""
    concurrency: int = Field(default=16, gt=0)
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one answer of the judge."""


class TrackConfig(Section):
    wandb: bool = False
    project: str = Field(default="ttc-rl", max_length=128, pattern=r"^[^/\\#?%:\r\n]+$")
    """Its name at W&B, which takes none of `/\\#?%:`."""


def named(report_to: Any) -> list[str]:
    """transformers' `report_to` (nothing, "none", a name, a list of names) as a list of names."""
    given = cast(list[Any], report_to if isinstance(report_to, list) else [report_to])
    return [str(name) for name in given if name not in (None, "none")]


def merge(base: Any, change: Any) -> Any:
    """`change` on top of `base`: mappings merge key by key, anything else is replaced."""
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        old, new = cast(Mapping[str, Any], base), cast(Mapping[str, Any], change)
        return {**old, **{key: merge(old.get(key), value) for key, value in new.items()}}
    return change


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
    return _as_list(value)


def _once(marks: list[Mark]) -> list[Mark]:
    if len(set(marks)) < len(marks):
        raise ValueError("a mark stands there twice; name each once")
    return marks


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    named = cast(Mapping[str, Any], value)
    return {name: arm for name, arm in named.items() if arm is not None}


class Recipe(Section):
    """One run, complete: what `recipe.yaml` in a run folder holds."""

    model: Annotated[ModelConfig, BeforeValidator(_as_model)]
    corpus: Annotated[list[str | SourceConfig], BeforeValidator(_as_list)] = Field(min_length=1)
    """Named sources (`ttc-rl corpus` lists them), task files, hub ids, or `SourceConfig` blocks."""
    target: str | SourceConfig | Annotated[list[str | SourceConfig], Field(min_length=1)]
    """A benchmark, a file of tasks, or one prompt; or several, which then count alike in selection
    however many tasks they hold. The first one is the headline of the report."""
    data: str | None = None
    """A folder of task files that stand in for the hub: `corpus/` and `benchmarks/`."""
    seed: int = 42
    prompts: dict[str, str] = {}
    """Task kind -> prompt template with `{prompt}`, where the built-in wording does not fit; and
    `after`: what stands behind every prompt, such as Qwen3's switch `/no_think`."""
    answer_marks: Annotated[
        list[Mark], BeforeValidator(_as_marks), Field(min_length=1), AfterValidator(_once)
    ] = list(DEFAULT)
    """What announces the final answer of a maths task, to training and evaluation alike: `boxed`,
    `"####"` to the end of its line, `<answer>` to `</answer>`. The last announced answer counts;
    the built-in prompt and the replies of a warm-up use the first mark of the list."""
    max_unreadable: float = Field(default=0.05, ge=0, le=1)
    """Share of a source's maths golds that may be sentences, against which no answer can be
    compared; above it a selection stops before it begins."""
    embed: EmbedConfig = EmbedConfig()
    overlap: OverlapConfig = OverlapConfig()
    selection: SelectionConfig = SelectionConfig()
    preflight: PreflightConfig | None = None
    """Look before training; not at all when left out. `preflight={}` on the command line does."""
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    track: TrackConfig = TrackConfig()
    experts: ExpertsConfig | None = None
    """Several models, each for some of the targets; one for all when left out."""
    judge: JudgeConfig | None = None
    """Who grades tasks of kind `judge`."""
    verifiers: dict[str, str] = {}
    """Kind of task -> `module:name` of your own: a function `(task, completion)` that returns a
    verdict, a bool or a share from 0 to 1, or a `Kind`."""
    arms: Annotated[
        dict[str, dict[str, Any]], BeforeValidator(_without_nulls), AfterValidator(_as_folders)
    ] = {}
    """Arm name -> the keys in which it differs; empty for a run of one arm, the recipe itself. An
    arm that is null is left out: `arms.random=null`."""
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
    def engine(self) -> EngineConfig:
        """What an evaluation draws with, its backend filled in."""
        backend = self.eval.engine.backend or self.train.engine.backend
        return self.eval.engine.model_copy(update={"backend": backend})

    def arm(self, name: str) -> Recipe:
        """The recipe of one arm, with its differences folded in; also of ARM/EXPERT."""
        name = name.partition("/")[0]
        plain = self.model_dump(exclude={"arms", "sweep"})
        arm = Recipe.model_validate(merge(plain, self.arms.get(name, {})))
        return arm.placed(self.places.of_arm(name))

    @model_validator(mode="after")
    def _mix_has_its_tasks(self) -> Self:
        if self.experts and self.experts.mix == "dev" and self.train.dev is None:
            raise ValueError("experts.mix: dev: weighs by the tasks of `train.dev`; name it")
        return self

    @model_validator(mode="after")
    def _marks_are_asked_for(self) -> Self:
        if tuple(self.answer_marks) == DEFAULT or "math" not in self.prompts:
            return self
        asked = self.prompts["math"] + self.prompts.get("after", "")
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
    def arm_names(self) -> list[str]:
        return list(self.arms) or [self.selection.method.rpartition(":")[2]]
