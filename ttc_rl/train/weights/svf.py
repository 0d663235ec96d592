"""Singular-value fine-tuning (SVF, arXiv 2501.06252) as a method of peft.

    W = U diag(S) V'          once, and never changed
    W' = U diag(S z) V'       only z is trained, min(m, n) numbers a matrix; z = 1 is the base

U is not needed where m >= n, nor V where m < n, since U S = W V: with one square orthogonal Q,

    m >= n    W' x = W (x + Q (z - 1) Q'x)         Q = V
    m <  n    W' x = W x + Q (z - 1) Q'(W x)       Q = U

which is the base to the last bit at z = 1, and goes through whatever layer holds W. `released` is
what the authors' code trains in place of z (SakanaAI/self-adaptive-llms at 03a41ae): gates, whose
common factor is divided out again, so that only emphasis is learned and not scale:

    z = sigmoid(p) sum(S) / sum(S sigmoid(p))

There p begins at 0.1 with noise; here without, so that training begins at the base.

As a peft method it is merged for vLLM, saved and loaded as LoRA is. Q comes from W when the adapter
is put on, an eigendecomposition of min(m, n)^3 steps a matrix: seconds each on a GPU at 4,096.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftConfig
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from torch import nn

from ttc_rl.schema import UserError

NAME, PREFIX = "SVF", "svf_"
START = 0.1
"""Of the gates p of the released form."""


@dataclass
class SvfPeftConfig(PeftConfig):
    target_modules: str | list[str] | None = None
    exclude_modules: str | list[str] | None = None
    form: str = "paper"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type: Any = NAME


class SvfLayer(nn.Module, BaseTunerLayer):
    """A linear layer and, for each adapter, the numbers that its singular values are scaled by."""

    adapter_layer_names = ("svf_z",)
    basis: torch.Tensor
    values: torch.Tensor

    def __init__(self, base_layer: nn.Linear, adapter_name: str, config: SvfPeftConfig) -> None:
        super().__init__()
        weight = base_layer.weight
        if weight.numel() == 0 or weight.dtype not in FLOATS:
            raise UserError("train.svf: needs whole weights: no 4-bit base, no DeepSpeed ZeRO-3")
        self.base_layer: Any = base_layer
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        basis, values = singular(weight.data)
        # Not saved: they follow from W.
        self.register_buffer("basis", basis.to(weight.dtype), persistent=False)
        self.register_buffer("values", values, persistent=False)
        self.svf_z = nn.ParameterDict({})
        self.forms: dict[str, str] = {}
        self.merged_adapters: list[str] = []
        self.kept: Any = None
        """The base's weight, while another one is merged."""
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: SvfPeftConfig) -> None:
        start = 1.0 if config.form == "paper" else START
        self.forms[adapter_name] = config.form
        self.svf_z[adapter_name] = nn.Parameter(torch.full_like(self.values, start))
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def scale(self, adapter_name: str) -> torch.Tensor:
        """Return z, in float32."""
        z = self.svf_z[adapter_name]
        return z if self.forms[adapter_name] == "paper" else released(z, self.values)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.disable_adapters and self.merged:
            self.unmerge()
        if self.disable_adapters or self.merged or not self.active_adapters:
            return self.base_layer(x, *args, **kwargs)
        change = (self.scale(self.active_adapters[0]) - 1).to(self.basis.dtype)
        if self.out_features >= self.in_features:
            return self.base_layer(x + ((x @ self.basis) * change) @ self.basis.T, *args, **kwargs)
        y = self.base_layer(x, *args, **kwargs)
        free = y if self.base_layer.bias is None else y - self.base_layer.bias
        return y + ((free @ self.basis) * change) @ self.basis.T

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        names = check_adapters_to_merge(self, adapter_names)
        if not names:
            return
        weight: Any = self.base_layer.weight
        self.kept = weight.data.clone()
        for name in names:
            change = (self.scale(name) - 1).detach()
            weight.data += scaled(self.kept, self.basis, change)
            self.merged_adapters.append(name)

    def unmerge(self) -> None:
        """Restore the base's weight, to the bit."""
        if self.kept is not None:
            self.base_layer.weight.data.copy_(self.kept)
            self.kept = None
            self.merged_adapters.clear()


class SvfModel(BaseTuner):
    prefix = PREFIX
    tuner_layer_cls = SvfLayer

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, SvfLayer):
            target.update_layer(adapter_name, peft_config)
            return
        if not isinstance(target, nn.Linear):
            raise UserError(f"train.svf.target_modules: {current_key} is no linear layer")
        self._replace_module(
            parent, target_name, SvfLayer(target, adapter_name, peft_config), target
        )


FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

# peft's own register_peft_method takes names of its enumeration only; a plain word does as well.
_CONFIGS: Any = PEFT_TYPE_TO_CONFIG_MAPPING
_TUNERS: Any = PEFT_TYPE_TO_TUNER_MAPPING
_PREFIXES: Any = PEFT_TYPE_TO_PREFIX_MAPPING
_CONFIGS[NAME], _TUNERS[NAME], _PREFIXES[NAME] = SvfPeftConfig, SvfModel, PREFIX


def singular(weight_mn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the singular vectors of the shorter side, as columns, and the values; largest first,
    float32.

    From the Gram matrix of that side in float64: a value's error is about 1e-8 of the largest one.
    """
    w = weight_mn.double()
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    squares, vectors = torch.linalg.eigh(gram)
    values = squares.flip(0).clamp(min=0).sqrt()
    return vectors.flip(1).float().contiguous(), values.float()


def scaled(weight_mn: torch.Tensor, basis: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Return W' - W for z - 1 = `change`, in W's type; computed in float32."""
    w, q = weight_mn.float(), basis.float()
    m, n = weight_mn.shape
    changed = (w @ q * change) @ q.T if m >= n else q @ (change[:, None] * (q.T @ w))
    return changed.to(weight_mn.dtype)


def released(gates: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    gate = torch.sigmoid(gates)
    return gate * values.sum() / (values * gate).sum()
