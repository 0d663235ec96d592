"""One recipe on many GPUs: commands for this machine, a SLURM script, a task for a cloud.

    select        one process       corpus -> curriculum
    train         all processes     accelerate launch -m ttc_rl train
    eval          one process       which starts engines of its own (`eval.engine.processes`)

Every stage goes on where an earlier try stopped, so a job that was put back in the queue runs the
same script again. How many GPUs there are is no part of the recipe: a run may go on with more.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from ttc_rl.config import SERVER_URL, Recipe
from ttc_rl.schema import UserError
from ttc_rl.system.lock import wait_until_free
from ttc_rl.system.tether import environment, with_parent
from ttc_rl.train.curriculum import micro_batch

logger = logging.getLogger(__name__)

__all__ = ["CONFIGS", "Launch", "Parallel", "config_file", "local", "run_local", "serve"]

Parallel = Literal["single", "ddp", "fsdp2", "cpu"]
CONFIGS: tuple[Parallel, ...] = ("single", "ddp", "fsdp2", "cpu")
PORT = 8000
"""Of vLLM's server."""
OWN_GPU = 0.9
"""Share of its GPUs' memory that a server takes; the recipe's default is for colocation."""


@dataclass(frozen=True)
class Launch:
    """What is run, and over what."""

    recipe: Path
    overrides: Sequence[str]
    run_dir: Path
    config: Parallel
    gpus: int
    """A node; processes of `cpu`."""
    nodes: int = 1
    """That train; a node of vLLM's server comes on top."""
    unsafe_local: bool = False

    @property
    def processes(self) -> int:
        return self.gpus * self.nodes


def check(launch: Launch, recipe: Recipe) -> None:
    """Raise UserError at once where the processes do not fit the config or the batch."""
    if launch.config == "single" and launch.processes > 1:
        raise UserError(
            f"--parallel single: one process, but {launch.processes} GPUs; "
            f"name one of {', '.join(c for c in CONFIGS if c != 'single')}"
        )
    if launch.config != "single" and launch.processes < 2:
        raise UserError(f"--parallel {launch.config}: needs at least two processes; see --gpus")
    if recipe.sweep:
        raise UserError(
            "a recipe with `sweep:` is many runs: `--on slurm --array` submits one index for each, "
            "`ttc-rl run` makes them all here"
        )
    for name in recipe.arm_names:
        arm = recipe.arm(name)
        train = arm.train
        if not arm.policy.trains:
            continue
        micro_batch(train, launch.processes)
        for key, asked in (
            ("reembed", train.curriculum.reembed),
            ("method gradalign", train.curriculum.method == "gradalign"),
        ):
            if asked and launch.processes > 1:
                raise UserError(f"train.curriculum.{key}: works in one process only; leave it out")


def serves(recipe: Recipe) -> bool:
    """Return whether rollouts come from a server of its own."""
    return recipe.train.vllm is not None and recipe.train.vllm.mode == "server"


def config_file(config: Parallel) -> Path:
    """Return the file of accelerate's configuration in this package."""
    return Path(str(resources.files("ttc_rl.launch").joinpath(f"configs/{config}.yaml")))


# --------------------------------------------------------------------------- commands


def stage(launch: Launch, name: str) -> list[str]:
    """Return arguments of `ttc-rl` for one stage."""
    resume = ["--resume"] if name == "select" else []
    unsafe = ["--unsafe-local"] if launch.unsafe_local and name != "select" else []
    folder = ["--run-dir", str(launch.run_dir)]
    return [name, str(launch.recipe), *launch.overrides, *folder, *resume, *unsafe]


def accelerate(launch: Launch, python: str, config: Path, machine: Sequence[str]) -> list[str]:
    """Return `accelerate launch` of the training; `machine` says which of several nodes this is."""
    return [
        python,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(config),
        "--num_processes",
        str(launch.processes),
        "--num_machines",
        str(launch.nodes),
        *machine,
        "-m",
        "ttc_rl",
        *stage(launch, "train"),
    ]


def local(launch: Launch) -> list[list[str]]:
    """Return the three commands of a run on this machine, with a free port for the processes."""
    python = sys.executable
    port = ["--main_process_port", "0"] if launch.processes > 1 else []
    return [
        [python, "-m", "ttc_rl", *stage(launch, "select")],
        accelerate(launch, python, config_file(launch.config), port),
        [python, "-m", "ttc_rl", *stage(launch, "eval")],
    ]


def run_local(launch: Launch, recipe: Recipe) -> None:
    """Run them in turn. Raises UserError where one fails, and where a server is not named."""
    named = recipe.train.vllm and recipe.train.vllm.server_base_url
    if serves(recipe) and not (named or os.environ.get(SERVER_URL)):
        raise UserError(
            "train.vllm.mode: server needs server_base_url; start one on its own GPUs: "
            f"VLLM_SERVER_DEV_MODE=1 {shlex.join(serve(recipe))}"
        )
    wait_until_free(launch.run_dir)
    for command in local(launch):
        logger.info(shlex.join(command))
        if code := _run(command):
            raise UserError(
                f"{shlex.join(command[:4])} ... ended with {code}; "
                "the same command goes on from there"
            )


def _run(command: Sequence[str]) -> int:
    """Run a command; return its exit status. It dies with this process; SIGTERM and SIGINT end
    both, the command first.

    The command has a process group of its own, so that a terminal's Ctrl-C reaches it once.
    """
    passing = _PassedOn()
    with passing.heeded():
        child = subprocess.Popen(
            command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=with_parent(),
        )
        passing.to(child)
        code = child.wait()
    if passing.received:
        name = signal.Signals(passing.received[0]).name
        logger.info(f"ended by {name}; the same command goes on from there")
        sys.exit(128 + passing.received[0])
    return code


class _PassedOn:
    """What this process is told, its child's process group is told; also what it was told while
    the child was being started."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.child: subprocess.Popen[bytes] | None = None

    def to(self, child: subprocess.Popen[bytes]) -> None:
        self.child = child
        for number in list(self.received):
            self._tell(number)

    def _tell(self, number: int) -> None:
        if self.child is not None and self.child.returncode is None:
            os.killpg(self.child.pid, number)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        # What a shell in the background, or nohup, has us ignore stays ignored, in the child too.
        signals = [
            n for n in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(n) != signal.SIG_IGN
        ]
        before = {number: signal.signal(number, self._hear) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, _: object) -> None:
        self.received.append(number)
        self._tell(number)


def serve(recipe: Recipe, port: str = str(PORT)) -> list[str]:
    """Return the command of vLLM's own server as TRL's trainer needs it: trl/scripts/vllm_serve.py
    of TRL 1.16 builds the same line. The variable VLLM_SERVER_DEV_MODE=1 opens the addresses that
    take weights."""
    if recipe.model.path is None:
        raise UserError("train.vllm.mode: server needs a model id or folder, not `pretrain:`")
    assert recipe.train.vllm is not None
    vllm = recipe.train.vllm
    is_set = "gpu_memory_utilization" in vllm.model_fields_set
    return [
        "vllm",
        "serve",
        recipe.model.path,
        "--host",
        "0.0.0.0",
        "--port",
        port,
        "--tensor-parallel-size",
        str(vllm.tensor_parallel_size),
        "--gpu-memory-utilization",
        str(vllm.gpu_memory_utilization if is_set else OWN_GPU),
        "--weight-transfer-config",
        '{"backend": "nccl"}',
        "--logprobs-mode",
        "processed_logprobs",
        "--max-logprobs",
        "-1",
        *(word for name, value in vllm.engine.items() for word in _flag(name, value)),
    ]


def _flag(name: str, value: Any) -> list[str]:
    """Return an argument of vLLM's engine as its command line takes it."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", value if isinstance(value, str) else json.dumps(value)]
