"""What `ttc-rl launch` does: run it here, hand it to sbatch, write it for a cloud, or show it."""

from __future__ import annotations

import shlex
from typing import Literal

from ttc_rl.config import Recipe
from ttc_rl.launch import Launch, check, config_file, local, run_local
from ttc_rl.launch.cloud import Cloud, hf_command, hf_script, sky_task, write_hf, write_sky
from ttc_rl.launch.cluster import Batch, slurm_script, submit
from ttc_rl.schema import UserError

Where = Literal["local", "slurm", "skypilot", "hf-jobs"]


def start(
    launch: Launch, recipe: Recipe, on: Where, batch: Batch, cloud: Cloud, *, dry_run: bool
) -> str:
    """Do it, or with `dry_run` only show it; returns what to print."""
    if on != "slurm" and batch != Batch():
        raise UserError("--slurm, --template, --array and --requeues belong to --on slurm")
    if on in ("local", "slurm") and cloud != Cloud():
        raise UserError("--accelerators, --bucket and --image belong to --on skypilot and hf-jobs")
    if not batch.runs:
        check(launch, recipe)
    if on == "local":
        return _here(launch, recipe, dry_run)
    if on == "slurm":
        return (slurm_script if dry_run else submit)(launch, recipe, batch)
    if on == "skypilot":
        return (sky_task if dry_run else write_sky)(launch, recipe, cloud)
    if dry_run:
        return f"{hf_command(launch, cloud)}\n\n{hf_script(launch, recipe, cloud)}"
    return write_hf(launch, recipe, cloud)


def _here(launch: Launch, recipe: Recipe, dry_run: bool) -> str:
    if launch.nodes > 1:
        raise UserError("--on local: this machine is one node; see --on slurm")
    if not dry_run:
        run_local(launch, recipe)
        return f"done: {launch.run_dir}"
    path = config_file(launch.config)
    commands = "\n".join(shlex.join(command) for command in local(launch))
    return f"{commands}\n\n# {path}\n{path.read_text()}"
