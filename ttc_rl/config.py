"""Recipes: YAML 1.2 in, a frozen and fully typed `Recipe` out, or one clear line of error.

Precedence: command line, then the recipe, then its parent (`extends:`, one level), then defaults.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from ttc_rl.schema import UserError, content_hash

# --------------------------------------------------------------------------- the sections


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SkillsConfig(Section):
    """Tasks made by the procedural source `ttc_rl.sources.skills`."""

    families: list[str] | None = None
    """Skill families; all of them when left out."""
    split: Literal["train", "test"] = "train"
    tasks_per_family: int = Field(default=128, gt=0)
    levels: list[int] = [1, 2, 3]
    seed: int = 0


class SourceConfig(Section):
    """Where tasks come from: exactly one of `path`, `hub` and `skills`."""

    path: str | None = None
    """A .jsonl, .jsonl.gz or .parquet file, or a glob of them."""
    hub: str | None = None
    """A Hugging Face dataset id."""
    skills: SkillsConfig | None = None
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    kind: str | None = None
    """Task kind of every row, where the rows do not carry their own."""
    columns: dict[str, str] = {}
    """Task field -> column name, e.g. `{prompt: problem, gold: answer}`."""
    limit: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("path", "hub", "skills") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of path, hub, skills; got {given or 'none'}")
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


class ModelConfig(Section):
    path: str | None = None
    """A Hugging Face model id or a local folder."""
    pretrain: PretrainConfig | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.pretrain is None):
            raise ValueError("needs a model id or folder, or a `pretrain:` block, not both")
        return self


class EmbedConfig(Section):
    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    batch: int = Field(default=64, gt=0)


class OverlapConfig(Section):
    ngram: int = Field(default=13, gt=0)
    """Remove a corpus task that shares an n-gram with a target, ..."""
    coverage: float = Field(default=0.5, ge=0, le=1)
    """... if shared n-grams cover at least this share of the target's; 0 removes on any one."""


class SelectionConfig(Section):
    method: Literal["sift", "nearest", "random", "oracle"] = "sift"
    size: int = Field(default=1000, gt=0)
    """Tasks in the curriculum."""
    noise: float = Field(default=0.1, gt=0)
    """Observation noise, the paper's lambda; larger favours relevance over diversity."""
    group_by: str = "family"
    """`oracle` only: the key of `meta` in which a corpus task must agree with a target."""


class VllmConfig(Section):
    mode: Literal["colocate", "server"] = "colocate"
    gpu_memory_utilization: float = Field(default=0.3, gt=0, lt=1)
    tensor_parallel_size: int = Field(default=1, gt=0)
    server_base_url: str | None = None


class TrainConfig(Section):
    epochs: int = Field(default=1, gt=0)
    """Passes over the curriculum, in the selector's order each time."""
    tasks_per_step: int = Field(default=8, gt=0)
    rollouts_per_task: int = Field(default=16, gt=1)
    max_completion_tokens: int = Field(default=2048, gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    """Completions per forward and backward pass on one device; all of a step's when left out."""
    save_steps: int = Field(default=10, gt=0)
    """A resumable checkpoint every so many steps; the newest two are kept."""
    trl: dict[str, Any] = {}
    """Handed to TRL's GRPOConfig as it stands."""
    vllm: VllmConfig | None = None
    """Generate rollouts with vLLM; transformers' generate when left out."""

    @property
    def rollouts_per_step(self) -> int:
        return self.tasks_per_step * self.rollouts_per_task

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.micro_batch and self.rollouts_per_step % self.micro_batch:
            raise ValueError(
                f"micro_batch {self.micro_batch} does not divide the {self.rollouts_per_step} "
                f"completions of a step ({self.tasks_per_step} tasks x {self.rollouts_per_task})"
            )
        return self


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
    greedy: bool = False
    """One more completion per task at temperature 0, reported as `greedy`."""
    batch: int = Field(default=64, gt=0)
    """Completions generated at once by the transformers engine."""


class TrackConfig(Section):
    wandb: bool = False
    project: str = "ttc-rl"


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping) else value


def _as_model(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class Recipe(Section):
    """One run, complete: what `recipe.yaml` in a run folder holds."""

    model: Annotated[ModelConfig, BeforeValidator(_as_model)]
    corpus: Annotated[list[str | SourceConfig], BeforeValidator(_as_list)] = Field(min_length=1)
    """Named sources (`ttc-rl corpus` lists them), task files, hub ids, or `SourceConfig` blocks."""
    target: str | SourceConfig
    """A benchmark, a file of tasks, or one prompt."""
    data: str | None = None
    """A folder of task files that stand in for the hub: `corpus/` and `benchmarks/`."""
    seed: int = 42
    prompts: dict[str, str] = {}
    """Task kind -> prompt template with `{prompt}`, where the built-in wording does not fit."""
    embed: EmbedConfig = EmbedConfig()
    overlap: OverlapConfig = OverlapConfig()
    selection: SelectionConfig = SelectionConfig()
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    track: TrackConfig = TrackConfig()
    arms: dict[str, dict[str, Any]] = {}
    """Arm name -> the keys in which it differs; empty for a run of one arm, the recipe itself."""
    sweep: dict[str, list[Any]] = {}
    """Dotted key -> values: one run for each combination."""

    def arm(self, name: str) -> Recipe:
        """The recipe of one arm, with its differences folded in."""
        plain = self.model_dump(exclude={"arms", "sweep"})
        return Recipe.model_validate(_merge(plain, self.arms.get(name, {})))

    @property
    def arm_names(self) -> list[str]:
        return list(self.arms) or [self.selection.method]


# --------------------------------------------------------------------------- loading


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, fold in its parent and `a.b=value` overrides, and check every key.

    Raises UserError with file, line, key, and what to do.
    """
    path = Path(path)
    tree, lines = _read(path)
    parent_name = tree.pop("extends", None)
    if parent_name is not None:
        parent_path = path.parent / str(parent_name)
        parent, parent_lines = _read(parent_path)
        if "extends" in parent:
            raise UserError(
                f"{parent_path}: extends {parent['extends']!r}, but is itself the parent of {path}: "
                "one level of inheritance only"
            )
        tree, lines = _merge(parent, tree), parent_lines | lines
    for override in overrides:
        key, value = _parse_override(override)
        tree = _merge(tree, _nest(key, value))
        lines[key] = f"command line, {override}"
    tree = _expand_variables(tree, lines)
    where = functools.partial(_where, lines, str(path))
    recipe = _validate(tree, where)
    for name in recipe.arms:
        _validate(
            _merge(
                {k: v for k, v in tree.items() if k not in ("arms", "sweep")}, recipe.arms[name]
            ),
            lambda key, name=name: where(f"arms.{name}.{key}"),
        )
    for key, values in recipe.sweep.items():
        for value in values:
            _validate(
                _merge({k: v for k, v in tree.items() if k != "sweep"}, _nest(key, value)),
                lambda _, key=key: where(f"sweep.{key}"),
            )
    _check_trl_keys(recipe, where)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML that `load_recipe` reads back to an equal one."""
    import io

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 100
    out = io.StringIO()
    yaml.dump(recipe.model_dump(exclude_none=True), out)  # pyright: ignore[reportUnknownMemberType]
    return out.getvalue()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The tree of a YAML file, and for each dotted key the place `file:line` where it stands."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        text = path.read_text()
    except FileNotFoundError:
        raise UserError(f"{path}: no such recipe{_nearby(path)}") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: cannot be read as a recipe ({error.strerror})") from None
    try:
        loaded: Any = YAML(typ="rt").load(text)  # pyright: ignore[reportUnknownMemberType]
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not valid YAML: {error.problem}") from None
    if not isinstance(loaded, Mapping):
        raise UserError(
            f"{path}: a recipe is a mapping of keys to values, got {type(loaded).__name__}"
        )
    lines: dict[str, str] = {}

    def plain(node: Any, prefix: str) -> Any:
        if isinstance(node, Mapping):
            mapping = cast(Mapping[Any, Any], node)
            for key in mapping:
                lines[f"{prefix}{key}"] = f"{path}:{mapping.lc.key(key)[0] + 1}"  # type: ignore[attr-defined]
            return {str(k): plain(v, f"{prefix}{k}.") for k, v in mapping.items()}
        if isinstance(node, list):
            return [plain(v, f"{prefix}{i}.") for i, v in enumerate(cast(list[Any], node))]
        for scalar in (bool, int, float, str):
            if isinstance(node, scalar):
                return scalar(node)
        return node

    return plain(loaded, ""), lines


def _parse_override(text: str) -> tuple[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[\w.-]+", key):
        raise UserError(f"{text!r} is not an override; write key=value, e.g. selection.size=500")
    try:
        return key, YAML(typ="safe", pure=True).load(value) if value else None  # pyright: ignore[reportUnknownMemberType]
    except YAMLError:
        raise UserError(f"{text!r}: the value is not valid YAML") from None


def _nest(dotted: str, value: Any) -> dict[str, Any]:
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


def _merge(base: Any, change: Any) -> Any:
    """`change` on top of `base`: mappings merge key by key, anything else is replaced."""
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        old, new = cast(Mapping[str, Any], base), cast(Mapping[str, Any], change)
        return {**old, **{key: _merge(old.get(key), value) for key, value in new.items()}}
    return change


def _expand_variables(tree: dict[str, Any], lines: Mapping[str, str]) -> dict[str, Any]:
    """`${NAME}` and `${NAME:-default}` in any string, as in a shell."""

    def expand(node: Any, key: str) -> Any:
        if isinstance(node, dict):
            return {k: expand(v, f"{key}{k}.") for k, v in cast(dict[str, Any], node).items()}
        if isinstance(node, list):
            return [expand(v, f"{key}{i}.") for i, v in enumerate(cast(list[Any], node))]
        if not isinstance(node, str):
            return node

        def value(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            if name not in os.environ and default is None:
                at = lines.get(key.rstrip("."), key)
                raise UserError(f"{at}: the environment variable {name} is not set")
            return os.environ.get(name, default or "")

        return re.sub(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}", value, node)

    return expand(tree, "")


def _validate(tree: dict[str, Any], where: Any) -> Recipe:
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        problems = error.errors()
        # A misspelt key explains the rest (a "missing" one, say), so it is told first.
        problem = min(problems, key=lambda p: p["type"] != "extra_forbidden")
        loc = [str(part) for part in problem["loc"] if not _is_union_tag(part)]
        key = ".".join(loc)
        if problem["type"] == "extra_forbidden":
            raise UserError(f"{where(key)}: {key}: unknown key{_did_you_mean(loc)}") from None
        if problem["type"] == "missing":
            raise UserError(f"{where('')}: {key}: missing, and it has no default") from None
        given = "" if isinstance(problem["input"], dict) else f" (got {problem['input']!r})"
        message = problem["msg"].removeprefix("Value error, ")
        raise UserError(f"{where(key)}: {key}: {message}{given}") from None


def _is_union_tag(part: str | int) -> bool:
    return part in ("str", "SourceConfig") or (isinstance(part, str) and "[" in part)


def _where(lines: Mapping[str, str], path: str, key: str) -> str:
    """`file:line` of the key, or of the nearest enclosing key that the file holds."""
    parts = key.split(".") if key else []
    while parts:
        if ".".join(parts) in lines:
            return lines[".".join(parts)]
        parts.pop()
    return path


def _did_you_mean(loc: Sequence[str]) -> str:
    """A near key at the same place, or the same word anywhere else in a recipe."""
    siblings = {key.split(".")[-1] for key in _all_keys() if key.split(".")[:-1] == list(loc[:-1])}
    close = difflib.get_close_matches(loc[-1], sorted(siblings), n=1)
    if close:
        return f"; did you mean {close[0]}?"
    elsewhere = [key for key in _all_keys() if key.split(".")[-1] == loc[-1]]
    if not elsewhere and (loc[-1] in grpo_config_fields()):
        elsewhere = [f"train.trl.{loc[-1]}"]
    if elsewhere:
        return f"; did you mean {elsewhere[0]}?"
    return f"; known here: {', '.join(sorted(siblings))}" if siblings else ""


def _all_keys() -> Iterator[str]:
    def walk(section: type[BaseModel], prefix: str) -> Iterator[str]:
        for name, info in section.model_fields.items():
            yield prefix + name
            for kind in _sections_in(info.annotation):
                yield from walk(kind, f"{prefix}{name}.")

    yield from walk(Recipe, "")


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _sections_in(argument)


def _nearby(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" (and no folder {folder})"
    close = difflib.get_close_matches(path.name, [p.name for p in folder.glob("*.yaml")], n=1)
    return f"; did you mean {folder / close[0]}?" if close else ""


# --------------------------------------------------------------------------- TRL's own keys

# Keys of GRPOConfig that the recipe already says elsewhere: two places for one thing would drift.
_SAID_ELSEWHERE = {
    "num_generations": "train.rollouts_per_task",
    "max_completion_length": "train.max_completion_tokens",
    "per_device_train_batch_size": "train.micro_batch",
    "gradient_accumulation_steps": "train.micro_batch",
    "generation_batch_size": "train.tasks_per_step",
    "steps_per_generation": "train.tasks_per_step",
    "num_train_epochs": "train.epochs",
    "max_steps": "train.epochs and selection.size",
    "save_steps": "train.save_steps",
    "save_strategy": "train.save_steps",
    "save_total_limit": "train.save_steps",
    "shuffle_dataset": "the curriculum's order, which is kept",
    "output_dir": "--run-dir",
    "seed": "seed",
    "data_seed": "seed",
    "report_to": "track",
    "use_vllm": "train.vllm",
    "vllm_mode": "train.vllm.mode",
    "vllm_gpu_memory_utilization": "train.vllm.gpu_memory_utilization",
    "vllm_tensor_parallel_size": "train.vllm.tensor_parallel_size",
    "vllm_server_base_url": "train.vllm.server_base_url",
}


def _check_trl_keys(recipe: Recipe, where: Any) -> None:
    blocks = {"train.trl": recipe.train.trl}
    for name, change in recipe.arms.items():
        blocks[f"arms.{name}.train.trl"] = change.get("train", {}).get("trl", {})
    for prefix, block in blocks.items():
        for key in block:
            at = f"{where(f'{prefix}.{key}')}: {prefix}.{key}"
            if key in _SAID_ELSEWHERE:
                raise UserError(f"{at}: set {_SAID_ELSEWHERE[key]} instead")
            known = grpo_config_fields()
            if known and key not in known:
                close = difflib.get_close_matches(key, sorted(known), n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise UserError(f"{at}: TRL's GRPOConfig has no such field{hint}")


@functools.cache
def grpo_config_fields() -> frozenset[str]:
    """Field names of the installed TRL's GRPOConfig, read from its source; empty without TRL.

    Importing GRPOConfig takes many seconds; a misspelt key should be told in a fraction of one.
    """
    fields: set[str] = set()
    for package, file in (
        ("trl", "trainer/grpo_config.py"),
        ("trl", "trainer/base_config.py"),
        ("transformers", "training_args.py"),
    ):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return frozenset()
        source = Path(spec.submodule_search_locations[0]) / file
        if source.exists():
            fields |= {
                item.target.id
                for node in ast.parse(source.read_text()).body
                if isinstance(node, ast.ClassDef)
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            }
    return frozenset(fields)


def recipe_hash(recipe: Recipe) -> str:
    return content_hash(recipe.model_dump())
