"""The corpus: where tasks come from, and which of them may be chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from ttc_rl.config.section import Section, as_list


class SkillsConfig(Section):
    """Tasks made by the procedural source `ttc_rl.corpus.skills`."""

    families: list[str] | None = None
    """Skill families; all of them when left out."""
    split: Literal["pretrain", "train", "test"] = "train"
    """Part of the contents, by their hash; no content is in two parts."""
    tasks_per_family: int = Field(default=128, gt=0)
    """Different tasks made of each family."""
    levels: list[int] = [1, 2, 3]
    """Levels of length that tasks are drawn from; a higher one has more items."""
    seed: int = 0
    """Seed of the tasks drawn and of their order."""


class EverydayConfig(Section):
    """Everyday questions made by the procedural source `ttc_rl.corpus.everyday`."""

    families: list[str] | None = None
    """Families of questions; all of them when left out."""
    split: Literal["warmup", "train", "test"] = "train"
    """Part of the contents, by their hash; no content is in two parts."""
    tasks_per_family: int = Field(default=128, gt=0)
    """Different contents of each family; echoes come on top."""
    echoes: int = Field(default=0, ge=0, le=4)
    """Near-duplicates of every fourth content: the same question behind another opening."""
    seed: int = 0
    """Seed of the contents drawn and of their order."""


Shape = Literal[
    "humaneval", "mbpp", "mbppplus", "leetcode", "livecodebench", "codeforces", "codeelo",
    "code_contests", "taco", "primeintellect", "gpqa", "mmlu_pro", "olympiadbench", "mmlu", "arc",
    "gsm8k", "problem", "verl", "chat", "instruct", "synthetic", "verifiable_corpus",
    "curriculum",
]  # fmt: skip
"""Published row formats that ttc_rl/corpus/shapes turns into our fields."""


class ConditionConfig(Section):
    """What a row's value in one column has to be; all that is named has to hold."""

    one_of: list[Any] | None = None
    """Values, of which the row has to have one."""
    none_of: list[Any] | None = None
    """Values, of which the row may have none."""
    before: str | None = None
    """Text that the value has to come before, which is right for days as 2024-08-01."""
    contains: str | None = None
    """Text that the value has to contain."""


ORIGINS = ("path", "hub", "skills", "everyday")


class SourceConfig(Section):
    """Where tasks come from: exactly one of `path`, `hub`, `skills` and `everyday`."""

    path: str | None = None
    """A .jsonl, .jsonl.gz or .parquet file, or a glob of them."""
    hub: str | None = None
    """A Hugging Face dataset id."""
    skills: SkillsConfig | None = None
    """Settings of procedural skill tasks."""
    everyday: EverydayConfig | None = None
    """Settings of procedural everyday questions."""
    config: str | None = None
    """Configuration (subset) of the Hugging Face dataset."""
    split: str = "train"
    """Split of the Hugging Face dataset."""
    revision: str | None = None
    """Commit, tag or branch of the Hugging Face dataset; the newest when left out."""
    kind: str | None = None
    """Task kind of every row, where the rows do not carry their own."""
    columns: dict[str, str] = {}
    """Task field -> column name, e.g. `{prompt: problem, gold: answer}`, or a Jinja template of
    columns: `{prompt: "{{title}}: {{question}}"}`."""
    gold_after: str | None = None
    """The gold is what follows the last such mark in its column: GSM8K's `####`."""
    shape: Shape | None = None
    """Published format of the rows; guessed from their columns where neither it nor `kind`,
    `columns` or `gold_after` is given. docs/data.md lists them."""
    meta: dict[str, Any] = {}
    """Added to every task: `{tolerance: 0.05}` where golds were rounded."""
    where: dict[str, ConditionConfig] = {}
    """Column -> condition: rows that do not fulfil all of them are not part of the source."""
    min_tests: int | None = Field(default=None, gt=0)
    """Programs with fewer tests are not part of it, unless the first one's input is long."""
    limit: int | None = Field(default=None, gt=0)
    """Most tasks that are taken, in the order of the source."""

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


class EmbedConfig(Section):
    """How prompts become the vectors that selection compares."""

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    """A sentence encoder, or `policy`: the recipe's own model, at the prompt's last token."""
    backend: Literal["sentence-transformers", "vllm"] = "sentence-transformers"
    """Library that runs the sentence encoder."""
    prompt: str = ""
    """Prefix of every text, for encoders trained with one."""
    kind_sentence: bool = False
    """Put a sentence after every text that names the task's kind."""
    batch: int | None = Field(default=None, gt=0)
    """Texts embedded at once; 16 on a CPU and 64 on a GPU when left out."""
    compute: Literal["float32", "bfloat16"] = "float32"
    """Numbers that sentence-transformers multiplies in. bfloat16 takes a third of the time where
    the processor has it, at cosines of 0.9999 to float32's vectors."""
    processes: int | None = Field(default=None, gt=0)
    """Processes of sentence-transformers. When left out, one a GPU, or this one without a GPU."""
    dtype: Literal["float16", "float32"] = "float16"
    """Type of the vectors of the corpus on disk; docs/embedding.md says what float16 changes."""
    shards: Annotated[
        list[str], BeforeValidator(as_list, json_schema_input_type=str | list[str])
    ] = []
    """Folders that `ttc-rl embed --out` made; a text found there is not embedded again."""
    _chat: dict[str, Any] = PrivateAttr(default_factory=dict[str, Any])

    @property
    def chat(self) -> Mapping[str, Any]:
        """What of `prompts:` the policy reads around a text."""
        return self._chat

    @model_validator(mode="after")
    def _computes(self) -> Self:
        if self.backend == "vllm" and self.compute != "float32":
            raise ValueError("compute: vLLM takes the model's own numbers; leave it out")
        return self

    def reading(self, prompts: Mapping[str, Any]) -> Self:
        """Return the same config, with what the policy reads around a text."""
        copy = self.model_copy()
        if self.model == "policy":
            given = {key: prompts[key] for key in ("system", "template") if prompts.get(key)}
            copy._chat = given  # pyright: ignore[reportPrivateUsage]
        return copy


class DedupeConfig(Section):
    """Of tasks of the corpus that repeat one another, the first stays."""

    exact: bool = True
    """Whether the same prompt repeats, but for white space and LaTeX that does not print."""
    fuzzy: float | None = Field(default=None, gt=0, le=1)
    """Weighted Jaccard similarity of the texts from which tasks with the same formulas repeat."""
    cosine: float | None = Field(default=None, gt=-1, le=1)
    """Cosine of the embeddings from which tasks with the same formulas repeat."""


class OverlapConfig(Section):
    """Which tasks of the corpus are removed because they are too near to a target."""

    ngram: int = Field(default=13, gt=0)
    """Words of an n-gram: a corpus task that shares one with a target is looked at."""
    coverage: float = Field(default=0.5, ge=0, le=1)
    """Remove it where shared n-grams cover at least this share of the target's; 0: on any one."""
    fuzzy: float | None = Field(default=0.8, gt=0, le=1)
    """Remove where at least this share of the shorter text, by rarity, is in the longer one."""
    cosine: float | None = Field(default=None, gt=-1, le=1)
    """Remove where the embeddings that selection uses have at least this cosine."""
    dedupe: DedupeConfig = DedupeConfig()
    """Rules for tasks of the corpus that repeat one another."""
