"""What is wrong with a recipe's files and values is told before anything is computed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, BertConfig

from ttc_rl.config import PretrainConfig, Recipe, load_recipe
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import UserError
from ttc_rl.stages import run as pipeline
from ttc_rl.stages.checks import check_files, check_run
from ttc_rl.stages.job import Job
from ttc_rl.stages.sweep import check_cells
from ttc_rl.train.tiny_model import base_model

SMALL = PretrainConfig(hidden=16, layers=1, mlp=16, skills=None, max_steps=0)
CONTEXT = 4096


@pytest.fixture(scope="module")
def whole(cache: Path) -> Path:
    return base_model(SMALL, 0, {})


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "model")


def recipe_file(folder: Path, model: object, more: str = "") -> Path:
    """A whole recipe; its `model:` is the first line, `more` begins at line 9."""
    path = folder / "r.yaml"
    skills = "{skills: {families: [count], tasks_per_family: 8, split: %s}}"
    path.write_text(
        f"model: {model}\n"
        f"corpus: [{skills % 'train'}]\n"
        f"target: {skills % 'test'}\n"
        "selection: {size: 4, method: random}\n"
        "eval: {retention: [], samples: 1, k: [1], max_tokens: 4}\n"
        "train:\n"
        "  tasks_per_step: 2\n"
        "  max_completion_tokens: 4\n" + more
    )
    return path


def refused(recipe: Recipe, run: Path) -> str:
    with pytest.raises(UserError) as caught:
        check_run(recipe, RunDir(run))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(file: Path, **keys: Any) -> None:
    file.write_text(
        json.dumps(json.loads(file.read_text(encoding="utf-8")) | keys), encoding="utf-8"
    )


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-8])


def without_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


def one_shard_of_two(model: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


def pointer(model: Path) -> None:
    (model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def without_tokenizer(model: Path) -> None:
    for file in model.glob("tokenizer*"):
        file.unlink()


def broken_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").write_text("{")


def refusing_template(model: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = "{{ raise_exception('no user turns') }}"
    tokenizer.save_pretrained(model)


def without_end(model: Path) -> None:
    change(model / "config.json", eos_token_id=None)
    change(model / "generation_config.json", eos_token_id=None)
    change(model / "tokenizer_config.json", eos_token=None)


def an_encoder(model: Path) -> None:
    BertConfig(architectures=["BertForMaskedLM"]).save_pretrained(model)


def an_adapter(model: Path) -> None:
    (model / "config.json").rename(model / "adapter_config.json")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (shutil.rmtree, "no such folder; mend the path"),
        (an_adapter, "holds an adapter, not a model; merge it into its base"),
        (lambda m: (m / "config.json").unlink(), "holds no config.json"),
        (lambda m: (m / "config.json").write_text("{"), "is not a valid JSON file"),
        (lambda m: change(m / "config.json", model_type="qwen99"), "`qwen99`"),
        (an_encoder, "is a BertForMaskedLM, which writes no text; name a causal language model"),
        (without_weights, "holds no weights"),
        (one_shard_of_two, "model-2.safetensors is missing"),
        (lambda m: cut(m / "model.safetensors"), "model.safetensors: is cut short or damaged"),
        (pointer, "is git's stand-in for the file; `git lfs pull` there"),
        (without_tokenizer, "holds no tokenizer; save that of its base model there"),
        (broken_tokenizer, "its tokenizer cannot be read"),
        (refusing_template, "with a system turn or without: no user turns"),
        (without_end, "names an end token; set eos_token in tokenizer_config.json"),
        (lambda m: change(m / "config.json", vocab_size=99), "but the model embeds 99"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_line_at_its_key(
    model: Path, tmp_path: Path, harm: Callable[[Path], object], says: str
):
    path = recipe_file(tmp_path, model)
    harm(model)
    line = refused(load_recipe(path), tmp_path / "run")
    assert line.startswith(f"{path}:1: model.path: {model}")
    assert says in line


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("corpus=[gone.jsonl]", "corpus: gone.jsonl: no such file"),
        ("corpus=[{path: 'gone/*.jsonl'}]", "corpus: gone/*.jsonl: no file matches"),
        ("corpus=[gsm8k-tran]", "did you mean gsm8k-train?"),
        ("target=gone.jsonl", "target: gone.jsonl: no such file"),
        ("target=aime1925", "target: "),
        ("target=aime25=gone.jsonl", "target: gone.jsonl: no such file"),
        ("eval.benchmarks=[gone.jsonl]", "eval.benchmarks: gone.jsonl: no such file"),
        ("eval.retention=[skils]", "eval.retention: "),
        ("train.dev={source: {path: gone.jsonl}}", "train.dev.source: gone.jsonl: no such file"),
        ("sweep={target: [gone.jsonl]}", "target: gone.jsonl: no such file"),
    ],
)
def test_a_dry_run_names_sources_that_are_not_there(tmp_path: Path, override: str, says: str):
    path = recipe_file(tmp_path, "nobody/nothing")
    check_cells(load_recipe(path), sources=True)
    with pytest.raises(UserError) as caught:
        check_cells(load_recipe(path, [override]), sources=True)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_id_that_is_nowhere_is_told_with_what_to_do(tmp_path: Path):
    path = recipe_file(tmp_path, "nobody/nothing")
    check_files(load_recipe(path))
    line = refused(load_recipe(path), tmp_path / "run")
    assert line == (
        f"{path}:1: model.path: nobody/nothing: neither a folder here nor in the hub's cache, and "
        "HF_HUB_OFFLINE is set; `hf download nobody/nothing` where there is a network, or name a "
        "folder"
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("  lora: {target_modules: [q_proj, qproj]}", ":9: train.lora.target_modules: the model "
         "has no 'qproj'; did you mean q_proj?"),
        ("  svf: {target_modules: 'layers.*gate'}", ":9: train.svf.target_modules: the model has "
         "no 'layers.*gate'"),
        ("  lora: {target_modules: '(q'}", "'(q' is no pattern"),
        ("  mask: nowhere.safetensors", ":9: train.mask: nowhere.safetensors: no such file"),
        ("  trl: {optim: stable_adamw}", ":9: train.trl: stable_adamw with schedule linear: You "
         "need to install"),
        ("  trl: {lr_scheduler_type: cosine_with_min_lr}", "One of min_lr or min_lr_rate should"),
        ("  trl: {load_best_model_at_end: true}", ":9: train.trl: TRL's GRPOConfig says: "),
        ("embed: {model: ./nowhere}", ":9: embed.model: ./nowhere: no such folder"),
        ("embed: {model: nobody/nothing}", ":9: embed.model: the encoder 'nobody/nothing' "),
        ("judge: {model: /nowhere}", ":9: judge.model: /nowhere: no such folder"),
        ("arms: {a: {}, b: {train: {mask: no}}}", ":9: arms.b.train.mask: no: no such file"),
    ],
)  # fmt: skip
def test_a_value_that_would_end_the_run_later_is_one_line_at_its_key(
    whole: Path, tmp_path: Path, more: str, says: str
):
    path = recipe_file(tmp_path, whole, f"{more}\n")
    assert says in refused(load_recipe(path), tmp_path / "run")


@pytest.mark.parametrize("key", ["train.max_completion_tokens", "eval.max_tokens"])
def test_a_completion_has_to_fit_the_context(whole: Path, tmp_path: Path, key: str):
    path = recipe_file(tmp_path, whole)
    check_run(load_recipe(path, [f"{key}={CONTEXT - 1}"]), RunDir(tmp_path / "run"))
    line = refused(load_recipe(path, [f"{key}={CONTEXT}"]), tmp_path / "run")
    assert f"{key}: {CONTEXT} tokens of completion leave no room for a prompt" in line


def test_a_recipe_with_nothing_wrong_passes_and_leaves_nothing(whole: Path, tmp_path: Path):
    good = "  lora: {target_modules: [q_proj, mlp.up_proj]}\n  trl: {optim: sgd, beta: 0}\n"
    check_run(load_recipe(recipe_file(tmp_path, whole, good)), RunDir(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_selection_needs_no_model_that_it_does_not_ask(tmp_path: Path):
    recipe = load_recipe(recipe_file(tmp_path, "nobody/nothing"))
    check_run(recipe, RunDir(tmp_path / "run"), ["select"])
    asking = load_recipe(recipe_file(tmp_path, "nobody/nothing"), ["selection.method=band"])
    with pytest.raises(UserError, match="neither a folder here"):
        check_run(asking, RunDir(tmp_path / "run"), ["select"])


@pytest.mark.parametrize("stage", [pipeline.run_all, pipeline.select])
def test_a_refused_run_leaves_its_recipe_alone_and_the_corrected_one_begins_there(
    model: Path, tmp_path: Path, stage: Callable[[Job], None]
):
    wrong = load_recipe(recipe_file(tmp_path, tmp_path / "moved"))
    right = load_recipe(recipe_file(tmp_path, model))
    run = RunDir.open(tmp_path / "run", wrong)
    with pytest.raises(UserError, match="no such folder"):
        stage(Job(wrong, run))
    assert [path.name for path in run.root.iterdir()] == ["recipe.yaml"]
    run = RunDir.open(tmp_path / "run", right)
    assert run.load_recipe().model.path == str(model)
    pipeline.select(Job(right, run))
    with pytest.raises(UserError, match="--resume goes on with it"):
        RunDir.open(tmp_path / "run", right)


@pytest.mark.parametrize("stage", [pipeline.train, pipeline.evaluate])
def test_training_and_evaluation_look_before_they_load(
    model: Path, tmp_path: Path, stage: Callable[[Job], None]
):
    recipe = load_recipe(recipe_file(tmp_path, model), ["eval.models=[base]"])
    run = RunDir.open(tmp_path / "run", recipe)
    job = Job(recipe, run)
    pipeline.select(job)
    without_weights(model)
    left = sorted(path for path in run.root.rglob("*") if path.is_file())
    with pytest.raises(UserError, match=r"model\.path: .* holds no weights"):
        stage(job)
    noted = (
        ".training",
        ".evaluating",
        "tasks.jsonl",
    )  # the locks, and the ids of what would be evaluated
    files = sorted(path for path in run.root.rglob("*") if path.is_file())
    assert [path for path in files if path.name not in noted] == left
