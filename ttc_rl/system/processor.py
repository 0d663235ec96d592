"""What this machine computes with its own instructions."""

from __future__ import annotations

import torch


def has_bfloat16() -> bool:
    """Return whether this machine multiplies bfloat16 numbers by its own instructions.

    Returns True on processors other than x86 without a check.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    capability = torch.backends.cpu.get_cpu_capability()
    return not capability.startswith(("AVX", "DEFAULT")) or bool(
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
