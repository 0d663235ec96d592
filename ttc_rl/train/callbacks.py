"""Callbacks of TRL's trainer: progress, dev evaluations, the mark of a whole checkpoint."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ttc_rl.run_dir import ArmDir, append_jsonl, sync
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.schema import Completer
from ttc_rl.system.progress import time_left
from ttc_rl.train.checkpoints import mark_complete
from ttc_rl.train.methods import Method
from ttc_rl.train.ranks import barrier
from ttc_rl.train.reporting import report_dev

logger = logging.getLogger(__name__)

Dev = Callable[[Callable[[Decoding], Completer], int, bool], Mapping[str, float] | None]
"""What scores the model after a step, given a way to draw from it, the step, and whether it is the
last; None where none is due."""

Saved = Callable[[Path, int], None]
"""What is told of a whole checkpoint: its folder and its step."""


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


class Evaluate(TrainerCallback):
    """dev.jsonl: the model as it is, on the dev tasks. Takes no random number of the training's."""

    def __init__(
        self,
        dev: Dev,
        arm: ArmDir,
        tokenizer: Any,
        templates: Mapping[str, str],
        updates: int,
        reporters: list[TrainerCallback],
    ) -> None:
        self.dev, self.arm, self.reporters = dev, arm, reporters
        self.tokenizer, self.templates = tokenizer, templates
        self.updates = updates

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step == 0:
            self._evaluate(others["model"], 0, False, (args, state, control))

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step % self.updates == 0:
            step = state.global_step // self.updates
            last = state.global_step == state.max_steps
            self._evaluate(others["model"], step, last, (args, state, control))

    def _evaluate(self, model: Any, step: int, last: bool, now: tuple[Any, Any, Any]) -> None:
        def completer(decoding: Decoding) -> Completer:
            return GenerateCompleter(model, self.tokenizer, decoding, self.templates)

        training = model.training
        model.eval()
        scores = self.dev(completer, step, last)
        model.train(training)
        if scores is not None:
            append_jsonl(self.arm.dev, [{"step": step, **scores}])
            report_dev(self.reporters, scores, *now)
            line = ", ".join(f"{k} {v:.3f}" for k, v in scores.items() if "@" in k)
            logger.info(f"step {step}: dev {line}")


class MarkComplete(TrainerCallback):
    """Says of a checkpoint that it is whole, after everything it stands for is on disk."""

    def __init__(self, arm: ArmDir, updates: int = 1, saved: Saved | None = None) -> None:
        self.arm, self.updates, self.saved = arm, updates, saved

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        barrier()  # every rank has written its state of random numbers
        if state.is_world_process_zero:
            sync(self.arm.metrics)  # a checkpoint stands for the steps before it
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            mark_complete(folder, state.global_step)
            if self.saved is not None:
                self.saved(folder, state.global_step // self.updates)
