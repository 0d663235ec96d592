"""Experts: what each training changed of one base, as whole models or added up in proportion.

    W = W_base + sum over experts e of alpha_e (W_e - W_base)

For SVF in the paper's form this is the mixture of the vectors z (arXiv 2501.06252),
for LoRA the sum of the low-rank changes, for patches arithmetic on weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ttc_rl.run_dir import ArmDir
from ttc_rl.schema import UserError
from ttc_rl.system.peft_warnings import ignore_warnings_of_peft
from ttc_rl.train.weights.adapters import merged
from ttc_rl.train.weights.patches import apply_patch, changed_values
from ttc_rl.train.weights.svf import SvfLayer, scaled

Change = Callable[[], torch.Tensor]
"""W_e - W_base of one weight, computed when it is asked for."""


def local_folder(base: Path | str) -> Path:
    """Return the folder of a model; for a model of the hub, the folder of its download."""
    if Path(base).is_dir():
        return Path(base)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(str(base), local_files_only=True))


def whole_model(base: Path | str, expert: ArmDir, out: Path) -> None:
    """Write the expert as a model folder; from a patch in bfloat16, as patches are."""
    if expert.patch.exists():
        apply_patch(local_folder(base), expert.patch, out)
        return
    merged(base, expert.adapter).save_pretrained(out)
    AutoTokenizer.from_pretrained(base).save_pretrained(out)


@torch.no_grad()
def interpolated(base: Path | str, trained: Path | str, alpha: float, out: Path) -> None:
    """Write a model folder with W = W_base + alpha (W_trained - W_base), in the trained one's
    dtype; with alpha 0 and 1 the weights of either, bit for bit.

    Raises UserError where the two have other weights than each other.
    """
    start: Any = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    model: Any = AutoModelForCausalLM.from_pretrained(trained, dtype="auto")
    before, after = start.state_dict(), model.state_dict()
    shapes = [{name: weight.shape for name, weight in held.items()} for held in (before, after)]
    if shapes[0] != shapes[1]:
        raise UserError(f"{trained}: has other weights than {base}; nothing lies between the two")
    for name, weight in model.named_parameters():  # one that is tied stands there once
        weight.copy_(torch.lerp(before[name].float(), weight.float(), alpha))
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(base).save_pretrained(out)


class Mixture:
    """A model whose weights are the base's, plus each expert's change as often as is asked."""

    def __init__(
        self, base: Path | str, experts: Sequence[ArmDir], dtype: str | None = None
    ) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype or "auto")
        self.tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
        self.weights: dict[str, torch.Tensor] = {}
        self.kept: dict[str, torch.Tensor] = {}
        """The base's, of the weights that some expert changes."""
        self.changes: dict[str, list[Change | None]] = {}
        """One for each expert; None where it changes nothing."""
        if all(expert.patch.exists() for expert in experts):
            self._read_patches([expert.patch for expert in experts])
        else:
            self._read_adapters([expert.adapter for expert in experts])
        self.model.eval()

    @torch.no_grad()
    def weigh(self, alphas: Sequence[float]) -> None:
        """Set the weights to the base plus `alphas` times the experts' changes."""
        for name, weight in self.weights.items():
            mixed = self.kept[name].float()
            for alpha, change in zip(alphas, self.changes[name], strict=True):
                if alpha and change is not None:
                    mixed = mixed + alpha * change().float()
            weight.data.copy_(mixed)

    def save(self, folder: Path) -> None:
        """Save the current mixture as a model folder. It cannot be given other weights after
        that."""
        whole = self.model.unload() if hasattr(self.model, "unload") else self.model
        whole.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _keep(self, name: str, weight: torch.Tensor, changes: list[Change | None]) -> None:
        self.weights[name], self.changes[name] = weight, changes
        self.kept[name] = weight.detach().clone()

    def _read_patches(self, patches: Sequence[Path]) -> None:
        changed = [changed_values(patch) for patch in patches]
        for name, weight in self.model.named_parameters():
            values_of = [values.get(name) for values in changed]
            if not any(change is not None for change in values_of):
                continue
            self._keep(name, weight, [])
            base_weight = self.kept[name]
            self.changes[name] = [
                None if change is None else partial(_difference, base_weight, *change)
                for change in values_of
            ]

    def _read_adapters(self, adapters: Sequence[Path]) -> None:
        from peft import PeftModel
        from peft.tuners.tuners_utils import BaseTunerLayer

        ignore_warnings_of_peft()
        names = [f"expert{i}" for i in range(len(adapters))]
        model: Any = PeftModel.from_pretrained(self.model, adapters[0], adapter_name=names[0])
        for name, adapter in zip(names[1:], adapters[1:], strict=True):
            model.load_adapter(adapter, adapter_name=name)
        for name, layer in model.named_modules():
            if not isinstance(layer, BaseTunerLayer):
                continue
            base: Any = layer.get_base_layer()
            self._keep(name, base.weight, [])
            self.changes[name] = [
                partial(_adapted, layer, self.kept[name], expert) for expert in names
            ]
        model.base_model.disable_adapter_layers()
        self.model = model.base_model


@torch.no_grad()
def _adapted(layer: Any, weight: torch.Tensor, name: str) -> torch.Tensor:
    if isinstance(layer, SvfLayer):
        return scaled(weight.float(), layer.basis, layer.scale(name) - 1)
    return layer.get_delta_weight(name)


def _difference(
    weight: torch.Tensor, places: torch.Tensor | None, values: torch.Tensor
) -> torch.Tensor:
    """Return the difference to the base in bfloat16, which is what a patch is relative to."""
    before = weight.to(torch.bfloat16).float()
    if places is None:
        return values.float() - before
    change = torch.zeros_like(before)
    change.flatten()[places] = values.float() - before.flatten()[places]
    return change
