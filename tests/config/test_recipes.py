"""Every recipe in recipes/ says what it is for, loads, and those for GPUs fit where they say."""

import re
from pathlib import Path

import pytest

from ttc_eval.report.sections.plan import target_size
from ttc_rl.config import load_recipe
from ttc_rl.corpus.benchmark_config import load_config
from ttc_rl.corpus.benchmarks import address
from ttc_rl.corpus.sources import catalog, resolve_source
from ttc_rl.launch import Launch
from ttc_rl.launch.budget import Assumed, budget
from ttc_rl.launch.cloud import Cloud
from ttc_rl.launch.cluster import Batch
from ttc_rl.launch.start import start

ROOT = Path(__file__).parents[2] / "recipes"
ALL = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.yaml")
    if path.parent.name not in ("text", "grids", "discovery")
)
"""But studies of text and of grids, which are no recipes."""
PAPER = [name for name in ALL if re.match(r"paper|qwen3", name)]
EXPERTS = "experts/aime25.yaml"
LORA = [name for name in ALL if name.startswith("lora/")]


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_opens_with_its_question_and_loads(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TTC_RL_DATA", raising=False)
    text = (ROOT / name).read_text()
    comment = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert text.startswith("# ")
    assert "?" in comment or "same question" in comment
    recipe = load_recipe(ROOT / name)
    assert recipe.arm_names


def test_there_is_one_for_each_of_three_models_and_seven_benchmarks():
    assert len(PAPER) == 1 + 3 * 7
    seen = {(load_recipe(ROOT / n).model.path, load_recipe(ROOT / n).target) for n in PAPER}
    assert len(seen) == 21


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_setting(name: str):
    """250 steps of 128 rollouts and 2,000 updates: as in the paper's code."""
    recipe = load_recipe(ROOT / name)
    assert recipe.arm_names == ["random", "sift"]
    for arm in recipe.arm_names:
        made = budget(recipe.arm(arm), Assumed("h100", 4, "fsdp2", tokens=2000))
        assert (made.steps, made.updates, made.most.rollouts) == (250, 2000, 32_000)
        assert made.fits
        low, high = re.findall(r"(\d+) to (\d+) hours", (ROOT / name).read_text())[0]
        best, worst = (hours / 4 for hours in made.cost.gpu_hours)
        assert int(low) <= best + 1
        assert best < worst <= int(high)
    assert isinstance(recipe.target, str)
    assert address(recipe.target).base in ("aime24", "aime25", "math500", "codeforces", "codeelo",
                                           "livecodebench", "gpqa-diamond")  # fmt: skip
    for source in recipe.corpus:
        assert isinstance(source, str)
        assert catalog()[source].hub
        assert resolve_source(source).hub
    kinds = {catalog()[str(source)].kind for source in recipe.corpus}
    assert ("judge" in kinds) == (recipe.judge is not None)
    thinks = recipe.model.path == "Qwen/Qwen3-8B"
    assert recipe.prompts["after"] == (" /no_think" if thinks else "")
    numbers = re.findall(r"base ([\d.]+), random.*? ([\d.]+), SIFT ([\d.]+)\.", _flat(name))[0]
    if thinks:
        config = load_config(address(recipe.target).base)
        known = [entry.value for entry in config.published if entry.metric == "avg@4"]
        assert [float(number) / 100 for number in numbers] == pytest.approx(known)


@pytest.mark.parametrize("name", LORA)
def test_the_adapters_fit_one_gpu_of_24_gb(name: str):
    recipe = load_recipe(ROOT / name)
    assert recipe.train.lora is not None
    for arm in recipe.arm_names:
        made = budget(recipe.arm(arm), Assumed("rtx4090", tokens=1000))
        assert made.memory.total < 22e9  # two are left for what is not counted
        low, high = re.findall(r"(\d+) to (\d+) hours", _flat(name))[0]
        best, worst = made.cost.gpu_hours
        assert int(low) <= best + 1
        assert best < worst <= int(high)
    assert target_size(recipe) == 500


def test_an_expert_a_question_costs_what_its_recipe_says():
    recipe, flat = load_recipe(ROOT / EXPERTS), _flat(EXPERTS)
    assert recipe.arm_names == ["one", "each"]
    assumed = Assumed("h100", 4, "fsdp2", tokens=2000, target_tasks=30)
    for arm, said in zip(recipe.arm_names, re.findall(r"(\d+) to (\d+) hours", flat), strict=True):
        made = budget(recipe.arm(arm), assumed)
        best, worst = ((made.experts or 0) * hours / 4 for hours in made.cost.gpu_hours)
        assert int(said[0]) <= best < int(said[0]) + 1
        assert worst <= int(said[1]) < worst + 1
        assert made.fits
    assert target_size(recipe) == 30


@pytest.mark.parametrize("name", [*PAPER, *LORA, EXPERTS])
def test_it_can_be_launched(name: str):
    recipe, one = load_recipe(ROOT / name), name in LORA
    config, gpus = ("single", 1) if one else ("fsdp2", 4)
    asked = Launch(ROOT / name, [], Path("runs/x"), config, gpus)
    for on, cloud, sign in (
        ("local", Cloud(), "accelerate.commands.launch"),
        ("slurm", Cloud(), "#SBATCH"),
        ("skypilot", Cloud(), "num_nodes"),
        ("hf-jobs", Cloud(bucket="me/runs", image="me/ttc-rl"), "hf jobs run"),
    ):
        shown = start(asked, recipe, on, Batch(), cloud, dry_run=True)
        assert sign in shown


def _flat(name: str) -> str:
    lines = (ROOT / name).read_text().splitlines()
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
