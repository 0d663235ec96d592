"""Keys that recipes had once: dropped where they say what the code does, else refused in a line."""

from pathlib import Path
from typing import Any

import pytest
from refusals import refusal
from ruamel.yaml import YAML

from ttc_rl.config import PretrainConfig, Recipe, dump_recipe, load_recipe
from ttc_rl.config.loading import nested
from ttc_rl.config.mistakes import _all_keys
from ttc_rl.config.removed import REMOVED
from ttc_rl.config.section import merge
from ttc_rl.run_dir import RunDir
from ttc_rl.selection.less import warmup
from ttc_rl.stages import inputs, preflight
from ttc_rl.train import tiny_model, watchdog
from ttc_rl.train.curriculum import believing, following, guard
from ttc_rl.train.methods import grpo_reward, supervised

RECIPES = sorted(
    path
    for path in Path("recipes").rglob("*.yaml")
    if path.parent.name not in ("text", "grids", "discovery")
)
"""But studies of text and of grids, which are no recipes."""
MINIMAL = "model: {pretrain: {}}\ncorpus: c.jsonl\ntarget: aime25\n"


def whole(key: str) -> list[str]:
    """Overrides of a recipe that has the key's section; no recipe may have all of them."""
    train = "{guard: {}}" if "guard" in key else "{ttrl: {}}"
    return ["model={pretrain: {}, warmup: {}}", "preflight={}", f"train={train}"]


def write(folder: Path, tree: dict[str, Any] | str, name: str = "r.yaml") -> Path:
    path = folder / name
    if isinstance(tree, str):
        path.write_text(tree)
    else:
        YAML(typ="safe", pure=True).dump(tree, path)
    return path


def with_old_keys(text: str) -> dict[str, Any]:
    """A recipe as it was dumped while the keys were there: each with its default."""
    tree = YAML(typ="safe", pure=True).load(text)
    for key, value in REMOVED.items():
        node = tree
        for part in key.split(".")[:-1]:
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, dict) and value is not None:  # null ones were not written
            node[key.rpartition(".")[2]] = value
    return tree


def test_the_table_says_what_the_code_does():
    constants = {
        "model.pretrain.heads": PretrainConfig.heads,
        "model.pretrain.batch": tiny_model.BATCH,
        "model.pretrain.eval_every": tiny_model.EVAL_EVERY,
        "model.pretrain.seed": None,
        "model.warmup.batch": supervised.BATCH,
        "model.warmup.seed": None,
        "selection.difficulty.prior": list(inputs.PRIOR),
        "selection.less.warmup_share": warmup.SHARE,
        "selection.less.warmup_epochs": warmup.EPOCHS,
        "selection.less.warmup_batch": warmup.BATCH,
        "selection.less.lora_rank": None,
        "preflight.max_truncated": preflight.MAX_TRUNCATED,
        "preflight.max_flat": preflight.MAX_FLAT,
        "preflight.max_refused_golds": preflight.MAX_REFUSED_GOLDS,
        "preflight.max_uncovered": preflight.MAX_UNCOVERED,
        "train.watchdog.window": watchdog.WINDOW,
        "train.watchdog.collapse": watchdog.COLLAPSE,
        "train.watchdog.zero_variance": watchdog.ZERO_VARIANCE,
        "train.watchdog.undecided": watchdog.MOST_UNDECIDED,
        "train.ttrl.band": list(grpo_reward.ANY_SHARE),
        "train.curriculum.prior": following.PRIOR,
        "train.curriculum.decay": believing.DECAY,
        "train.curriculum.reach": believing.REACH,
        "train.curriculum.novelty": believing.NOVELTY,
        "train.curriculum.rate": believing.RATE,
        "train.guard.full_at": guard.FULL_AT,
        "overlap.leave_nearest": 0,  # it is selection.leave_nearest now, which arms may differ in
    }
    assert constants == REMOVED


def test_no_removed_key_is_a_key_now():
    known = set(_all_keys(Recipe, ""))
    assert {key.rpartition(".")[0] for key in REMOVED} <= known
    assert known.isdisjoint(REMOVED)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_run_folder_written_before_still_opens_and_is_the_same(recipe: Path, tmp_path: Path):
    loaded = load_recipe(recipe)
    old = with_old_keys(dump_recipe(loaded))
    assert any(key in str(old) for key in ("novelty", "window"))
    write(tmp_path, old, "recipe.yaml")
    run = RunDir(tmp_path)
    assert run.load_recipe() == loaded
    assert RunDir.open(tmp_path, loaded, resume=True).load_recipe() == loaded


@pytest.mark.parametrize("key", REMOVED)
def test_the_constant_is_dropped_wherever_it_stands(key: str, tmp_path: Path):
    plain = load_recipe(write(tmp_path, MINIMAL), whole(key))
    value = REMOVED[key]
    written = merge(YAML(typ="safe", pure=True).load(MINIMAL), nested(key, value))
    assert load_recipe(write(tmp_path, written, "in-a-file.yaml"), whole(key)) == plain
    shown = "null" if value is None else str(value)
    assert load_recipe(write(tmp_path, MINIMAL), [*whole(key), f"{key}={shown}"]) == plain
    assert (
        load_recipe(write(tmp_path, MINIMAL), [*whole(key), f"sweep={{{key}: [{shown}]}}"]) == plain
    )
    write(tmp_path, written, "parent.yaml")
    assert load_recipe(write(tmp_path, "extends: parent.yaml\n"), whole(key)) == plain


@pytest.mark.parametrize("key", REMOVED)
def test_another_value_is_refused_in_one_line(key: str, tmp_path: Path):
    constant = "left out" if REMOVED[key] is None else f"always {REMOVED[key]}"
    said = f"{key}: was removed, and is {constant} (got 7); leave it out, CHANGELOG.md says why"
    path = write(tmp_path, MINIMAL)
    assert refusal(path, *whole(key), f"{key}=7") == f"command line, {key}=7: {said}"
    assert refusal(path, *whole(key), f"sweep={{{key}: [7]}}").endswith(f": sweep.{said}")
    tree = merge(YAML(typ="safe", pure=True).load(MINIMAL), nested(key, 7))
    assert refusal(write(tmp_path, tree, "in-a-file.yaml"), *whole(key)).endswith(f": {said}")
    section, _, last = key.rpartition(".")
    cell = f"sweep={{{section}: [{{{last}: 7}}]}}"
    assert refusal(path, *whole(key), cell).endswith(f": sweep.{said}")


def test_arms_are_read_as_the_recipe_is(tmp_path: Path):
    arms = "arms:\n  a:\n    train:\n      curriculum:\n        method: discover\n"
    plain = load_recipe(write(tmp_path, MINIMAL + arms))
    assert load_recipe(write(tmp_path, MINIMAL + arms + "        novelty: 1\n")) == plain
    path = write(tmp_path, MINIMAL + arms + "        novelty: 2.0\n")
    assert refusal(path) == (
        f"{path}:9: arms.a.train.curriculum.novelty: was removed, and is always 1.0 (got 2.0); "
        "leave it out, CHANGELOG.md says why"
    )


def test_the_changelog_names_every_removed_key():
    text = Path("CHANGELOG.md").read_text(encoding="utf-8")
    missing = [key for key in REMOVED if f"`{key.rpartition('.')[2]}`" not in text]
    assert missing == []
