"""What a model's files say before its weights are loaded: will the tool be able to use it?

Everything here reads a folder, or what the hub's cache holds of an id; it works without a network.
Each function raises Unusable with what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
)

from ttc_rl.sampling.prompts import context_length, end_ids, prompt_ids, prompt_text
from ttc_rl.schema import Task, UserError
from ttc_rl.system.hub import hub_is_reachable
from ttc_rl.system.model_files import Unusable, check_folder, check_place

SAMPLE = Task(kind="math", prompt="What is 17 + 25?", gold="42")
"""The task that a prompt is rendered of."""


@dataclass(frozen=True)
class Inspected:
    """A model whose files are whole."""

    path: Path | str
    config: Any
    tokenizer: Any

    @cached_property
    def end_ids(self) -> list[int]:
        """Return the ids that end a completion: those of its generation config, and the tokenizer's
        own."""
        try:
            config = GenerationConfig.from_pretrained(self.path)
        except OSError:
            config = GenerationConfig.from_model_config(self.config)
        return sorted(end_ids(config, self.tokenizer))

    @property
    def context(self) -> int | None:
        """Return the most tokens of prompt and completion together; None where the config names no
        limit."""
        return context_length(self.config)

    @property
    def vocabulary(self) -> int:
        """Return the number of rows of the embedding."""
        return self.config.get_text_config().vocab_size

    @cached_property
    def skeleton(self) -> torch.nn.Module:
        """Return the model without its numbers: names and shapes, on no device."""
        return skeleton(self.config)

    def prompt(self, templates: Mapping[str, str]) -> str:
        """Return the sample task as the model would read it."""
        try:
            return prompt_text(SAMPLE, templates, self.tokenizer)
        except UserError as error:
            fix = "mend chat_template.jinja, or chat_template in tokenizer_config.json"
            raise Unusable(str(error), fix) from None

    def check_tokens(self, templates: Mapping[str, str]) -> None:
        """Raise Unusable where prompts or completions would hold tokens that the model has not."""
        if not self.end_ids:
            raise Unusable(
                f"{self.path}: neither tokenizer nor generation config names an end token",
                "set eos_token in tokenizer_config.json: no completion would end",
            )
        added = set(self.tokenizer.added_tokens_decoder)
        words = {i for i in self.tokenizer.get_vocab().values() if i not in added}
        self.prompt(templates)  # a template that refuses is told first
        used = [*prompt_ids(SAMPLE, templates, self.tokenizer), *self.end_ids]
        largest = max([*words, *used])
        if largest >= self.vocabulary:
            raise Unusable(
                f"{self.path}: its tokenizer writes token {largest}, but the model embeds "
                f"{self.vocabulary} (vocab_size)",
                "name the tokenizer that belongs to this model",
            )


def skeleton(config: Any) -> torch.nn.Module:
    """Return a model of that architecture without its numbers: names and shapes, on no device."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def inspect_model(path: Path | str) -> Inspected:
    """Read config and tokenizer, and see that the weights are there."""
    if folder := folder_of(path):
        check_folder(folder)
    config = read_config(path)
    return Inspected(path, config, read_tokenizer(path))


def folder_of(path: Path | str) -> Path | None:
    """Return the folder; for an id, the hub's cached folder where the hub may not be asked."""
    check_place(path)
    if Path(path).is_dir():
        return Path(path)
    hub_is_reachable()
    cached = try_to_load_from_cache(str(path), "config.json")
    return Path(cached).parent if constants.HF_HUB_OFFLINE and isinstance(cached, str) else None


def read_config(path: Path | str) -> Any:
    """Read the model's config, of an architecture that generates."""
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, HFValidationError) as error:
        raise _unread(path, error) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable(
            f"{path}: config.json: {first_line(error)}",
            "pip install --upgrade transformers, if the model is newer than that",
        ) from None
    _check_architecture(path, config)
    return config


def _unread(path: Path | str, error: Exception) -> Unusable:
    if Path(path).is_dir():
        return Unusable(f"{path}: {first_line(error)}", "copy config.json again")
    cause = error.__cause__
    if isinstance(cause, GatedRepoError):
        return Unusable(f"{path}: the hub asks who you are", "`hf auth login`, accept its terms")
    if isinstance(cause, RepositoryNotFoundError | HFValidationError):
        return Unusable(f"{path}: neither a folder here nor a model of the hub", "mend the name")
    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub cannot be reached"
    return Unusable(
        f"{path}: neither a folder here nor in the hub's cache, and {why}",
        f"`hf download {path}` where there is a network, or name a folder",
    )


def _check_architecture(path: Path | str, config: Any) -> None:
    names = config.architectures or []
    generating = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    is_known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    if not is_known or (names and not generating.intersection(names)):
        raise Unusable(
            f"{path}: is a {names[0] if names else config.model_type}, which writes no text",
            "name a causal language model",
        )


def read_tokenizer(path: Path | str) -> Any:
    """Read the tokenizer as training and evaluation load it."""
    try:
        return AutoTokenizer.from_pretrained(path, padding_side="left")
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise Unusable(
            f"{path}: its tokenizer cannot be read ({first_line(error)})",
            "copy tokenizer.json and tokenizer_config.json again",
        ) from None


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .") if lines else type(error).__name__
