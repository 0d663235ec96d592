"""Limits of the model to be trained: the tokens that end a completion, and its context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from ttc_rl.config import TrainConfig
from ttc_rl.sampling.prompts import context_length, end_ids, prompt_ids
from ttc_rl.schema import Task, UserError


def ends(base: Path | str, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end a completion, as TRL will take them from the loaded model.

    Raises UserError where the tokenizer names none, which TRL cannot do without.
    """
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"{base}: its tokenizer has no end token; set eos_token in its tokenizer_config.json"
        )
    try:
        config = GenerationConfig.from_pretrained(base)
    except OSError:  # it has none of its own: transformers makes one of the model's config
        config = GenerationConfig.from_model_config(AutoConfig.from_pretrained(base))
    return end_ids(config, tokenizer)


def check_room(
    base: Path | str, tasks: Iterable[Task], templates: Mapping[str, str], train: TrainConfig
) -> None:
    """Raise UserError where a prompt and its completion would exceed the model's context.

    Nothing else would tell: GPT-2 ends in an index out of range, others write on where they were
    never trained.
    """
    limit = context_length(AutoConfig.from_pretrained(base))
    if limit is None:
        return
    tokenizer = AutoTokenizer.from_pretrained(base)
    lengths = ((len(prompt_ids(task, templates, tokenizer)), task) for task in tasks)
    longest, task = max(lengths, key=lambda pair: pair[0])
    if longest + train.max_completion_tokens <= limit:
        return
    where = f"task {task.id} of {task.source or 'the corpus'}"
    context = f"{base}: its context of {limit:,} tokens"
    if longest >= limit:
        raise UserError(
            f"{context} has no room after the {longest:,} of {where}; leave that task out"
        )
    raise UserError(
        f"{context} holds the longest prompt ({longest:,}, {where}) and a completion of at most "
        f"{limit - longest:,}; lower train.max_completion_tokens ({train.max_completion_tokens:,}) "
        "to that, or leave long tasks out"
    )
