"""Experts of one arm trained side by side, each by a process of its own: `experts.processes`.

The process that has the run folder starts them, a GPU for each where there are GPUs, and waits.
They die with it. Each goes on from its own checkpoint, as experts do that are trained in turn.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.system.ranks import world
from ttc_rl.system.tether import environment, with_parent

logger = logging.getLogger(__name__)

POLL = 0.2
"""Seconds between two looks at the processes."""


def train_side_by_side(job: Job, parts: Sequence[str]) -> list[str]:
    """Train those experts whose arm asks for several processes; return the names of the others.

    Raises UserError where a process fails; what the others have trained by then is kept.
    """
    others: list[str] = []
    of_arm: dict[str, list[str]] = {}
    for part in parts:
        experts = job.arm(part)[0].experts
        if "/" in part and experts is not None and experts.processes > 1:
            of_arm.setdefault(part.partition("/")[0], []).append(part)
        else:
            others.append(part)
    if of_arm:
        starting_model(job.recipe)  # made once, by this process
    for arm, experts in of_arm.items():
        _train(job, arm, experts)
    return others


def _train(job: Job, arm: str, experts: Sequence[str]) -> None:
    recipe = job.arm(arm)[0]
    assert recipe.experts is not None
    if world() > 1:
        raise UserError("experts.processes: each trains in one process; leave it out of a launch")
    if recipe.train.vllm and recipe.train.vllm.mode == "server":
        raise UserError(
            "experts.processes: one server holds the weights of one training; "
            "train.vllm.mode: colocate, or one process"
        )
    free = _gpus(recipe.experts.processes)
    waiting, running = list(experts), dict[str, tuple[subprocess.Popen[bytes], str | None]]()
    logger.info(f"training arm {arm}: {len(experts)} experts, {len(free)} side by side")
    try:
        while waiting or running:
            while waiting and free:
                name, gpu = waiting.pop(0), free.pop()
                running[name] = _start(job, name, gpu), gpu
            for name, (process, gpu) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                free.append(gpu)
                if process.returncode:
                    log = job.arm(name)[1].root / "train.log"
                    raise UserError(f"{name}: ended with {process.returncode}; see {log}")
                logger.info(f"{name}: trained")
            time.sleep(POLL)
    finally:
        for process, _ in running.values():
            process.terminate()
            process.wait()


def _start(job: Job, name: str, gpu: str | None) -> subprocess.Popen[bytes]:
    """Start the training of one expert, whose output goes to a file."""
    own = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    root = job.run.root
    command = [sys.executable, "-m", "ttc_rl", "train", str(job.run.recipe), "--run-dir", str(root)]
    with (job.arm(name)[1].root / "train.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--expert", name],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(job.recipe.places.folders) | own,
            preexec_fn=with_parent(),
        )


def _gpus(processes: int) -> list[str | None]:
    """Return the GPU of each process; None for all where there is no GPU."""
    import torch

    count = torch.cuda.device_count()
    if not count:
        return [None] * processes
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(i) for i in range(count)]
    if processes > len(names):
        raise UserError(f"experts.processes: {processes}, and there are {len(names)} GPUs")
    return [*names[:processes]]
