"""Alarms while training: each is logged at once and recorded, and can end the run.

    nan             loss, gradient norm or reward is not a number
    unmoved         a gradient and a learning rate were there, and no weight with one moved.
                    Not seen under DeepSpeed, which keeps its gradients to itself
    drift           sampler and trainer differ in log-probabilities: the sampler has other weights
                    (TRL #5312 was such a case, and silent)
    collapse        mean reward over a window fell below a share of its best window
    zero_variance   nearly all groups of a window have one reward only: nothing to learn from
    undecided       a share of a window's completions could not be compared with their golds: golds
                    that no answer can match look like this
    stall           a step takes longer than `stall` seconds: reported meanwhile, since it may not
                    end; stall.txt has every thread's stack

A stop saves a checkpoint first, but for `nan`, whose weights are lost: then the last one stands.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import torch
from transformers import TrainerCallback

from ttc_rl.config import WatchdogConfig
from ttc_rl.run_dir import ArmDir, append_jsonl
from ttc_rl.system.ranks import is_main

logger = logging.getLogger(__name__)

WINDOW = 20
"""Steps that a mean is taken over: one step's groups are too few to alarm anybody."""
COLLAPSE = 0.5
"""Share of its best window to which the mean reward may fall."""
ZERO_VARIANCE = 0.95
"""Share of groups in which all rewards are equal."""
MOST_UNDECIDED = 0.1
"""Share of completions that could not be compared with their golds; votes do not count."""
WATCHED = 8_000_000
"""Numbers with a gradient, shared out over all tensors, that tell whether weights moved."""
SLICE = 1_000_000
"""Numbers of a gradient that are looked through at once."""
LATER = 1.1
"""Times `stall` until stacks are written and reported: the timer, a thread of its own each time, is
set anew once a tenth of `stall` has passed and not at every step."""
UNDECIDED = "curriculum/undecided_rate"
GAP = "sampling/sampling_logp_difference/mean"


@dataclass
class Signs:
    """The rules, on one step's logs after the other; knows neither trainer nor files."""

    config: WatchdogConfig
    rewards: deque[float] = field(default_factory=deque[float])
    flat: deque[float] = field(default_factory=deque[float])
    undecided: deque[float] = field(default_factory=deque[float])
    best: float = -math.inf
    last_raised: dict[str, int] = field(default_factory=dict[str, int])
    """Alarm -> the step at which it was last given: once a window is enough."""

    def read(self, step: int, logs: Mapping[str, Any], moved: bool | None) -> dict[str, str]:
        """Return alarm -> what is wrong, for what a step logged. `moved` is None where it was not
        checked."""
        alarms = dict(self._now(logs, moved))
        for values, key in (
            (self.rewards, "reward"),
            (self.flat, "frac_reward_zero_std"),
            (self.undecided, UNDECIDED),
        ):
            value = logs.get(key)
            if isinstance(value, int | float) and math.isfinite(value):
                values.append(float(value))
                if len(values) > WINDOW:
                    values.popleft()
        alarms |= dict(self._over_window())
        fresh = {
            alarm: message
            for alarm, message in alarms.items()
            if alarm not in self.last_raised or step - self.last_raised[alarm] >= WINDOW
        }
        self.last_raised |= dict.fromkeys(fresh, step)
        return fresh

    def _now(self, logs: Mapping[str, Any], moved: bool | None) -> list[tuple[str, str]]:
        alarms: list[tuple[str, str]] = []
        for key in ("loss", "grad_norm", "reward"):
            value = logs.get(key)
            if isinstance(value, int | float) and not math.isfinite(value):
                alarms.append(("nan", f"{key} is {value}"))
        norm = logs.get("grad_norm")
        if moved is False and isinstance(norm, int | float) and norm > 0:
            rate = logs.get("learning_rate", math.nan)
            message = f"gradient's norm {norm:.3g}, learning rate {rate:.3g}, but no weight moved"
            alarms.append(("unmoved", message))
        gap = logs.get(GAP)
        if isinstance(gap, int | float) and gap > self.config.drift:
            alarms.append(
                ("drift", f"log-probabilities of sampler and trainer are {gap:.3g} nats apart")
            )
        return alarms

    def _over_window(self) -> list[tuple[str, str]]:
        alarms: list[tuple[str, str]] = []
        if len(self.rewards) == WINDOW:
            mean = sum(self.rewards) / len(self.rewards)
            self.best = max(self.best, mean)
            if mean < COLLAPSE * self.best:
                message = f"mean reward of {WINDOW} steps is {mean:.3g}"
                alarms.append(("collapse", f"{message}; it was {self.best:.3g}"))
        if len(self.flat) == WINDOW:
            mean = sum(self.flat) / len(self.flat)
            if mean > ZERO_VARIANCE:
                message = f"{mean:.0%} of the groups of {WINDOW} steps have one reward"
                alarms.append(("zero_variance", f"{message} only: there is nothing to learn from"))
        if len(self.undecided) == WINDOW:
            mean = sum(self.undecided) / len(self.undecided)
            if mean > MOST_UNDECIDED:
                message = f"{mean:.0%} of the completions of {WINDOW} steps"
                check = "`ttc-rl corpus FILE --check` shows golds that cannot be read"
                alarms.append(("undecided", f"{message} could not be graded: {check}"))
        return alarms


class Watchdog(TrainerCallback):
    def __init__(
        self, config: WatchdogConfig, arm: ArmDir, updates: int = 1, signal: str = "reward"
    ) -> None:
        self.config, self.arm, self.signal = config, arm, signal
        self.updates = updates
        """Of the optimiser, a step: a checkpoint between them could not be gone on from."""
        self.signs = Signs(config)
        self.before: list[tuple[torch.nn.Parameter, torch.Tensor, torch.Tensor]] = []
        """Before an update: parameters, places in them that have a gradient, what stands there."""
        self.moved: bool | None = None
        self.stopped = ""
        """Why the training was stopped; empty where it was not."""
        self.began, self.reported = time.monotonic(), -math.inf
        """When the running step began, and when the last stalled step did that was reported."""
        self.set_at = -math.inf
        self.stacks: IO[str] | None = None
        self.over = threading.Event()

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.stacks = (self.arm.root / "stall.txt").open("a")
        self._wait()
        if state.is_world_process_zero:
            threading.Thread(target=self._look, args=(state,), daemon=True).start()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.before = [] if self.moved else _about_to_move(others["optimizer"])  # once is enough

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if self.before:
            self.moved = any(
                not torch.equal(_numbers(parameter)[places], old)
                for parameter, places, old in self.before
            )
            self.before = []

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        took = time.monotonic() - self.began
        if took > self.config.stall:
            message = f"the step took {took:.0f} s; what it did then is in stall.txt"
            self._alarm(
                state, control, {"stall": message}, reported_before=self.reported == self.began
            )
        self._wait()

    def _look(self, state: Any) -> None:
        """Tell of a step that may never end, from a thread of its own."""
        while not self.over.wait(min(5.0, self.config.stall / 4)):
            began = self.began
            took = time.monotonic() - began
            if took > LATER * self.config.stall and self.reported != began:
                self.reported = began
                where = "what it does is in stall.txt"
                self._tell(state.global_step // self.updates + 1, "stall", f"{took:.0f} s; {where}")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if self.signal in (logs or {}):
            step = state.global_step // self.updates
            self._alarm(state, control, self.signs.read(step, logs, self.moved))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.close()

    def close(self) -> None:
        self.over.set()
        faulthandler.cancel_dump_traceback_later()
        if self.stacks is not None:
            self.stacks.close()
            self.stacks = None
        stall = self.arm.root / "stall.txt"
        if is_main() and stall.exists() and not stall.stat().st_size:
            stall.unlink()

    def _wait(self) -> None:
        self.began, stall = time.monotonic(), self.config.stall
        if self.stacks is not None and self.began - self.set_at > (LATER - 1) * stall:
            self.set_at = self.began
            faulthandler.dump_traceback_later(LATER * stall, repeat=True, file=self.stacks)

    def _alarm(
        self, state: Any, control: Any, alarms: Mapping[str, str], *, reported_before: bool = False
    ) -> None:
        if not state.is_world_process_zero:
            alarms = {
                alarm: message for alarm, message in alarms.items() if alarm in self.config.stop
            }
        step, amid = divmod(state.global_step, self.updates)
        for alarm, message in alarms.items():
            if state.is_world_process_zero and not reported_before:
                self._tell(step, alarm, message)
            if alarm in self.config.stop:
                self.stopped = f"{alarm} at step {step}: {message}"
                control.should_training_stop = True
                control.should_save = alarm != "nan" and not amid  # those weights are lost

    def _tell(self, step: int, alarm: str, message: str) -> None:
        logger.warning(f"ALARM at step {step}: {alarm}: {message}")
        append_jsonl(self.arm.alarms, [{"step": step, "alarm": alarm, "told": message}])


def _about_to_move(optimizer: Any) -> list[tuple[torch.nn.Parameter, torch.Tensor, torch.Tensor]]:
    """Return what an update has to change: parameters, places with a gradient, and their numbers.

    LoRA's A has no gradient while B is 0, a mask leaves few. At less than half of its highest
    learning rate, as in a warm-up, a step may be too small for bfloat16 and is not looked at.
    """
    trained = [
        parameter
        for group in optimizer.param_groups
        if group["lr"] > 0 and group["lr"] >= group.get("initial_lr", 0) / 2
        for parameter in group["params"]
        if parameter.grad is not None
    ]
    most = WATCHED // max(1, len(trained))
    places_of = [(parameter, _with_gradient(parameter.grad, most)) for parameter in trained]
    return [(p, places, _numbers(p)[places]) for p, places in places_of if len(places)]


def _with_gradient(gradient: torch.Tensor, most: int) -> torch.Tensor:
    """Return at most `most` places where the gradient is not 0, of the first slice that has any."""
    numbers = _numbers(gradient)
    for start in range(0, len(numbers), SLICE):
        places = numbers[start : start + SLICE].nonzero().flatten()[:most]
        if len(places):
            return start + places
    return torch.empty(0, dtype=torch.long)


def _numbers(tensor: torch.Tensor) -> torch.Tensor:
    local = getattr(tensor, "to_local", tensor.detach)()  # of FSDP2: this rank's shard
    return local.detach().flatten()
