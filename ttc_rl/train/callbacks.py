"""Progress of a training: metrics.jsonl, and a line on the console."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback

from ttc_rl.run_dir import ArmDir, append_jsonl
from ttc_rl.system.progress import time_left
from ttc_rl.train.methods import Method

logger = logging.getLogger(__name__)


class Progress(TrainerCallback):
    """metrics.jsonl, one line a step, and a line on the console now and then."""

    def __init__(self, arm: ArmDir, updates: int, method: Method) -> None:
        self.arm, self.updates, self.method = arm, updates, method
        self.last_said = time.monotonic()
        self.first: tuple[int, float, float] | None = None
        """Step, tokens and time at the first line, from which pace is told."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not state.is_world_process_zero or self.method.signal not in logs:
            return

        step, steps = state.global_step // self.updates, state.max_steps // self.updates
        append_jsonl(self.arm.metrics, [{"step": step, **logs}], to_disk=False)
        if self.first is None:
            self.first = step, logs.get("num_tokens") or 0.0, time.monotonic()
        done = state.global_step == state.max_steps
        if done or time.monotonic() - self.last_said > 5:
            self.last_said = time.monotonic()
            pace = self._pace(step, steps, logs)
            logger.info(f"step {step}/{steps}  {self.method.progress(logs)}{pace}")

    def _pace(self, step: int, steps: int, logs: Mapping[str, Any]) -> str:
        """Return tokens a second, prompts' too, and the time left, since the first step seen."""
        tokens, now = logs.get("num_tokens") or 0.0, time.monotonic()
        began, before, then = self.first or (step, tokens, now)
        if step == began:
            return ""
        speed = f", {(tokens - before) / (now - then):,.0f} tokens/s" if tokens > before else ""
        return speed + time_left(step - began, steps - began, now - then)
