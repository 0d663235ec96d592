"""Proxy-tuning (arXiv 2401.08565): three models write one completion.

    logits = base + alpha (expert - antiexpert)

All three read the same tokens, so they must share a vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from ttc_rl.sampling import Decoding
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.schema import UserError

# R rows of a batch, V words of the vocabulary.


@dataclass
class ProxyCompleter(GenerateCompleter):
    """The base model, which is `model`, and two more that shift its logits."""

    others: Sequence[Any] = ()
    """Models whose logits are added, each with its factor in `factors`."""
    factors: Sequence[float] = ()
    own: float = 1.0
    """Factor of the base's own logits."""

    def _cache(self) -> Any:
        models = [self.model, *self.others]
        return _Caches([DynamicCache(config=model.config) for model in models])

    def _scores(self, ids: Any, mask: Any, positions: Any, cache: Any) -> torch.Tensor:
        mine, *theirs = cache.caches
        scores_RV = super()._scores(ids, mask, positions, mine)
        summed_RV = self.own * scores_RV
        for model, factor, part in zip(self.others, self.factors, theirs, strict=True):
            more_RV = self._scores_of(model, ids, mask, positions, part)
            words = min(summed_RV.shape[1], more_RV.shape[1])  # heads may be padded
            summed_RV = summed_RV[:, :words] + factor * more_RV[:, :words]
        return summed_RV

    def close(self) -> None:
        super().close()
        self.others = ()


@dataclass
class _Caches:
    caches: list[Any]

    def reorder_cache(self, rows: torch.Tensor) -> None:
        for cache in self.caches:
            cache.reorder_cache(rows)


def load_proxy(
    base: Path | str,
    expert: Path | str,
    antiexpert: Path | str,
    alpha: float,
    templates: Mapping[str, Any],
    dtype: str | None = None,
) -> ProxyCompleter:
    """Return a completer of the three. Where the antiexpert is the base, two are loaded.

    Raises UserError where their vocabularies differ.
    """
    start = Decoding(max_tokens=1)
    first = GenerateCompleter.load(base, start, templates, dtype)
    names = {expert: alpha} if antiexpert == base else {expert: alpha, antiexpert: -alpha}
    models: list[Any] = []
    for name in names:
        other = GenerateCompleter.load(name, start, templates, dtype)
        if other.tokenizer.get_vocab() != first.tokenizer.get_vocab():
            raise UserError(
                f"policy.method proxy: {name} has another vocabulary than {base}, so their logits "
                "cannot be added; take models of one family"
            )
        models.append(other.model)
    own = 1 - alpha if antiexpert == base else 1.0
    return ProxyCompleter(
        first.model, first.tokenizer, start, templates, models, list(names.values()), own
    )
