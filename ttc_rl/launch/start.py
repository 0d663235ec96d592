"""What `ttc-rl launch` does: run it here, hand it to sbatch, write it for SkyPilot, or show it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Literal

from ttc_rl.config import Recipe
from ttc_rl.launch import Launch, check, config_file, local, run_local
from ttc_rl.launch.cluster import logs, options, sky_task, slurm_script, submit
from ttc_rl.run_dir import write_text
from ttc_rl.schema import UserError

Where = Literal["local", "slurm", "skypilot"]


def start(
    launch: Launch,
    recipe: Recipe,
    on: Where,
    slurm: Sequence[str],
    accelerators: str,
    *,
    dry_run: bool,
) -> str:
    """Do it, or with `dry_run` only show it; returns what to print."""
    check(launch, recipe)
    if slurm and on != "slurm":
        raise UserError("--slurm belongs to --on slurm")
    if on == "local":
        return _here(launch, recipe, dry_run)
    if on == "slurm":
        extra = options(slurm)
        return slurm_script(launch, recipe, extra) if dry_run else submit(launch, recipe, extra)
    task = sky_task(launch, recipe, accelerators)
    if dry_run:
        return task
    path = logs(launch) / "task.yaml"
    write_text(path, task)
    return f"{path}: name your bucket in it, then `sky jobs launch {path}`"


def _here(launch: Launch, recipe: Recipe, dry_run: bool) -> str:
    if launch.nodes > 1:
        raise UserError("--on local: this machine is one node; see --on slurm")
    if not dry_run:
        run_local(launch, recipe)
        return f"done: {launch.run_dir}"
    path = config_file(launch.config)
    commands = "\n".join(shlex.join(command) for command in local(launch))
    return f"{commands}\n\n# {path}\n{path.read_text()}"
