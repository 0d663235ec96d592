"""Gradients of single examples, sketched: what LESS compares (arXiv 2402.04333).

    g = grad of -sum_j weight_j log pi(reply_j | prompt)
    plain     g
    adam      m' / (sqrt(v') + eps),  m' = b1 m + (1 - b1) g,  v' = b2 v + (1 - b2) g^2
    sketch    s_f = sum of sign_p x_p over the parameters p whose bucket is f; both drawn once

The sketch keeps inner products on average: E[<s(x), s(y)>] = <x, y>. Rows are written chunk by
chunk and a chunk that is there is not computed again.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.pytorch_utils import Conv1D
from transformers.utils.logging import disable_progress_bar

from ttc_rl.sampling.prompts import prompt_ids
from ttc_rl.schema import Task, content_hash
from ttc_rl.system.peft_warnings import ignore_warnings_of_peft
from ttc_rl.system.progress import time_left

logger = logging.getLogger(__name__)

# n examples, F features of the sketch, p parameters that have a gradient.
CHUNK = 64
"""Examples between two writes."""
LORA_FROM, LORA_RANK = 50_000_000, 128
"""Parameters from which on gradients are those of an adapter, and its rank (the paper's)."""
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Reply:
    """Token ids of one reply and its weight in the objective."""

    ids: tuple[int, ...]
    weight: float


@dataclass(frozen=True)
class Example:
    """What one gradient is of: sum_j weight_j log pi(reply_j | prompt)."""

    prompt: tuple[int, ...]
    replies: tuple[Reply, ...]

    @property
    def tokens(self) -> int:
        """Return the number of tokens of the sequences that are differentiated."""
        return sum(len(self.prompt) + len(reply.ids) for reply in self.replies)


@dataclass(frozen=True)
class Moments:
    """Adam's running means of the gradient and its square; shape (p,)."""

    mean_p: torch.Tensor
    square_p: torch.Tensor


# --------------------------------------------------------------------------- the model


@dataclass
class Differentiable:
    """A model without dropout, its tokenizer, and the parameters gradients are taken of."""

    model: Any
    tokenizer: Any
    templates: Mapping[str, str]

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def gradient(self, example: Example) -> torch.Tensor:
        """Return g of the formula above, shape (p,); zeros where no reply has a weight."""
        if not example.replies:
            return torch.zeros(sum(p.numel() for p in self.parameters))
        grads = torch.autograd.grad(self.loss([example]), self.parameters)
        return torch.cat([grad.flatten().float() for grad in grads]).cpu()

    def loss(self, examples: Sequence[Example]) -> torch.Tensor:
        """Return -sum over examples and replies of weight log pi(reply | prompt)."""
        rows = [(example.prompt, reply) for example in examples for reply in example.replies]
        width = max(len(prompt) + len(reply.ids) for prompt, reply in rows)
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        mask, weights = torch.zeros_like(ids), torch.zeros(len(rows), width)
        for i, (prompt, reply) in enumerate(rows):
            end = len(prompt) + len(reply.ids)
            ids[i, :end] = torch.tensor([*prompt, *reply.ids])
            mask[i, :end] = 1
            weights[i, len(prompt) : end] = reply.weight
        device = self.model.device
        ids, mask, weights = ids.to(device), mask.to(device), weights.to(device)
        logits = self.model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        surprise = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        return (surprise * weights[:, 1:].flatten()).sum()

    def prompt_ids(self, task: Task) -> tuple[int, ...]:
        return tuple(prompt_ids(task, self.templates, self.tokenizer))

    def reply_ids(self, text: str, *, finished: bool = True) -> tuple[int, ...]:
        """Return the tokens of a reply, with the end token where the policy stopped by itself.

        The text is tokenized anew, which may differ from the tokens that were drawn.
        """
        chat = self.tokenizer.chat_template is not None
        spaced = text if chat or text[:1].isspace() else f" {text}"
        ids = self.tokenizer(spaced, add_special_tokens=False)["input_ids"]
        return (*ids, *([self.tokenizer.eos_token_id] if finished else []))


def load_differentiable(
    base: Path | str, templates: Mapping[str, str], lora_rank: int | None, seed: int
) -> Differentiable:
    """Load the base model with gradients of all parameters, or of a fresh adapter on attention."""
    disable_progress_bar()
    cuda = torch.cuda.is_available()
    model: Any = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.bfloat16 if cuda else torch.float32
    )
    model = model.to("cuda" if cuda else "cpu")
    if lora_rank is None:
        lora_rank = LORA_RANK if model.num_parameters() >= LORA_FROM else 0
    if lora_rank:
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        adapter = LoraConfig(
            r=lora_rank, lora_alpha=4 * lora_rank, target_modules=attention_matrices(model)
        )
        with warnings.catch_warnings():
            ignore_warnings_of_peft()
            model = get_peft_model(model, adapter)
    return Differentiable(model.eval(), load_tokenizer(base), templates)


def attention_matrices(model: Any) -> list[str]:
    """Return the names of the linear layers inside the model's attention, as the family calls them:
    q_proj to o_proj, GPT-2's c_attn and c_proj, Phi-3's qkv_proj and o_proj."""
    return [
        name
        for name, module in model.named_modules()
        if "attn" in name and isinstance(module, torch.nn.Linear | Conv1D)
    ]


def load_tokenizer(base: Path | str) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def num_parameters(base: Path | str) -> int:
    """Return the number of parameters of a model, without loading its weights."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base)).num_parameters()


# --------------------------------------------------------------------------- the features


class Sketch:
    """A random sign and a random bucket for each parameter."""

    def __init__(self, parameters: int, features: int, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.features = features
        self.bucket_p = torch.randint(features, (parameters,), generator=rng)
        self.sign_p = 2.0 * torch.randint(2, (parameters,), generator=rng) - 1.0

    def __call__(self, vector_p: torch.Tensor) -> torch.Tensor:
        """Project a vector; the result has shape (F,)."""
        return torch.zeros(self.features).index_add_(0, self.bucket_p, vector_p * self.sign_p)


def adam_direction(gradient_p: torch.Tensor, moments: Moments) -> torch.Tensor:
    """Return where Adam would go next with this gradient, up to its step size and bias
    correction."""
    mean_p = BETA1 * moments.mean_p + (1 - BETA1) * gradient_p
    square_p = BETA2 * moments.square_p + (1 - BETA2) * gradient_p**2
    return mean_p / (square_p.sqrt() + EPS)


def sketched(
    model: Differentiable,
    examples: Sequence[Example],
    sketch: Sketch,
    moments: Moments | None,
    folder: Path,
    name: str,
) -> np.ndarray:
    """Return features of the examples at the model's present weights, shape (n, F), fp32.

    With `moments` they are of Adam's direction, without them of the plain gradient. `name` puts the
    weights and the side into the file names. A chunk's file also names its examples.
    """
    parts: list[np.ndarray] = []
    began, computed, kept = time.monotonic(), 0, 0
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        key = content_hash([[e.prompt, [[r.ids, r.weight] for r in e.replies]] for e in chunk])
        path = folder / f"{name}-{key}.npy"
        there = path.exists()
        kept, computed = kept + there * len(chunk), computed + (not there) * len(chunk)
        if not there:
            rows = [_feature(model.gradient(e), sketch, moments).numpy() for e in chunk]
            _save(path, np.stack(rows))
        parts.append(np.load(path))
        done = start + len(chunk)
        if done == len(examples) or start // CHUNK % 10 == 9:
            left = time_left(computed, len(examples) - kept, time.monotonic() - began)
            logger.info(f"gradients {name}: {done:,} of {len(examples):,}{left}")
    return np.concatenate(parts)


def _feature(gradient_p: torch.Tensor, sketch: Sketch, moments: Moments | None) -> torch.Tensor:
    return sketch(adam_direction(gradient_p, moments) if moments else gradient_p)


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        np.save(file, array.astype(np.float32))
    beside.replace(path)
