"""The evaluation: what draws completions, how many, on which benchmarks, and who judges them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ttc_rl.config.corpus import SourceConfig
from ttc_rl.config.section import Section


class SamplingConfig(Section):
    """How completions are drawn in an evaluation. A benchmark's YAML holds its own defaults."""

    samples: int | None = Field(default=None, gt=0)
    """Completions per task; avg@n is over all of them."""
    temperature: float | None = Field(default=None, gt=0)
    """Sampling temperature; the benchmark's own when left out."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Share of probability that tokens are drawn from; the benchmark's own when left out."""
    k: list[Annotated[int, Field(gt=0)]] | None = None
    """pass@k and maj@k are reported for each."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Most tokens of a completion; the benchmark's own when left out."""

    @model_validator(mode="after")
    def _k_fits(self) -> Self:
        if self.k and self.samples and max(self.k) > self.samples:
            raise ValueError(
                f"k: pass@{max(self.k)} needs at least {max(self.k)} samples per task, "
                f"but samples is {self.samples}"
            )
        return self


class EngineConfig(Section):
    """What draws the completions of an evaluation."""

    backend: Literal["transformers", "vllm", "endpoint"] | None = None
    """What generates; when left out, vllm where `train.vllm` is set, else transformers."""
    processes: int = Field(default=1, gt=0)
    """Engines on this machine that share the work, each on GPUs of its own."""
    tensor_parallel_size: int = Field(default=1, gt=0)
    """GPUs of one vLLM engine."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Share of each GPU's memory that vLLM takes."""
    max_model_len: int | None = Field(default=None, gt=0)
    """Tokens of prompt and completion that vLLM makes room for; the model's own when left out."""
    options: dict[str, Any] = {}
    """More arguments of vLLM's engine by its own names, such as `max_num_seqs`; other backends have
    none."""
    url: str | None = None
    """Address of an endpoint, up to and including the version: `http://localhost:8000/v1`."""
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
        if self.options and self.backend not in (None, "vllm"):
            raise ValueError(f"`options:` are vLLM's; `backend: {self.backend}` would ignore them")
        return self


class EvalConfig(SamplingConfig):
    """What is evaluated before and after training, and how completions are drawn."""

    benchmarks: list[str | SourceConfig] = []
    """Benchmarks besides the target, which is always evaluated: as `target` names them, or a
    pattern of files that describe some, `bench/*.yaml`."""
    retention: list[str | SourceConfig] | None = None
    """Benchmarks unlike the target, to see what training on it cost. When left out and no other
    benchmark is named: other families for skills and everyday questions, 200 tasks of MMLU-Pro for
    maths, 100 of MATH-500 for programs and choices."""
    perturbed: list[str] = []
    """Changes under which the target is evaluated as well: reworded, distracted, reordered (choice
    options), one-fewer (skills), recomputed (word problems with a reference program), or
    `my_package.my_module:function`."""
    greedy: bool = False
    """One more completion per task at temperature 0, reported as `greedy`."""
    batch: int | None = Field(default=None, gt=0)
    """Completions asked for at once: 64 of transformers' generate when left out, 4,096 of vLLM,
    four times its concurrency of an endpoint."""
    engine: EngineConfig = EngineConfig()
    """Settings of what draws the completions."""
    models: list[str] | None = None
    """Which to evaluate: `base` and names of arms; all of them when left out."""


class JudgeConfig(Section):
    """A model that grades tasks of kind `judge`: behind an OpenAI-compatible endpoint, or here."""

    endpoint: str | None = None
    """Address up to and including the version, e.g. `http://localhost:8000/v1`; the model is
    loaded in this process when left out."""
    model: str
    """Name of the judge at the endpoint; without an endpoint, a model id or a folder."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key."""
    concurrency: int = Field(default=16, gt=0)
    """Requests under way at the endpoint, or completions judged at once here."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one answer of the judge."""
