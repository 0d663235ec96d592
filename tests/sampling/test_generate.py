"""Completions by transformers, from models and tokenizers that behave as published ones do."""

from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3TextConfig,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from ttc_rl.sampling import Decoding
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.sampling.prompts import context_length, end_ids
from ttc_rl.schema import Completion, Task, sample_seed
from ttc_rl.train.tiny_model import END_ID, byte_tokenizer

TASKS = [Task("plain", "a" * n, id=str(n)) for n in (3, 9, 5)]


def tokenizer(*, bos: bool = False) -> Any:
    """Bytes, an end token and no pad token; with `bos`, one that the tokenizer itself writes."""
    made = byte_tokenizer()
    made.pad_token = None
    if bos:
        made.add_special_tokens({"bos_token": "<s>"})
        writes = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", made.bos_token_id)])
        made.backend_tokenizer.post_processor = writes
    return made


def llama(words: int = 259) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        bos_token_id=None,
        eos_token_id=END_ID,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def always(model: Any, *ids: int) -> Any:
    """Make all other tokens next to impossible."""
    model.lm_head = torch.nn.Linear(16, model.config.vocab_size)
    torch.nn.init.zeros_(model.lm_head.weight)
    with torch.no_grad():
        model.lm_head.bias.fill_(-50.0)[list(ids)] = 0.0
    return model


def draw(model: Any, words: Any, tokens: int = 12, **decoding: float) -> list[Completion]:
    completer = GenerateCompleter(model, words, Decoding(tokens, **decoding), {})
    return [group[0] for group in completer(TASKS, 1, seed=0)]


def test_a_tokenizer_without_a_pad_token_draws_what_one_with_it_does():
    model, padded = llama(), byte_tokenizer()
    assert draw(model, tokenizer()) == draw(model, padded)
    padded.pad_token = padded.eos_token
    assert draw(model, tokenizer()) == draw(model, padded)


def test_a_completion_ends_at_the_first_of_several_end_tokens():
    model, words = always(llama(), 70, 71), tokenizer()
    assert [c.finish_reason for c in draw(model, words)] == ["length"] * 3
    model.generation_config.eos_token_id = [END_ID, 71]
    completions = draw(model, words)
    assert [c.finish_reason for c in completions] == ["stop"] * 3
    assert all(c.text == words.decode([70]) * (c.tokens - 1) for c in completions)


@pytest.mark.parametrize(
    ("configured", "own", "ends"),
    [(None, 1, {1}), (2, None, {2}), (2, 1, {1, 2}), ([2, 7], 1, {1, 2, 7}), (None, None, set())],
)
def test_end_tokens_of_the_model_and_of_the_tokenizer_count(configured: Any, own: Any, ends: set):
    words = tokenizer()
    words.eos_token = None if own is None else words.convert_ids_to_tokens(own)
    assert end_ids(GenerationConfig(eos_token_id=configured), words) == ends


def test_a_model_without_any_end_token_writes_until_the_limit():
    model, words = llama(), tokenizer()
    model.generation_config.eos_token_id = words.eos_token = None
    assert [(c.tokens, c.finish_reason) for c in draw(model, words)] == [(12, "length")] * 3


def test_a_bos_is_read_once_whoever_writes_it():
    model, words = llama(260), tokenizer(bos=True)
    assert [c.prompt_tokens for c in draw(model, words)] == [4, 10, 6]
    words.chat_template = "{{ bos_token }}{{ messages[0].content }}"
    assert [c.prompt_tokens for c in draw(model, words)] == [4, 10, 6]


def test_a_head_wider_than_the_vocabulary_may_draw_what_is_no_word():
    words = tokenizer()
    completions = draw(always(llama(300), 70, 299), words)
    assert {c.tokens for c in completions} == {12}
    assert all(c.text in words.decode([70]) * 12 for c in completions)
    assert 0 < sum(len(c.text) for c in completions) < 36


def test_the_context_is_found_under_the_names_that_families_give_it():
    wide = Gemma3Config(text_config=Gemma3TextConfig(max_position_embeddings=77, sliding_window=8))
    assert context_length(wide) == context_length(wide.text_config) == 77
    assert context_length(GPT2Config(n_positions=12)) == 12
    assert context_length(LlamaConfig(max_position_embeddings=31)) == 31


def test_a_context_of_learned_positions_is_not_overrun():
    config = GPT2Config(vocab_size=259, n_positions=8, n_embd=16, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config).eval()
    model.generation_config.eos_token_id = None
    words = tokenizer()
    words.eos_token = None
    short, long, tight = draw(model, words)
    assert (short.tokens, short.finish_reason) == (5, "length")
    assert (long.tokens, long.finish_reason) == (0, "prompt_too_long")
    assert (tight.tokens, tight.finish_reason) == (3, "length")


# --------------------------------------------------------------------------- families

SMALL = {
    "vocab_size": 100,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "initializer_range": 0.6,  # so that a wrong position or mask turns draws
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": None,
}
HYBRID = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}
FAMILIES = {
    "llama": LlamaConfig(**SMALL),
    "qwen3": Qwen3Config(**SMALL),
    "mistral": MistralConfig(**SMALL, sliding_window=6),
    "gemma3": Gemma3TextConfig(**SMALL, **HYBRID),
    "phi3": Phi3Config(**SMALL),
    "olmo2": Olmo2Config(**SMALL),
    "gpt2": GPT2Config(
        vocab_size=100, n_embd=16, n_layer=2, n_head=2, initializer_range=0.6, eos_token_id=0
    ),
}


def numbered_words() -> Any:
    """Words w0 to w99, so that a completion's text tells its tokens; w0 ends it."""
    made = Tokenizer(models.WordLevel({f"w{i}": i for i in range(100)}, unk_token="w1"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="w0")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_every_token_is_the_one_that_its_number_draws_from_the_whole_text(
    family: str, top_p: float
):
    """Read anew, alone, without a cache: so neighbours, padding and those who left do not matter.

    A number may lie 1e-3 beside its token's share, which is what rounding can move it at most.
    """
    torch.manual_seed(1)
    model: Any = AutoModelForCausalLM.from_config(FAMILIES[family]).float().eval()
    model.generation_config.eos_token_id = ends = list(range(20))
    words, ended = numbered_words(), 0
    tasks = [
        Task("plain", " ".join(f"w{i + 20}" for i in range(n)), id=str(n)) for n in (13, 27, 18)
    ]
    completer = GenerateCompleter(model, words, Decoding(20, top_p=top_p), {})
    for task, group in zip(tasks, completer(tasks, 6, seed=0), strict=True):
        for sample, completion in enumerate(group):
            prompt, written = (words(t)["input_ids"] for t in (task.prompt, completion.text))
            with torch.no_grad():
                scores = model(torch.tensor([prompt + written])).logits[0, len(prompt) - 1 :]
            tokens = [[token] for token in written]
            if completion.finish_reason == "stop":  # the text does not tell which end it was
                tokens, ended = [*tokens, ends], ended + 1
            assert completion.tokens == len(tokens)
            numbers = np.random.default_rng(sample_seed(0, task.id, sample)).random(20)
            for row, possible, number in zip(scores, tokens, numbers, strict=False):
                shares = [share(row, token, top_p) for token in possible]
                assert any(below - 1e-3 <= number <= upto + 1e-3 for below, upto in shares)
    assert ended > 0


def share(scores: torch.Tensor, token: int, top_p: float) -> tuple[float, float]:
    """Between which numbers a token is drawn."""
    probs, order = scores.double().softmax(dim=0).sort(descending=True, stable=True)
    probs = probs * (probs.cumsum(dim=0) - probs < top_p)
    place = int((order == token).nonzero())
    whole = float(probs.sum())
    return float(probs[:place].sum()) / whole, float(probs[: place + 1].sum()) / whole


def test_a_long_prompt_is_not_padded_with_short_ones(monkeypatch: pytest.MonkeyPatch):
    model, words, seen = llama(), tokenizer(), list[tuple[int, ...]]()
    model.config.max_position_embeddings = 4096
    forward = model.forward
    monkeypatch.setattr(
        model,
        "forward",
        lambda input_ids, **more: seen.append(input_ids.shape) or forward(input_ids, **more),
    )
    tasks = [Task("plain", "b" * n, id=str(n)) for n in (300, 4, 60, 299)]
    together = GenerateCompleter(model, words, Decoding(3), {})(tasks, 2, seed=0)
    assert [shape for shape in seen if shape[1] > 1] == [(2, 60), (2, 300)]
    assert [[c.prompt_tokens for c in group] for group in together] == [
        [300, 300], [4, 4], [60, 60], [299, 299]
    ]  # fmt: skip


def test_a_finished_row_leaves_the_batch_and_a_slow_batch_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
):
    monkeypatch.setattr("ttc_rl.sampling.generate.EVERY", -1.0)
    model, words = always(llama(), 70, 71, 72), tokenizer()
    model.generation_config.eos_token_id = 71
    completer = GenerateCompleter(model, words, Decoding(40), {})
    lengths = [c.tokens for group in completer(TASKS, 4, seed=0) for c in group]
    for step, line in enumerate(said, start=1):
        finished, tokens = sum(n <= step for n in lengths), sum(min(n, step) for n in lengths)
        assert line.startswith(
            f"this batch: {finished} of 12 completions finished, {tokens} tokens, "
        )
    assert len(said) == max(lengths) - 1 < 39
