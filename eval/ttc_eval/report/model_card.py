"""Write the model card of an arm: README.md in model/ and adapter/, as the Hub reads it.

card_facts.py collects the facts and model_card.md.jinja holds the words. Fields of the front matter
whose value is not known are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard_data import eval_results_to_model_index
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ttc_eval.compare.summary import Json
from ttc_eval.records import Summary
from ttc_eval.report.card_facts import CardFacts, public_recipe, read_facts
from ttc_eval.report.tables import shown
from ttc_eval.report.templates import template
from ttc_rl.config import Recipe, SourceConfig
from ttc_rl.corpus.addresses import address
from ttc_rl.corpus.benchmark_config import benchmark_names, load_config
from ttc_rl.corpus.sources import catalog
from ttc_rl.metrics import Estimate
from ttc_rl.run_dir import RunDir, write_text
from ttc_rl.schema import UserError
from ttc_rl.system.ranks import is_main

CARD, RECIPE = "README.md", "recipe.yaml"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def write_cards(run: RunDir, recipe: Recipe, arm: str, summary: Summary | None = None) -> None:
    """Write the card of what an arm, or an expert, has trained, over what peft or TRL wrote there.

    The recipe is put beside it. Nothing is written where nothing is trained.
    """
    folder = run.arm(arm, recipe)
    folders = [path for path in (folder.model, folder.adapter) if path.exists()]
    if not is_main() or not folders:
        return
    facts = read_facts(run, recipe, arm, summary)
    for path in folders:
        write_text(path / CARD, card(facts, adapter=path == folder.adapter))
        write_text(path / RECIPE, public_recipe(recipe))


def card(facts: CardFacts, *, adapter: bool = False) -> str:
    data = front_matter(facts, adapter=adapter).to_yaml().strip()
    return template("model_card.md.jinja").render(facts=facts, adapter=adapter, front_matter=data)


def front_matter(facts: CardFacts, *, adapter: bool = False) -> ModelCardData:
    base = base_id(facts.recipe)
    relation = "adapter" if adapter else "finetune"
    weights = ["svf" if facts.recipe.train.svf else "lora"] if adapter else []
    data = ModelCardData(
        base_model=base,
        base_model_relation=relation if base else None,
        library_name="peft" if adapter else "transformers",
        pipeline_tag="text-generation",
        tags=["ttc-rl", "test-time-curriculum", "trl", "grpo", *weights],
        license=_licence(facts.recipe),
        datasets=list(dict.fromkeys(_datasets(facts))) or None,
    )
    if results := list(_results(facts)):
        data["model-index"] = [{"name": facts.name, "results": results}]
    return data


def base_id(recipe: Recipe) -> str | None:
    """Return the base model's id on the Hub, where it is not a folder."""
    path = recipe.model.path
    is_hub_id = path is not None and HUB_ID.fullmatch(path) and not Path(path).exists()
    return path if is_hub_id else None


def _licence(recipe: Recipe) -> str | None:
    """Return the base model's licence, where a card in its folder says it."""
    readme = Path(recipe.model.path or "") / CARD
    if recipe.model.path is None or not readme.is_file():
        return None
    front = re.match(r"---\r?\n(.*?)\r?\n---", readme.read_text(), re.DOTALL)
    try:
        loaded: Any = YAML(typ="safe", pure=True).load(front[1]) if front else None  # pyright: ignore[reportUnknownMemberType]
    except YAMLError:
        return None
    return loaded.get("license") if isinstance(loaded, dict) else None


def _datasets(facts: CardFacts) -> Iterator[str]:
    for row in facts.corpus:
        named = catalog().get(row.get("name") or "")
        hub = row.get("hub") or (named.hub if named else None)
        if hub and row["tasks"]:
            yield hub


def _results(facts: CardFacts) -> Iterator[Json]:
    """Yield an entry of the Hub's model-index for each benchmark; shares in percent.

    One benchmark at a time: the Hub's own function would put two parts of one data set under the
    name of the first.
    """
    for name, part in facts.evaluated.items():
        metrics = part.models[facts.evaluated_arm].metrics
        results = [
            EvalResult(
                task_type="text-generation",
                dataset_name=name,
                dataset_type=_dataset_of(name, facts.recipe),
                metric_type="accuracy" if metric == part.avg_name else metric,
                metric_value=round(100 * metrics[metric].value, 2),
                metric_name=f"{metric}, %{_interval(metrics[metric])}",
            )
            for metric in shown(metrics, every_k=False)
        ]
        yield from eval_results_to_model_index(facts.name, results)[0]["results"]


def _interval(estimate: Estimate) -> str:
    if estimate.lo is None or estimate.hi is None:
        return ""
    return f" (95 % interval {100 * estimate.lo:.1f} to {100 * estimate.hi:.1f})"


def _dataset_of(benchmark: str, recipe: Recipe) -> str:
    """Return a benchmark's id on the Hub, or where it has none its name as an id."""
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
