"""Completions by transformers, from models and tokenizers that behave as published ones do."""

from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    Gemma3Config,
    Gemma3TextConfig,
    GenerationConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
)

from ttc_rl.prompts import context_length, end_ids
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.schema import Completion, Task
from ttc_rl.train.pretrain import END_ID, byte_tokenizer

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
