"""Ways to change weights. Only these modules import TRL."""

from __future__ import annotations

from collections.abc import Mapping

from ttc_rl.train.methods import grpo
from ttc_rl.train.methods.base import Method, Setup, StepCost

__all__ = ["METHODS", "Method", "Setup", "StepCost"]

METHODS: Mapping[str, Method] = {"grpo": grpo.METHOD}
"""A new method is a module with its `METHOD`, and a line here."""
