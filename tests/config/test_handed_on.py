"""Keys that go to vLLM's engine and to peft: taken by their own names, refused with the reason."""

from pathlib import Path

import pytest
from refusals import refusal

from ttc_rl.config import load_recipe
from ttc_rl.config.handed_on import LORA, TRAINING, lora_fields
from ttc_rl.config.trl_fields import class_fields

MINIMAL = "model: m\ncorpus: c.jsonl\ntarget: aime25\n"
SOURCE = """
class EngineArgs:
    model: str = "m"
    seed: int | None = None
    max_num_seqs: int | None = None
    enforce_eager: bool = False

class AsyncEngineArgs(EngineArgs):
    enable_log_requests: bool = False
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "r.yaml"
    path.write_text(MINIMAL + text)
    return path


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name, of which only the source is read."""
    folder = tmp_path / "packages" / "vllm" / "engine"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise ImportError('is not to be imported')")
    (folder / "arg_utils.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder.parents[1])
    class_fields.cache_clear()


@pytest.fixture(autouse=True)
def forgotten():
    yield
    class_fields.cache_clear()


TRAIN, EVAL = "train: {vllm: {engine: {%s}}}\n", "eval: {engine: {backend: vllm, options: {%s}}}\n"


@pytest.mark.parametrize("text", [TRAIN, EVAL])
def test_arguments_of_the_engine_are_held_against_vllms_own(vllm: None, tmp_path: Path, text: str):
    recipe = load_recipe(write(tmp_path, text % "max_num_seqs: 8, enforce_eager: true"))
    options = recipe.train.vllm.engine if recipe.train.vllm else recipe.engine.options
    assert options == {"max_num_seqs": 8, "enforce_eager": True}
    said = refusal(write(tmp_path, text % "max_num_seq: 8"))
    assert said.endswith("vLLM's engine has no such argument; did you mean max_num_seqs?")
    assert "r.yaml:4: " in said
    assert refusal(write(tmp_path, text % "enable_log_requests: true")).endswith("no such argument")
    assert refusal(write(tmp_path, text % "seed: 3")).endswith("seed: set `seed` instead")


def test_arms_and_sweeps_are_held_to_it_too(vllm: None, tmp_path: Path):
    arm = "arms: {a: {train: {vllm: {engine: {max_num_seq: 8}}}}}\n"
    assert ": arms.a.train.vllm.engine.max_num_seq: " in refusal(write(tmp_path, arm))
    sweep = "sweep: {train.vllm.engine.model: [x, y]}\n"
    assert ": sweep.train.vllm.engine.model: is the model of " in refusal(write(tmp_path, sweep))


def test_without_vllm_names_are_taken_as_written_and_its_own_refused_all_the_same(tmp_path: Path):
    assert load_recipe(write(tmp_path, TRAIN % "any_name: 1")).train.vllm is not None
    assert "set train.vllm.sleep instead" in refusal(
        write(tmp_path, TRAIN % "enable_sleep_mode: true")
    )


def test_options_without_an_engine_of_vllm_are_refused(tmp_path: Path):
    said = refusal(write(tmp_path, "eval: {engine: {options: {max_num_seqs: 3}}}\n"))
    assert "eval.engine.options: are vLLM's" in said
    said = refusal(
        write(tmp_path, "eval: {engine: {backend: transformers, options: {max_num_seqs: 3}}}\n")
    )
    assert "`backend: transformers` would ignore them" in said


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("use_rslra: true", "peft's LoraConfig has no such field; did you mean use_rslora?"),
        ("r: 8", "peft.r: set train.lora.rank instead"),
        ("task_type: CAUSAL_LM", "peft.task_type: the training sets it; leave it out"),
        ("eva_config: {}", "takes an object of peft's, which no recipe can hold"),
        ("init_lora_weights: pissa", "or take gaussian or orthogonal (got 'pissa')"),
        ("layer_replication: [[0, 2]]", "merged into the base as it lies on disk"),
    ],
)
def test_fields_of_peft_are_held_against_its_own(tmp_path: Path, keys: str, says: str):
    assert says in refusal(write(tmp_path, f"train: {{lora: {{peft: {{{keys}}}}}}}\n"))


def test_a_field_of_peft_beside_our_own_keys_is_told_where_it_goes(tmp_path: Path):
    said = refusal(write(tmp_path, "train: {lora: {use_dora: true}}\n"))
    assert said.endswith("unknown key; did you mean train.lora.peft.use_dora?")


def test_a_mixture_of_experts_refuses_what_it_would_leave_out(tmp_path: Path):
    text = "experts: {mix: votes}\ntrain: {lora: {peft: {%s}}}\n"
    assert load_recipe(write(tmp_path, text % "use_rslora: true"))
    said = refusal(write(tmp_path, text % "use_dora: true"))
    assert "`experts.mix` adds up changes of layers' weights" in said


def test_what_is_refused_exists_in_the_installed_peft():
    assert set(LORA) <= set(lora_fields())


def test_the_engine_that_trl_makes_gets_them(monkeypatch: pytest.MonkeyPatch):
    from trl.generation import vllm_generation

    from ttc_rl.train.methods.trl_compat import engine_made_with

    made: dict[str, object] = {}
    monkeypatch.setattr(vllm_generation, "LLM", lambda **given: made.update(given), raising=False)
    with engine_made_with(1, {"max_num_batched_tokens": 8192}):
        vllm_generation.LLM(seed=0, max_num_batched_tokens=4096)  # pyright: ignore
    assert made["max_num_batched_tokens"] == 8192


def test_every_argument_that_trl_gives_its_engine_is_ours_to_refuse_or_to_change():
    """A new one of TRL's has to be looked at: does a recipe say it in another place?"""
    import ast
    import inspect
    import textwrap

    from trl.generation.vllm_generation import VLLMGeneration

    tree = ast.parse(textwrap.dedent(inspect.getsource(VLLMGeneration._init_vllm)))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (engine,) = (call for call in calls if ast.unparse(call.func) == "LLM")
    given = {word.arg for word in engine.keywords}
    assert given - set(TRAINING) == {"max_num_seqs", "max_num_batched_tokens"}
