"""The corpus: where tasks come from, and which of them may be chosen."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ttc_rl.config.section import Section, as_list


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
    shards: Annotated[list[str], BeforeValidator(as_list)] = []
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
