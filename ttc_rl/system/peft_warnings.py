"""Warnings of peft that no user can act on."""

from __future__ import annotations

import warnings


def ignore_warnings_of_peft() -> None:
    """Leave out what no user could change: an old name that peft and TRL ask transformers by, and
    that GPT-2's matrices lie transposed, which peft sees and heeds by itself.
    """
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False but")
