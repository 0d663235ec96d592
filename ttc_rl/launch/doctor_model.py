"""What the tool will do with a model: each of its parts looked at, and a few tokens drawn."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import torch

from ttc_rl.launch.budget.memory import ADAM_STATES, BYTES
from ttc_rl.launch.doctor import Finding
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.sampling.inspect_model import SAMPLE, Inspected, first_line, inspect_model
from ttc_rl.schema import UserError
from ttc_rl.system.model_files import Unusable
from ttc_rl.train.packaged import packaged_model, packaged_origin

TOKENS = 32
GIB = 2**30


def model_findings(path: str) -> Iterator[Finding]:
    """Yield a finding for each part of an id or folder. Where one is broken, those that rest on it
    are left out."""
    try:
        if origin := packaged_origin(path):
            yield Finding("weights from", True, origin["note"])
        path = str(packaged_model(path) or path)
        model = inspect_model(path)
        parameters = sum(p.numel() for p in model.skeleton.parameters())
        yield Finding("files", True, "config, weights and tokenizer are there")
        yield Finding("architecture", True, _architecture(model, parameters))
        yield Finding("dtype on disk", True, str(model.config.dtype or "not said").split(".")[-1])
        yield _context(model)
        prompt = model.prompt({})
        yield Finding("chat template", True, "yes" if model.tokenizer.chat_template else "none")
        yield Finding("a task as it reads it", True, repr(prompt))
        model.check_tokens({})
        yield Finding("end tokens", True, _shown(model, model.end_ids))
        yield _pad(model)
    except Unusable as error:
        yield Finding("model", False, error.seen, error.fix)
        return
    except UserError as error:
        yield Finding("model", False, str(error))
        return
    room, where = memory_here()
    yield from _memory(parameters, room, where)
    if BYTES["bfloat16"] * parameters < room:
        yield _drawn(path)


def _architecture(model: Inspected, parameters: int) -> str:
    kind = type(model.skeleton).__name__
    head = "tied to the embedding" if model.config.tie_word_embeddings else "of its own"
    return f"{kind}, {parameters:,} parameters, {model.vocabulary:,} tokens, head {head}"


def _context(model: Inspected) -> Finding:
    if model.context is None:
        return Finding("context", True, "no limit in its config")
    return Finding("context", True, f"{model.context:,} tokens of prompt and completion")


def _shown(model: Inspected, ids: list[int]) -> str:
    return ", ".join(f"{model.tokenizer.convert_ids_to_tokens(i)!r} ({i})" for i in ids)


def _pad(model: Inspected) -> Finding:
    pad = model.tokenizer.pad_token_id
    if pad is None:
        return Finding("pad token", None, "none of its own; an end token stands in for it")
    also = "; it ends a completion too" if pad in model.end_ids else ""
    return Finding("pad token", True, f"{_shown(model, [pad])}{also}")


def memory_here() -> tuple[int, str]:
    """Return the bytes for a model, and where: the first GPU's, or without a GPU this machine's."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info(0)[1], torch.cuda.get_device_name(0)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "this machine"


def _memory(parameters: int, room: int, where: str) -> Iterator[Finding]:
    sizes = {name: BYTES[name] * parameters for name in ("float32", "bfloat16")}
    by_dtype = ", ".join(f"{_gib(size)} in {name}" for name, size in sizes.items())
    fits = sizes["bfloat16"] < room
    fix = "" if fits else "a smaller model, or a larger machine"
    yield Finding("weights", fits, f"{by_dtype}; {where} has {_gib(room)}", fix)
    # Weights, their gradients and AdamW's two states, as `ttc-rl plan` counts them.
    whole = (2 + ADAM_STATES) * sizes["float32"]
    fits = whole < room
    yield Finding(
        "training all of them",
        True if fits else None,
        f"{_gib(whole)} with gradients and AdamW in float32, activations not counted",
        "" if fits else "train.lora, or several GPUs (`ttc-rl plan` counts them)",
    )


def _gib(size: float) -> str:
    return f"{size / GIB:,.2f} GiB"


def _drawn(path: str) -> Finding:
    """Load the model, and draw a completion of the sample task."""
    what = f"{TOKENS} tokens drawn"
    try:
        began = time.perf_counter()
        completer = GenerateCompleter.load(path, Decoding(TOKENS), {})
        loaded = time.perf_counter()
        ((drawn,),) = completer([SAMPLE], 1, seed=0)
        seconds = time.perf_counter() - loaded
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        return Finding(what, False, reason, "copy the model's folder again, or name another one")
    return Finding(
        what,
        True,
        f"{drawn.tokens} in {seconds:.1f} s ({drawn.tokens / seconds:.1f} tokens/s), loaded in "
        f"{loaded - began:.1f} s, ended by {drawn.finish_reason}: {drawn.text!r}",
    )
