"""Small random models of the families people train, with tokenizers that behave as theirs do.

Nothing is copied from them: the templates are our own words with the same habits, the vocabulary is
bytes. What differs between families is what once broke something: which tokens pad and end, who
writes the BOS, what the chat template takes, how large the head is, whether it is tied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GenerationConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nBe helpful.<|im_end|>\n{% endif %}"
    + CHATML
)
HEADERS = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('user and assistant must take turns') }}{% endif %}"
    "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
FOLDED = (
    "{{ bos_token }}{% set first = '' %}{% if messages[0].role == 'system' %}"
    "{% set first = messages[0].content + '\n\n' %}{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ first if loop.first }}{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
NAMED = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
PLAIN_NAMED = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 256,
}


@dataclass(frozen=True)
class Family:
    config: type[Any]
    specials: tuple[str, ...]
    """Tokens beside the bytes; the first ones take the lowest ids."""
    eos: str
    ends: tuple[str, ...]
    """Of generation_config.json."""
    template: str | None
    bos: str | None = None
    pad: str | None = None
    writes_bos: bool = False
    """The tokenizer itself, in front of every text."""
    unknown_ids: int = 0
    """Rows of the head that stand for no token."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Of the model's config."""


QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
FAMILIES = {
    "Qwen3": Family(
        Qwen3Config, QWEN, "<|im_end|>", ("<|im_end|>", "<|endoftext|>"), CHATML,
        pad="<|endoftext|>", unknown_ids=5, more={"tie_word_embeddings": True},
    ),
    "Qwen2.5": Family(
        Qwen2Config, QWEN, "<|im_end|>", ("<|im_end|>", "<|endoftext|>"), DEFAULT_SYSTEM,
        pad="<|endoftext|>", unknown_ids=5, more={"tie_word_embeddings": True},
    ),
    "Llama-3": Family(
        LlamaConfig,
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
         "<|eom_id|>", "<|eot_id|>"),
        "<|eot_id|>", ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"), HEADERS,
        bos="<|begin_of_text|>", writes_bos=True,
    ),
    "SmolLM2": Family(
        LlamaConfig, QWEN, "<|im_end|>", ("<|im_end|>",), DEFAULT_SYSTEM,
        bos="<|im_start|>", pad="<|im_end|>", more={"tie_word_embeddings": True},
    ),
    "Mistral": Family(
        MistralConfig, ("<s>", "</s>"), "</s>", ("</s>",), INST,
        bos="<s>", writes_bos=True, more={"sliding_window": 32},
    ),
    "Gemma-3": Family(
        Gemma3TextConfig, ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        "<eos>", ("<eos>", "<end_of_turn>"), FOLDED,
        bos="<bos>", pad="<pad>", writes_bos=True, unknown_ids=64,
        more={"tie_word_embeddings": True, "sliding_window": 32, "query_pre_attn_scalar": 16},
    ),
    "GPT-2": Family(
        GPT2Config, ("<|endoftext|>",), "<|endoftext|>", ("<|endoftext|>",), None,
        bos="<|endoftext|>",
        more={
            "tie_word_embeddings": True,
            **{"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
        },
    ),
    "Phi-3": Family(
        Phi3Config, ("<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>"),
        "<|endoftext|>", ("<|endoftext|>", "<|end|>", "<|assistant|>"), NAMED,
        bos="<|endoftext|>", pad="<|endoftext|>", unknown_ids=7,
    ),
    "OLMo-2": Family(
        Olmo2Config, ("<|endoftext|>", "<|pad|>"), "<|endoftext|>", ("<|endoftext|>",),
        PLAIN_NAMED, bos="<|endoftext|>", pad="<|pad|>",
    ),
}  # fmt: skip


def tokenizer_of(family: Family) -> PreTrainedTokenizerFast:
    """One token a byte, and the family's own."""
    words = [*family.specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(family.specials))
    if family.writes_bos:
        pair = [(family.bos, words.index(family.bos))]
        made.post_processor = processors.TemplateProcessing(
            single=f"{family.bos} $A", special_tokens=pair
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        chat_template=family.template,
        clean_up_tokenization_spaces=False,
    )


def make(name: str, folder: Path) -> Path:
    """Write a model of the family, in Hugging Face format, as its makers publish it."""
    family = FAMILIES[name]
    tokenizer = tokenizer_of(family)
    sizes = {} if family.config is GPT2Config else SIZES
    config = family.config(
        **{"tie_word_embeddings": False, **sizes, **family.more},
        vocab_size=len(tokenizer) + family.unknown_ids,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids(list(family.ends)),
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
