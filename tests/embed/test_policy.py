"""The policy's last-token state, against one prompt at a time with every layer kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import processors
from transformers import AutoModelForCausalLM, AutoTokenizer

from ttc_rl.config import EmbedConfig, PretrainConfig
from ttc_rl.embed import embed
from ttc_rl.embed.encoders import KIND_SENTENCE
from ttc_rl.embed.policy import chat_tokenizer, chat_tokens
from ttc_rl.schema import Task
from ttc_rl.train.tiny_model import base_model

POLICY = EmbedConfig(model="policy", dtype="float32", batch=4)
TASKS = [
    Task("math", "2 + 3"),
    Task("code", "sort the words of a line by their length"),
    Task("math", "7"),
]
CHATML = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|/|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def base(cache: Path) -> Path:
    return base_model(PretrainConfig(skills=None, layers=2), 0, {})


@pytest.fixture(autouse=True)
def own_cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTC_RL_CACHE", str(tmp_path / "cache"))


def copy_of(base: Path, folder: Path, *, chat: bool = True, side: str = "right") -> Path:
    """The same weights, with a tokenizer that has a BOS, a chat template and a padding side."""
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side=side)
    bos = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer.bos_token = bos[0]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos[0]} $A", special_tokens=[bos]
    )
    tokenizer.chat_template = CHATML if chat else None
    tokenizer.save_pretrained(folder)
    return folder


def one_by_one(path: Path, texts: list[str]) -> np.ndarray:
    """Unit last-layer states of the last token: one prompt a batch, so nothing is padded."""
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(path),
        AutoTokenizer.from_pretrained(path),
    )
    rows = []
    for text in texts:
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            states = model(ids, output_hidden_states=True).hidden_states
        rows.append(states[-1][0, -1] / states[-1][0, -1].norm())
    return torch.stack(rows).numpy()


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_padding_side_makes_no_difference(base: Path, tmp_path: Path, side: str):
    model = copy_of(base, tmp_path / "model", side=side)
    assert AutoTokenizer.from_pretrained(model).padding_side == side
    bos = AutoTokenizer.from_pretrained(model).bos_token
    chats = [f"{bos}<|user|>{task.prompt}<|/|>\n" for task in TASKS]
    assert embed(TASKS, POLICY, policy=model) == pytest.approx(one_by_one(model, chats), abs=1e-5)


def test_a_model_without_a_chat_template_reads_the_prompt_as_it_stands(base: Path):
    assert AutoTokenizer.from_pretrained(base).chat_template is None
    texts = [task.prompt for task in TASKS]
    assert embed(TASKS, POLICY, policy=base) == pytest.approx(one_by_one(base, texts), abs=1e-5)


def test_the_kind_sentence_and_the_prompt_stand_inside_the_turn(base: Path, tmp_path: Path):
    model = copy_of(base, tmp_path / "model")
    config = POLICY.model_copy(update={"kind_sentence": True, "prompt": "Solve: "})
    bos = AutoTokenizer.from_pretrained(model).bos_token
    chats = [
        f"{bos}<|user|>Solve: {task.prompt}{KIND_SENTENCE.format(kind=task.kind)}<|/|>\n"
        for task in TASKS
    ]
    assert embed(TASKS, config, policy=model) == pytest.approx(one_by_one(model, chats), abs=1e-5)


@pytest.mark.parametrize("chat", [True, False])
def test_there_is_one_bos(base: Path, tmp_path: Path, chat: bool):
    tokenizer = chat_tokenizer(copy_of(base, tmp_path / "model", chat=chat))
    [ids] = chat_tokens(tokenizer, ["hello"], None)["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id


def test_of_a_prompt_too_long_the_end_is_read(base: Path, tmp_path: Path):
    tokenizer = chat_tokenizer(copy_of(base, tmp_path / "model"))
    [whole] = chat_tokens(tokenizer, ["hello world"], None)["input_ids"]
    [end] = chat_tokens(tokenizer, ["hello world"], 5)["input_ids"]
    assert end == whole[-5:]


def test_other_weights_are_another_cache(base: Path, tmp_path: Path, said: list[str]):
    same = copy_of(base, tmp_path / "one", chat=False)
    other = base_model(PretrainConfig(skills=None, layers=2), 1, {})
    rows = embed(TASKS, POLICY, policy=base)
    assert not np.allclose(rows, embed(TASKS, POLICY, policy=other), atol=1e-3)
    said.clear()
    embed(TASKS, POLICY, policy=base)
    assert not said
    embed(TASKS, POLICY, policy=same)
    assert said  # its tokenizer differs, though its weights do not
