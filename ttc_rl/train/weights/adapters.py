"""LoRA and SVF through peft: a few parameters are trained, and a whole model is left all the same.

The adapter stays in `adapter/` beside the model. The model is made from the base as it lies on disk
plus the adapter, so that a base that was quantised for training loses nothing in the export.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ttc_rl.config import AdapterConfig, SvfConfig
from ttc_rl.schema import UserError
from ttc_rl.system.peft_warnings import ignore_warnings_of_peft


def peft_config(config: AdapterConfig | SvfConfig | None) -> Any:
    """Return TRL's `peft_config`; None trains every parameter."""
    if config is None:
        return None
    if isinstance(config, SvfConfig):
        from ttc_rl.train.weights.svf import SvfPeftConfig

        return SvfPeftConfig(
            target_modules=config.target_modules, form=config.form, task_type="CAUSAL_LM"
        )
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha if config.alpha is not None else 2 * config.rank,
        lora_dropout=config.dropout,
        target_modules=config.target_modules,
        task_type="CAUSAL_LM",
        **config.peft,
    )


def loading(config: AdapterConfig | None) -> Mapping[str, Any]:
    """Return `model_init_kwargs` of a base in four bits (QLoRA, arXiv 2305.14314); empty for
    others.

    Raises UserError where bitsandbytes, which quantises, is not installed.
    """
    if config is None or not config.load_in_4bit:
        return {}
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        raise UserError("train.lora.load_in_4bit needs bitsandbytes: pip install bitsandbytes")
    quantised = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    return {"quantization_config": quantised}


def merged(base: Path | str, adapter: Path) -> Any:
    """Return the base as it is on disk with the adapter's change added to its weights, on the
    CPU."""
    from peft import PeftModel

    import ttc_rl.train.weights.svf  # noqa: F401  peft then knows it

    ignore_warnings_of_peft()
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    return PeftModel.from_pretrained(model, adapter).merge_and_unload()
