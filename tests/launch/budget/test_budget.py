"""Plans: sizes against transformers' own models, arithmetic against counting it out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ttc_rl.config import (
    AdapterConfig,
    ExpertsConfig,
    ModelConfig,
    PretrainConfig,
    Recipe,
    SvfConfig,
    TrainConfig,
)
from ttc_rl.launch.budget import Assumed, budget, shape_of
from ttc_rl.launch.budget.fitting import fitting
from ttc_rl.launch.budget.memory import trained_parameters
from ttc_rl.launch.budget.models import known_gpus, known_models
from ttc_rl.launch.budget.show import arm_rows
from ttc_rl.schema import UserError
from ttc_rl.train.curriculum import plan
from ttc_rl.train.methods.grpo import step_cost


def recipe(model: str = "Qwen/Qwen3-8B", size: int = 10, **train: object) -> Recipe:
    small = {"tasks_per_step": 4, "rollouts_per_task": 8, "max_completion_tokens": 100}
    return Recipe.model_validate(
        {
            "model": model,
            "corpus": "c.jsonl",
            "target": "aime25",
            "selection": {"size": size},
            "train": {**small, **train},
        }
    )


@pytest.mark.parametrize("name", sorted(known_models()))
def test_a_model_has_as_many_parameters_as_transformers_makes_of_its_shape(name: str):
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen3Config

    shape = shape_of(ModelConfig(path=name))
    config = (Qwen3Config if shape.head_norm else LlamaConfig)(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        tie_word_embeddings=shape.tied,
    )
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(config)
    assert shape.parameters == sum(p.numel() for p in made.parameters())


def test_the_totals_are_those_of_the_published_weights():
    # The totals that the hub shows for the safetensors files of the two models.
    published = {"Qwen/Qwen3-0.6B": 596_049_920, "Qwen/Qwen3-8B": 8_190_735_360}
    for name, total in published.items():
        assert shape_of(ModelConfig(path=name)).parameters == total


def test_a_local_config_is_read_and_an_unknown_model_is_one_line(tmp_path: Path):
    config = {
        "model_type": "llama",
        "num_hidden_layers": 2,
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_attention_heads": 2,
        "vocab_size": 10,
        "tie_word_embeddings": False,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = shape_of(ModelConfig(path=str(tmp_path)))
    assert (shape.kv_heads, shape.head_dim, shape.head_norm) == (2, 4, False)
    layer = 4 * 8 * 8 + 3 * 8 * 16 + 2 * 8
    assert shape.parameters == 2 * 10 * 8 + 8 + 2 * layer
    with pytest.raises(UserError, match=r"shape of some/model is not known.*hf download some/mod"):
        shape_of(ModelConfig(path="some/model"))


def test_a_config_in_the_hubs_cache_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--some--model"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "config.json").write_text(json.dumps(OF_FAMILIES["gpt2"]))
    assert shape_of(ModelConfig(path="some/model")).layers == 2


SIZES = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2, "vocab_size": 10}
OF_FAMILIES = {
    "gpt2": {"model_type": "gpt2", "n_layer": 2, "n_embd": 8, "n_head": 2, "vocab_size": 10},
    "qwen2": {"model_type": "qwen2", "intermediate_size": 16, **SIZES},
    "gemma3_text": {"model_type": "gemma3_text", "intermediate_size": 16, "head_dim": 4, **SIZES},
    "phi": {"model_type": "phi", "intermediate_size": 16, **SIZES},
    "qwen3_moe": {
        "model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 2, "head_dim": 4,
        "moe_intermediate_size": 12, "intermediate_size": 16, "num_key_value_heads": 2, **SIZES,
    },
}  # fmt: skip


@pytest.mark.parametrize("family", OF_FAMILIES)
def test_other_families_are_counted_as_transformers_makes_them(family: str, tmp_path: Path):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    (tmp_path / "config.json").write_text(json.dumps(OF_FAMILIES[family]))
    shape = shape_of(ModelConfig(path=str(tmp_path)))
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    assert shape.parameters == sum(p.numel() for p in made.parameters())
    used = 2 * (4 - 2) * 3 * 8 * 12 if family == "qwen3_moe" else 0
    assert shape.active == shape.parameters - used


def test_a_config_that_says_too_little_is_one_line(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 8}))
    with pytest.raises(UserError, match=r"config\.json: has no num_hidden_layers, so the model's"):
        shape_of(ModelConfig(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("gpu", "gpus", "found"),
    [
        ("h100", 4, "--parallel fsdp2"),
        ("rtx4090", 1, "train.lora={rank: 16, load_in_4bit: true}"),
        ("a100-80gb", 1, "train.lora={rank: 16}"),
    ],
)
def test_a_plan_that_does_not_fit_says_what_would(gpu: str, gpus: int, found: str):
    made = recipe(vllm={"gpu_memory_utilization": 0.3}, max_completion_tokens=2048, micro_batch=4)
    assumed = Assumed(gpu, gpus, "ddp" if gpus > 1 else "single")
    assert not budget(made, assumed).fits
    assert fitting(made, assumed) == found
    ((_, rows),) = arm_rows(made, assumed)
    assert ("fits with", found) in [row[:2] for row in rows]


def test_where_no_change_helps_none_is_named():
    huge = recipe(lora={"rank": 8, "load_in_4bit": True}, max_completion_tokens=4_000_000)
    assert fitting(huge, Assumed("l4")) is None


def test_steps_and_padding_are_those_that_training_makes():
    for size, epochs, per_step in ((10, 2, 4), (7, 3, 5), (1000, 2, 8)):
        made = recipe(size=size, epochs=epochs, tasks_per_step=per_step)
        planned = budget(made, Assumed())
        real = plan([str(i) for i in range(size)], made.train)
        assert (planned.steps, planned.padding) == (real.steps, real.padding)
        assert planned.most.rollouts == len(real.task_ids) * 8


def test_flops_are_counted_token_by_token():
    made = recipe(trl={"num_iterations": 2, "beta": 0.1})
    planned = budget(made, Assumed(prompt_tokens=20, tokens=50, target_tasks=30))
    assert planned.expected
    flops = 0
    for _ in range(planned.expected.rollouts):
        forwards = 1 + 1 + 1 + 2  # drawn, old log-probabilities, reference, two updates
        flops += 70 * planned.shape.parameters * (2 * forwards + 4 * 2)
    assert planned.expected.flops == pytest.approx(flops)
    votes = flops / (2 * planned.shape.parameters * 50 * 30)
    assert planned.equal_votes == int(votes)


def test_scorings_follow_trl():
    """The condition in `_generate_and_score_completions` of TRL 1.16."""
    for updates, iterations, vllm in ((1, 1, False), (4, 1, False), (1, 2, False), (1, 1, True)):
        train = TrainConfig.model_validate(
            {
                "updates_per_step": updates,
                "trl": {"num_iterations": iterations},
                "vllm": {"mode": "colocate"} if vllm else None,
            }
        )
        accumulation = 128 // updates
        generate_every = 128 * iterations
        assert step_cost(train).scorings == int(accumulation % generate_every != 0 or vllm)


def test_sharding_divides_what_it_says_and_the_rest_stays():
    made = recipe(micro_batch=2, vllm={"mode": "colocate", "gpu_memory_utilization": 0.5})
    whole, fsdp2 = (
        budget(made, Assumed(gpus=4, parallel=s)).memory.parts for s in ("ddp", "fsdp2")
    )
    assert whole["weights"] == 4 * fsdp2["weights"] == 4 * 8_190_735_360
    for part in ("gradients", "optimiser"):
        assert whole[part] == 4 * fsdp2[part]
    for part in ("activations", "logits", "vllm"):
        assert whole[part] == fsdp2[part]
    assert whole["vllm"] == 40e9


def test_more_gpus_or_bandwidth_never_take_longer_and_a_price_is_only_told():
    hours = [budget(recipe(), Assumed(gpu=name)).cost.gpu_hours for name in ("l4", "h100", "h200")]
    assert hours == sorted(hours, reverse=True)
    assert all(best < worst for best, worst in hours)
    assert budget(recipe(), Assumed()).price is None
    priced = budget(recipe(), Assumed(price=3.0))
    assert priced.price == tuple(3 * h for h in priced.cost.gpu_hours)
    assert all(gpu.source for gpu in known_gpus().values())


def test_arms_that_cost_the_same_share_a_table():
    made = recipe().model_copy(
        update={
            "arms": {
                "random": {"selection": {"method": "random"}},
                "sift": {},
                "long": {"train": {"epochs": 3}},
            }
        }
    )
    titles = [title for title, _ in arm_rows(made, Assumed())]
    assert titles == ["each of arms random, sift", "arm long"]


@pytest.mark.parametrize(
    ("gpus", "micro", "says"),
    [(3, None, "do not divide over 3 devices"), (2, 32, "micro-batches of 32")],
)
def test_a_batch_that_does_not_divide_is_told(gpus: int, micro: int | None, says: str):
    with pytest.raises(UserError, match=says):
        budget(recipe(micro_batch=micro), Assumed(gpus=gpus))


def test_plan_answers_without_loading_anything_heavy():
    code = (
        "import sys; from ttc_rl.cli.app import app\n"
        "try:\n    app(['plan', 'recipes/quickstart.yaml', '--price', '2'])\n"
        "finally:\n    print('loaded', [m for m in ('torch', 'transformers', 'trl', 'datasets')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "loaded []" in done.stdout, done
    assert "DOES NOT FIT" not in done.stdout
    assert "a GPU hour (--price)" in done.stdout


def test_experts_are_many_trainings_and_their_votes_are_the_dearer():
    one = recipe()
    many = one.model_copy(update={"experts": ExpertsConfig()})
    few = one.model_copy(update={"experts": ExpertsConfig(groups=3)})
    known = Assumed(target_tasks=30)
    assert [budget(r, known).experts for r in (one, many, few)] == [1, 30, 3]
    assert budget(many, Assumed()).experts is None
    assert budget(many, Assumed()).equal_votes is None
    votes = [budget(r, known).equal_votes or 0 for r in (one, few, many)]
    assert votes[0] < votes[1] < votes[2]
    assert votes[2] == pytest.approx(30 * votes[0], abs=30)
    assert ("experts", "one a target") in [row[:2] for row in arm_rows(many, Assumed())[0][1]]
    priced = Assumed(target_tasks=30, price=2.0)
    shown = {row[0]: row[1] for row in arm_rows(few, priced)[0][1]}
    best, worst = (6 * hours for hours in budget(few, priced).cost.gpu_hours)
    assert shown["all experts: price"] == f"{best:,.2f} to {worst:,.2f}"


def test_what_an_adapter_trains_is_what_peft_makes_trainable():
    from peft import get_peft_model
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from ttc_rl.system.peft_warnings import ignore_warnings_of_peft
    from ttc_rl.train.weights.adapters import peft_config

    ignore_warnings_of_peft()
    shape = shape_of(ModelConfig(pretrain=PretrainConfig()))
    config = Qwen3Config(
        vocab_size=shape.vocabulary, hidden_size=shape.hidden, intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads, head_dim=shape.head_dim,
    )  # fmt: skip
    for train in (TrainConfig(lora=AdapterConfig(rank=3)), TrainConfig(svf=SvfConfig())):
        model = get_peft_model(Qwen3ForCausalLM(config), peft_config(train.adapter))
        made = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert trained_parameters(shape, train) == made
