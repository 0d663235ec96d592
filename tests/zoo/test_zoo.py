"""Each family of models goes through every stage, all weights and LoRA, with warm-up."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from families import CHATML, FAMILIES, make, tokenizer_of
from stages import ADAPTERS, STAGES, Walk, recipe
from transformers import AutoTokenizer
from whole_replies import END, WholeReplies

from ttc_rl.config import TrainConfig
from ttc_rl.run_dir import ArmDir, RunDir, read_jsonl
from ttc_rl.sampling.prompts import as_messages, chat_turns
from ttc_rl.schema import Task, UserError
from ttc_rl.selection.less.examples import supervised
from ttc_rl.selection.less.gradients import load_differentiable
from ttc_rl.stages import run as pipeline
from ttc_rl.stages.job import Job
from ttc_rl.train.curriculum import plan
from ttc_rl.train.limits import check_room, ends
from ttc_rl.train.methods.grpo_reward import Ledger

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("zoo")
    return {name: make(name, folder / name) for name in FAMILIES}


@pytest.mark.parametrize("adapter", list(ADAPTERS))
@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_family_goes_all_the_way(
    cache: Path, tmp_path: Path, models: dict[str, Path], name: str, adapter: str
):
    walk = Walk.begin(models[name], tmp_path, adapter)
    for stage in STAGES.values():
        stage(walk)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_the_adapter_of_gradient_features_sits_on_attention_alone(
    models: dict[str, Path], name: str
):
    model = load_differentiable(models[name], {}, 2, 0)
    task = Task("exact", "a b c", "c")
    assert model.gradient(supervised(task, "c", model)).any()
    touched = {n for n, p in model.model.named_parameters() if p.requires_grad}
    assert touched
    assert all("attn" in n and ("lora_A" in n or "lora_B" in n) for n in touched)


# --------------------------------------------------------------------------- end tokens


@pytest.mark.parametrize("name", list(FAMILIES))
def test_all_end_tokens_of_a_family_are_known(models: dict[str, Path], tmp_path: Path, name: str):
    family, tokenizer = FAMILIES[name], AutoTokenizer.from_pretrained(models[name])
    expected = {*family.ends, family.eos}
    assert ends(models[name], tokenizer) == set(tokenizer.convert_tokens_to_ids(list(expected)))
    make(name, tmp_path)
    (tmp_path / "generation_config.json").unlink()
    assert ends(tmp_path, tokenizer) == {tokenizer.eos_token_id}
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="its tokenizer has no end token; set eos_token"):
        ends(tmp_path, tokenizer)


def test_a_completion_that_any_end_token_ends_is_whole(tmp_path: Path):
    made = recipe(tmp_path, tmp_path, kind="exact", reward="correct", malformed=-0.5)
    tasks = {i: Task("exact", i, "1", id=i) for i in "ab"}
    replies = WholeReplies()
    (right, _), (wrong, _) = replies.ids("answer 1", "hm")
    ledger = Ledger(made, plan(["a", "b"], made.train), tasks, ArmDir(tmp_path), replies, [END, 99])
    rewards = ledger.verified_reward(
        prompts=[],
        completions=[],
        completion_ids=[[right, END], [right, 99], [right], [wrong, END], [wrong, 99], [wrong],
                        [END], []],
        task_id=["a"] * 4 + ["b"] * 4,
        trainer_state=SimpleNamespace(global_step=0),
        log_metric=lambda *_: None,
    )  # fmt: skip
    assert rewards == [1, 1, 1, -0.5, -0.5, 0, -0.5, 0]


# --------------------------------------------------------------------------- templates


def chat(template: str) -> Any:
    return tokenizer_of(replace(FAMILIES["Qwen3"], template=template))


def test_a_template_that_demands_a_system_turn_gets_an_empty_one():
    demands = "{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}"
    user = {"role": "user", "content": "hi"}
    assert chat_turns(as_messages("hi"), chat(demands + CHATML)) == [
        {"role": "system", "content": ""},
        user,
    ]
    assert chat_turns(as_messages("hi"), chat(CHATML)) == [user]
    refuses = "{{ raise_exception('only tools speak') }}"
    with pytest.raises(UserError, match=r"does not take these turns .*only tools speak"):
        chat_turns(as_messages("hi"), chat(refuses))


# --------------------------------------------------------------------------- context


def test_prompt_and_completion_have_to_fit_in_the_context(models: dict[str, Path], tmp_path: Path):
    tasks = [Task("open", "a" * n, id=str(n), source="letters") for n in (9, 50, 30)]
    gpt2 = models["GPT-2"]
    check_room(gpt2, tasks, {}, TrainConfig(max_completion_tokens=14))
    with pytest.raises(UserError) as refused:
        check_room(gpt2, tasks, {}, TrainConfig(max_completion_tokens=15))
    assert str(refused.value).endswith(
        "its context of 64 tokens holds the longest prompt (50, task 50 of letters) and a "
        "completion of at most 14; lower train.max_completion_tokens (15) to that, or leave long "
        "tasks out"
    )
    with pytest.raises(UserError, match="no room after the 64 of task 64 of letters; leave that"):
        check_room(gpt2, [Task("open", "a" * 64, id="64", source="letters")], {}, TrainConfig())
    made = recipe(gpt2, tmp_path, max_completion_tokens=60)
    job = Job(made, RunDir.open(tmp_path / "run", made))
    pipeline.select(job)
    with pytest.raises(UserError, match=r"lower train\.max_completion_tokens \(60\)"):
        pipeline.train(job)
    assert not job.arm("sift")[1].metrics.exists()


# --------------------------------------------------------------------------- runs that go wrong


def test_weights_that_stay_stop_a_run_which_goes_on_as_it_was_advised(
    cache: Path, models: dict[str, Path], tmp_path: Path, said: list[str]
):
    made = recipe(models["SmolLM2"], tmp_path, epochs=2)
    job = Job(made, RunDir.open(tmp_path / "run", made))
    pipeline.select(job)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", lambda self, closure=None: None)
        with pytest.raises(UserError, match=r"unmoved at step 2.*train\.watchdog\.stop=\[\]"):
            pipeline.train(job)
    assert [row["alarm"] for row in read_jsonl(job.arm("sift")[1].alarms)] == ["unmoved"]
    again = recipe(models["SmolLM2"], tmp_path, epochs=2, watchdog={"stop": []}, micro_batch=4)
    job = Job(again, RunDir.open(tmp_path / "run", again, resume=True))
    pipeline.train(job)
    assert "training goes on after step 2" in said
    assert [row["step"] for row in read_jsonl(job.arm("sift")[1].metrics)] == [1, 2, 3, 4]


def test_a_run_whose_rewards_are_all_undecided_comes_to_its_end(
    cache: Path, models: dict[str, Path], tmp_path: Path, said: list[str]
):
    made = recipe(models["SmolLM2"], tmp_path, kind="open")
    job = Job(made, RunDir.open(tmp_path / "run", made))
    pipeline.run_all(job)
    assert any("step 2/2  reward undecided  groups without spread" in line for line in said)
    assert [row["reward"] for row in read_jsonl(job.arm("sift")[1].metrics)] == [None, None]
