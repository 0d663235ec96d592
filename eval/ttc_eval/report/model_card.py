"""The model card of an arm: README.md in model/ and adapter/, as the Hub reads it.

Its front matter is YAML that huggingface_hub's ModelCardData reads back; it is written here without
that package, since a report is made without it too. Fields whose value is not known are left out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ttc_eval.compare.summary import Json
from ttc_eval.records import Summary
from ttc_eval.report.model_card_text import Told, public_recipe, text
from ttc_eval.report.tables import shown
from ttc_rl.config import Recipe, SourceConfig
from ttc_rl.corpus.addresses import address
from ttc_rl.corpus.benchmark_config import benchmark_names, load_config
from ttc_rl.corpus.sources import catalog
from ttc_rl.metrics import Estimate
from ttc_rl.run_dir import FIX, RunDir, check_vouched, read_json, read_jsonl, write_text
from ttc_rl.schema import UserError
from ttc_rl.system.ranks import is_main
from ttc_rl.system.tried import tried
from ttc_rl.tracking.wandb_run import run_name

CARD, RECIPE = "README.md", "recipe.yaml"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def write_cards(run: RunDir, recipe: Recipe, arm: str, summary: Summary | None = None) -> None:
    """The card of what an arm, or an expert, has trained, over whatever peft or TRL wrote there.

    The recipe is put beside it. Nothing where nothing is trained.
    """
    folder = run.arm(arm, recipe)
    made = [path for path in (folder.model, folder.adapter) if path.exists()]
    if not is_main() or not made:
        return
    told = read_told(run, recipe, arm, summary)
    for path in made:
        write_text(path / CARD, card(told, adapter=path == folder.adapter))
        write_text(path / RECIPE, public_recipe(recipe))


def read_told(run: RunDir, recipe: Recipe, arm: str, summary: Summary | None) -> Told:
    """What a card tells of an arm, from the run's files."""
    folder = run.arm(arm, recipe)
    rows = list(read_jsonl(folder.metrics, "step"))

    check_vouched(run.versions, FIX, run.corpus)

    def read(path: Path) -> Any:
        return read_json(path) if path.exists() else {}

    return Told(
        name=run_name(folder.root),
        arm=arm,
        whole=recipe,
        recipe=recipe.arm(arm),
        selection=read(folder.selection),
        overlap=read(run.overlap.with_suffix(".json")),
        corpus=read_json(run.corpus, list) if run.corpus.exists() else [],
        versions=read(run.versions),
        steps=rows,
        alarms=list(read_jsonl(folder.alarms, "step")),
        summary=summary,
        tried=tried(run.root, recipe),
    )


def card(told: Told, *, adapter: bool = False) -> str:
    yaml, out = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    yaml.dump(front_matter(told, adapter=adapter), out)  # pyright: ignore[reportUnknownMemberType]
    return f"---\n{out.getvalue()}---\n\n{text(told, adapter=adapter)}"


def front_matter(told: Told, *, adapter: bool = False) -> Json:
    found: Json = {}
    if base := base_id(told.recipe):
        found["base_model"] = base
        found["base_model_relation"] = "adapter" if adapter else "finetune"
    found["library_name"] = "peft" if adapter else "transformers"
    found["pipeline_tag"] = "text-generation"
    found["tags"] = [
        "ttc-rl",
        "test-time-curriculum",
        "trl",
        "grpo",
        *(["svf" if told.recipe.train.svf else "lora"] if adapter else []),
    ]
    if licence := _licence(told.recipe):
        found["license"] = licence
    if datasets := list(dict.fromkeys(_datasets(told))):
        found["datasets"] = datasets
    if results := list(_results(told)):
        found["model-index"] = [{"name": told.name, "results": results}]
    return found


def base_id(recipe: Recipe) -> str | None:
    """The base model's id on the Hub, where it is not a folder."""
    path = recipe.model.path
    known = path is not None and HUB_ID.fullmatch(path) and not Path(path).exists()
    return path if known else None


def _licence(recipe: Recipe) -> str | None:
    """Of the base model, where a card in its folder says it."""
    readme = Path(recipe.model.path or "") / CARD
    if recipe.model.path is None or not readme.is_file():
        return None
    front = re.match(r"---\r?\n(.*?)\r?\n---", readme.read_text(), re.DOTALL)
    try:
        loaded: Any = YAML(typ="safe", pure=True).load(front[1]) if front else None  # pyright: ignore[reportUnknownMemberType]
    except YAMLError:
        return None
    return loaded.get("license") if isinstance(loaded, dict) else None


def _datasets(told: Told) -> Iterator[str]:
    for row in told.corpus:
        named = catalog().get(row.get("name") or "")
        hub = row.get("hub") or (named.hub if named else None)
        if hub and row["tasks"]:
            yield hub


def _results(told: Told) -> Iterator[Json]:
    """One entry a benchmark, as the Hub's model-index has them; shares in percent."""
    for name, part in told.evaluated.items():
        metrics = part.models[told.answers].metrics
        yield {
            "task": {"type": "text-generation"},
            "dataset": {"name": name, "type": _dataset_of(name, told.recipe)},
            "metrics": [
                {
                    "type": "accuracy" if metric == part.avg_name else metric,
                    "value": round(100 * metrics[metric].value, 2),
                    "name": f"{metric}, %{_interval(metrics[metric])}",
                }
                for metric in shown(metrics, every_k=False)
            ],
        }


def _interval(estimate: Estimate) -> str:
    if estimate.lo is None or estimate.hi is None:
        return ""
    return f" (95 % interval {100 * estimate.lo:.1f} to {100 * estimate.hi:.1f})"


def _dataset_of(benchmark: str, recipe: Recipe) -> str:
    """A benchmark's id on the Hub, or where it has none its name as an id."""
    try:
        base = address(benchmark).base
    except UserError:
        base = ""
    for target in recipe.targets:
        if isinstance(target, SourceConfig) and target.hub and base == target.hub.split("/")[-1]:
            return target.hub
    if base in benchmark_names() and (source := load_config(base).source) and source.hub:
        return source.hub
    return re.sub(r"[^\w.-]+", "-", benchmark)
