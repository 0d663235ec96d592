"""Recipes: what is merged over what, and what is said of a wrong one."""

from pathlib import Path

import pytest
from refusals import refusal

from ttc_rl.config import config_fields, dump_recipe, load_recipe
from ttc_rl.config.loading import make_recipe
from ttc_rl.schema import UserError

RECIPES = sorted(
    path
    for path in Path("recipes").rglob("*.yaml")
    if path.parent.name not in ("text", "grids", "discovery")
)
"""But studies of text and of grids, which are no recipes."""
MINIMAL = "model: m\ncorpus: c.jsonl\ntarget: aime25\n"


def write(folder: Path, text: str, name: str = "r.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_every_recipe_loads_and_reads_back_equal(recipe: Path, tmp_path: Path):
    loaded = load_recipe(recipe)
    assert load_recipe(write(tmp_path, dump_recipe(loaded))) == loaded


def test_command_line_beats_recipe_beats_parent_beats_defaults(tmp_path: Path):
    write(tmp_path, MINIMAL + "seed: 1\nselection: {size: 10, noise: 0.5}\n", "parent.yaml")
    child = write(tmp_path, "extends: parent.yaml\nselection: {size: 20}\ntrain: {epochs: 3}\n")
    recipe = load_recipe(child, ["train.epochs=4", "seed=2"])
    assert (recipe.seed, recipe.selection.size, recipe.selection.noise) == (2, 20, 0.5)
    assert (recipe.train.epochs, recipe.train.tasks_per_step) == (4, 8)


def test_a_parent_may_have_a_parent_but_not_itself(tmp_path: Path):
    write(tmp_path, MINIMAL + "seed: 1\ntrain: {epochs: 5, save_steps: 2}\n", "a.yaml")
    write(tmp_path, "extends: a.yaml\nseed: 2\ntrain: {epochs: 6}\n", "b.yaml")
    recipe = load_recipe(write(tmp_path, "extends: b.yaml\ntrain: {epochs: 7}\n"))
    assert (recipe.seed, recipe.train.epochs, recipe.train.save_steps) == (2, 7, 2)
    write(tmp_path, "extends: d.yaml\n", "c.yaml")
    assert "d.yaml: extends itself, through" in refusal(
        write(tmp_path, "extends: c.yaml\n", "d.yaml")
    )


def test_a_mapping_is_merged_by_one_sign_and_replaced_by_the_other(tmp_path: Path):
    path = write(tmp_path, MINIMAL + "train: {trl: {learning_rate: 1e-6, beta: 0.1}}\n")
    assert load_recipe(path, ["train.trl={beta: 0.2}"]).train.trl == {
        "learning_rate": 1e-6, "beta": 0.2,
    }  # fmt: skip
    assert load_recipe(path, ["train.trl:={beta: 0.2}"]).train.trl == {"beta": 0.2}
    assert load_recipe(path, ["train:={epochs: 2}"]).train.trl == {}


def test_yaml_1_2_reads_exponents_as_numbers_and_no_as_a_word(tmp_path: Path):
    path = write(tmp_path, MINIMAL + "train: {trl: {learning_rate: 1e-6, run_name: no}}\n")
    assert load_recipe(path).train.trl == {"learning_rate": 1e-6, "run_name": "no"}


def test_variables_expand_and_a_missing_one_is_named(tmp_path: Path, monkeypatch):
    path = write(tmp_path, MINIMAL + "data: ${TTC_TEST_DATA:-fallback}/x\n")
    assert load_recipe(path).data == "fallback/x"
    monkeypatch.setenv("TTC_TEST_DATA", "there")
    assert load_recipe(path).data == "there/x"
    bare = write(tmp_path, MINIMAL + "data: ${TTC_TEST_MISSING}\n")
    assert refusal(bare) == f"{bare}:4: data: the variable TTC_TEST_MISSING is not set"


def test_null_is_kept_where_it_is_not_the_default(tmp_path: Path):
    path = write(tmp_path, "model: {pretrain: {skills: null}}\ncorpus: c.jsonl\ntarget: t\n")
    again = load_recipe(write(tmp_path, dump_recipe(load_recipe(path)), "again.yaml"))
    assert again.model.pretrain is not None
    assert again.model.pretrain.skills is None


def test_conditions_of_a_source_are_written_back(tmp_path: Path):
    corpus = "corpus=[{path: c.jsonl, where: {id: {before: m, contains: x}}}]"
    loaded = load_recipe(write(tmp_path, MINIMAL), [corpus])
    assert load_recipe(write(tmp_path, dump_recipe(loaded), "again.yaml")) == loaded


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("selecton.size=3", "selecton: unknown key; did you mean selection?"),
        ("selection.siz=3", "selection.siz: unknown key; did you mean size?"),
        ("train.async=true", "train.async: TRL's AsyncGRPOTrainer learns from groups in the order"),
        ("train.lr=3", "train.lr: unknown key; did you mean train.trl.learning_rate?"),
        ("train.trl.epsilon_hi=1", "no such field; did you mean epsilon_high?"),
        ("train.trl.num_generations=4", "set train.rollouts_per_task instead"),
        ("selection.size=many", "valid integer"),
        ("selection.size=0", "greater than 0"),
        ("eval={samples: 4, k: [8]}", "pass@8 needs at least 8 samples per task, but samples is 4"),
        (
            "arms={a: {selection: {siz: 3}}}",
            "arms.a.selection.siz: unknown key; did you mean size?",
        ),
        ("sweep={selection.siz: [3]}", "sweep.selection.siz: unknown key; did you mean size?"),
        ("train={micro_batch: 100}", "micro_batch 100 does not divide the 128 completions"),
        ("train={majority: [0, 1], reward: format}", "are two rewards; name one"),
        ("train={malformed: -1, reward: 'm:f'}", "train: `malformed` and `reward: m:f`: your func"),
        ("train={svf: {}, lora: {}}", "lora and svf: what is trained is one of them"),
        ("corpus=[]", "corpus: names no source"),
        ("target={path: a, hub: b}", "exactly one of path, hub, skills, everyday"),
        ("seed", "write key=value"),
        ("arms={a: {model: x}}", "arms.a.model: arms of one run share it"),
        ("arms={a: {overlap: {ngram: 9}}}", "arms.a.overlap: arms of one run share it"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_was_meant(tmp_path: Path, override, said):
    assert said in refusal(write(tmp_path, MINIMAL), override)


def test_a_wrong_key_is_named_with_its_line(tmp_path: Path):
    path = write(tmp_path, MINIMAL + "train:\n  epoch: 3\n")
    assert refusal(path) == f"{path}:5: train.epoch: unknown key; did you mean epochs?"


def test_broken_yaml_and_a_missing_file_are_named(tmp_path: Path):
    broken = write(tmp_path, "model: [\n")
    assert refusal(broken).startswith(f"{broken}:2: not valid YAML")
    assert "did you mean r.yaml?" in refusal(tmp_path / "t.yaml")


def test_the_fields_read_from_source_are_those_of_the_class():
    from trl.trainer.grpo_config import GRPOConfig

    assert config_fields() >= set(GRPOConfig.__dataclass_fields__) - {"_n_gpu"}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("learning_rate", "1e-6x", "train.trl.learning_rate: takes a number (got '1e-6x')"),
        ("num_iterations", "1.5", "takes a whole number (got 1.5)"),
        ("bf16", "'yes'", "takes true or false or null (got 'yes')"),
        ("epsilon", "null", "takes a number (got None)"),
        ("lr_scheduler_type", "cosin", "there is no 'cosin'; did you mean cosine?"),
        ("optim", "adamw_torhc", "there is no 'adamw_torhc'; did you mean adamw_torch?"),
        ("loss_type", "x", "there is no 'x'; one of bnpo, cispo, dapo, dr_grpo, grpo,"),
        ("scale_rewards", "groups", "did you mean group?"),
        ("importance_sampling_level", "tokens", "did you mean token?"),
    ],
)
def test_a_value_that_trl_would_refuse_later_is_named_with_its_line(
    tmp_path: Path, key: str, value: str, said: str
):
    path = write(tmp_path, MINIMAL + f"train:\n  trl:\n    {key}: {value}\n")
    assert refusal(path).startswith(f"{path}:6: train.trl.{key}: ")
    assert said in refusal(path)
    swept = write(tmp_path, MINIMAL + f"sweep:\n  train.trl.{key}: [{value}]\n")
    assert f":5: sweep.train.trl.{key}: " in refusal(swept)


def test_values_that_trl_takes_are_left_alone(tmp_path: Path):
    trl = "{learning_rate: 1, warmup_steps: 0.1, scale_rewards: false, delta: null, top_k: 5.0}"
    assert load_recipe(write(tmp_path, MINIMAL + f"train: {{trl: {trl}}}\n"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"seed: \xff\xfe\n", "is not UTF-8"),
        (b"seed: \x07\n", "not valid YAML"),
        (b"seed: " + b"[" * 5000, "not valid YAML"),
        (b"a0: &a0 [x, x]\n" + b"".join(
            b"a%d: &a%d [*a%d, *a%d]\n" % (i, i, i - 1, i - 1) for i in range(1, 40)
        ), "unfolds to more than 100,000 values; write fewer anchors"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_yaml_or_a_bomb_is_one_line(tmp_path: Path, content: bytes, told: str):
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        load_recipe(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["../out", "a/b", ".", "..", "a.b", "base", "", "x" * 101, "a b"])
def test_an_arms_name_stays_within_the_run_folder(name: str):
    arms = {"sift": {}, name: {"selection": {"size": 3}}}
    tree = {"model": "m", "corpus": "c.jsonl", "target": "t.jsonl", "arms": arms}
    with pytest.raises(UserError, match=r"arms: .* cannot be an arm's name") as refused:
        make_recipe(tree)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["logging_steps", "logging_strategy"])
def test_no_step_is_kept_from_metrics_and_watchdog(key: str):
    tree = {"model": "m", "corpus": "c.jsonl", "target": "t.jsonl", "train": {"trl": {key: 10}}}
    with pytest.raises(UserError, match=rf"train\.trl\.{key}: every step is logged.*leave it out"):
        make_recipe(tree)


def test_the_folder_of_data_is_that_of_the_environment_unless_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    keys = {"model": "m", "corpus": "c.jsonl", "target": "aime25"}
    assert make_recipe(keys).data is None
    monkeypatch.setenv("TTC_RL_DATA", "/some/where")
    assert make_recipe(keys).data == "/some/where"
    assert make_recipe(keys | {"data": "/else"}).data == "/else"
    assert make_recipe(keys | {"data": None}).data is None
    (tmp_path / "recipe.yaml").write_text("model: m\ncorpus: c.jsonl\ntarget: aime25\n")
    assert load_recipe(tmp_path / "recipe.yaml").data == "/some/where"
    assert load_recipe(tmp_path / "recipe.yaml", of_run=True).data is None
