"""What our jobs over many machines share: how ranks split a corpus, and datatrove's SLURM jobs."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datatrove.executor import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from ttc_rl.schema import Task, UserError

UNQUOTED = re.compile(r"[\w/.+-]+", re.ASCII)


def rows_of_rank(
    tasks: Iterable[Task], block: int, rank: int, ranks: int
) -> Iterator[tuple[int, Task]]:
    """Yield a rank's tasks with their rows: each `ranks`-th block of `block` tasks."""
    for row, task in enumerate(tasks):
        if row // block % ranks == rank:
            yield row, task


def row_of(place: int, block: int, rank: int, ranks: int) -> int:
    """Return the row of the corpus of the task at a place among those of a rank."""
    turn, within = divmod(place, block)
    return (turn * ranks + rank) * block + within


def default_workers(tasks: int) -> int:
    """Return the ranks at a time on this machine: at most as many as it has cores."""
    return min(tasks, os.cpu_count() or 1)


def slurm_job(
    steps: Sequence[PipelineStep],
    tasks: int,
    logs: Path,
    slurm: Mapping[str, Any],
    name: str,
    **more: Any,
) -> SlurmPipelineExecutor:
    """Return a SLURM job of `tasks` ranks. `slurm` are the user's arguments of datatrove's
    executor; its `job_name` stands for `ttc-rl`.

    Raises UserError where an argument is missing, or the executor does not have it.
    """
    for key in ("partition", "time"):
        if key not in slurm:
            raise UserError(f"a SLURM job needs --slurm {key}=...")
    activate = Path(sys.prefix) / "bin" / "activate"
    usual: dict[str, Any] = {"mail_type": "NONE"}
    if activate.exists():
        usual["venv_path"] = str(activate)
    # SLURM 22.05 to 23.02 give a step one CPU unless srun is told.
    cpus = {"cpus-per-task": slurm.get("cpus_per_task", 1)}
    job_name = f"{slurm.get('job_name', 'ttc-rl')}-{name}"
    options = {**usual, **slurm, "job_name": job_name, "srun_args": cpus, **more}
    pipeline: Any = list(steps)
    try:
        return SlurmPipelineExecutor(pipeline, tasks=tasks, logging_dir=str(logs), **options)
    except TypeError as error:
        raise UserError(f"--slurm: datatrove's SlurmPipelineExecutor says: {error}") from None


def check_folder(folder: Path) -> None:
    """Raise UserError for a folder that the scripts cannot name."""
    if not UNQUOTED.fullmatch(str(folder)):
        raise UserError(
            f"--out {str(folder)!r}: datatrove writes the folder into its scripts unquoted; "
            "name one of letters, digits and / . _ + -"
        )


def script(executor: SlurmPipelineExecutor) -> str:
    """Return the script that the executor hands to sbatch."""
    jobs = math.ceil(executor.tasks / executor.tasks_per_job)
    array = jobs if executor.max_array_size == -1 else min(jobs, executor.max_array_size)
    pickled = executor.logging_dir.resolve_paths("executor.pik")
    command = f"launch_pickled_pipeline {pickled}"
    if executor.with_srun:
        arguments = " ".join(f"--{k}={v}" for k, v in (executor.srun_args or {}).items())
        command = f"srun {arguments} -l -n {executor.nodes_per_task} {command}"
    return executor.get_launch_file_contents(executor.get_sbatch_args(array), command)
