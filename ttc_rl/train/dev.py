"""Evaluation while training: drawn by what draws the rollouts, on every rank; what it decides.

The engine is that of the rollouts with the weights of the moment: vLLM beside the trainer, vLLM's
server, or the model itself. Each completion has a seed of its own, so that the numbers do not
depend on who drew it. `train.keep: best` keeps the weights of the best evaluation, `train.stop`
ends a training that gains no more.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

from ttc_rl.config import EngineConfig, TrainConfig
from ttc_rl.metrics import paired_difference
from ttc_rl.run_dir import ArmDir, append_jsonl, read_jsonl, room_at
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.engine import EngineCompleter
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.sampling.served import ServedCompleter
from ttc_rl.schema import Completer
from ttc_rl.system.ranks import is_main
from ttc_rl.train.methods.trl_compat import awake, send_weights
from ttc_rl.train.ranks import barrier
from ttc_rl.train.reporting import report_dev
from ttc_rl.train.rollout_server import server_url

logger = logging.getLogger(__name__)

# E evaluations so far, T dev tasks.
Spread = Literal["shared", "alike", "main"]
"""Ranks share the completions; or every rank draws all of them, in step with the others, since each
holds a part of the model; or the main rank alone asks a server."""
SHARES = "shares"
"""Column of dev.jsonl: each dev task's share of right samples."""


@dataclass(frozen=True)
class DevEngine:
    """What draws an evaluation now."""

    completer: Callable[[Decoding], Completer]
    spread: Spread


@dataclass(frozen=True)
class DevScores:
    """What an evaluation found."""

    numbers: Mapping[str, float]
    shares: Sequence[float]
    """Of right samples, for each dev task."""


Dev = Callable[[DevEngine, int], DevScores | None]
"""What scores the model after a step, given an engine and the step. Called on every rank; returns
None on every rank but the main one."""
Due = Callable[[int, bool], bool]
"""Whether an evaluation is due after a step, given whether it is the last."""


class Evaluate(TrainerCallback):
    """dev.jsonl: the model as it is, on the dev tasks. Takes no random number of the training's."""

    def __init__(
        self,
        due: Due,
        dev: Dev,
        trainer: Any,
        train: TrainConfig,
        templates: Mapping[str, Any],
        arm: ArmDir,
        base: Path | str,
    ) -> None:
        self.due, self.dev, self.trainer, self.train, self.arm = due, dev, trainer, train, arm
        self.templates, self.base, self.updates = templates, base, train.updates
        self.reporters = trainer.callback_handler.callbacks
        rows = list(read_jsonl(arm.dev, "step")) if arm.dev.exists() else []
        self.steps = [row["step"] for row in rows]
        self.shares_E = [np.array(row[SHARES]) for row in rows]

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step == 0 and not self.steps:
            self._evaluate(0, False, (args, state, control))

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step % self.updates == 0:
            step = state.global_step // self.updates
            self._evaluate(step, state.global_step == state.max_steps, (args, state, control))
            stop = self.train.stop
            if stop is not None and without_gain(self.shares_E) >= stop:
                if is_main() and not control.should_training_stop:
                    logger.info(f"step {step}: no gain on the dev tasks in {stop} evaluations")
                state.max_steps = state.global_step
                control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Drop weights that a better evaluation replaced, once a checkpoint stands for it."""
        if is_main():
            held = sorted(_held(self.arm))
            for step in held[:-1]:
                if held[-1] * self.updates <= state.global_step:
                    shutil.rmtree(self.arm.best(step))

    def _evaluate(self, step: int, last: bool, now: tuple[Any, Any, Any]) -> None:
        if not self.due(step, last):
            return
        with dev_engine(self.trainer, self.train, self.templates, self.base) as engine:
            scores = broadcast_object_list([self.dev(engine, step)])[0]
        assert scores is not None
        best_before = max((float(shares.mean()) for shares in self.shares_E), default=-1.0)
        self.steps.append(step)
        self.shares_E.append(np.array(scores.shares))
        if self.train.keep == "best" and self.shares_E[-1].mean() > best_before:
            self._keep(step)
        if is_main():
            append_jsonl(self.arm.dev, [{"step": step, **scores.numbers, SHARES: scores.shares}])
            report_dev(self.reporters, scores.numbers, *now)
            line = ", ".join(f"{k} {v:.3f}" for k, v in scores.numbers.items() if "@" in k)
            logger.info(f"step {step}: dev {line}")

    def _keep(self, step: int) -> None:
        """Save the weights as they are, or the adapter."""
        beside = self.arm.best(step).with_suffix(".part")
        with room_at(self.arm.root):
            if is_main():
                shutil.rmtree(beside, ignore_errors=True)
                shutil.rmtree(self.arm.best(step), ignore_errors=True)
            barrier()
            self.trainer.save_model(str(beside))
            barrier()
            if is_main():
                beside.replace(self.arm.best(step))


def without_gain(shares_E: Sequence[np.ndarray]) -> int:
    """Return how many evaluations came since the last gain, or since the first.

    A gain is a paired difference to the evaluation of the gain before whose interval over tasks
    lies above 0.
    """
    since, reference = 0, shares_E[:1]
    for shares in shares_E[1:]:
        found = paired_difference(shares, reference[0])
        gained = found.lo is not None and found.lo > 0
        since, reference = (0, [shares]) if gained else (since + 1, reference)
    return since


def best_step(arm: ArmDir) -> int | None:
    """Return the step whose weights are kept, the first of the best; None where none are."""
    held = set(_held(arm))
    rows = [row for row in read_jsonl(arm.dev, "step") if row["step"] in held] if held else []
    return max(rows, key=lambda row: (np.mean(row[SHARES]), -row["step"]))["step"] if rows else None


def _held(arm: ArmDir) -> list[int]:
    return [int(path.name.removeprefix("step-")) for path in arm.best(0).parent.glob("step-*[0-9]")]


# --------------------------------------------------------------------------- engines


@contextmanager
def dev_engine(
    trainer: Any, train: TrainConfig, templates: Mapping[str, Any], base: Path | str
) -> Iterator[DevEngine]:
    """Give what draws the rollouts, with the weights as they are."""
    generation = getattr(trainer, "vllm_generation", None)
    if generation is None:
        model = trainer.model
        training = model.training
        model.eval()
        parts = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
        try:
            yield DevEngine(
                lambda decoding: GenerateCompleter(
                    model, trainer.processing_class, decoding, templates
                ),
                "alike" if parts else "shared",
            )
        finally:
            model.train(training)
        return
    send_weights(trainer)
    if generation.mode == "server":
        yield DevEngine(lambda decoding: _served(decoding, train, templates, base, trainer), "main")
        return
    with awake(generation) as llm:
        yield DevEngine(
            lambda decoding: EngineCompleter(llm, decoding, templates),
            "alike" if generation.tensor_parallel_size > 1 else "shared",
        )


def _served(
    decoding: Decoding,
    train: TrainConfig,
    templates: Mapping[str, Any],
    base: Path | str,
    trainer: Any,
) -> ServedCompleter:
    url = server_url(train.vllm)
    chat = trainer.processing_class.chat_template is not None
    config = EngineConfig(backend="endpoint", url=f"{url}/v1", served={"dev": str(base)}, chat=chat)
    return ServedCompleter.connect(str(base), decoding, templates, config)
