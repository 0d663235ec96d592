"""Embedding a corpus over many machines: datatrove's executors around our own step.

    TaskReader -> EmbedStep -> FOLDER/part-00000/ ...        then MergeStep -> FOLDER/manifest.json

Every rank reads the corpus as a stream and embeds each `world_size`-th block of it, so that one
file feeds any number of machines and the table comes out in the corpus's order. A rank that was
killed goes on from its last block; the same command again runs the ranks that are not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor, SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from ttc_rl.config import EmbedConfig, SourceConfig
from ttc_rl.corpus.sources import stream_corpus
from ttc_rl.embed import CHUNK, write_shards
from ttc_rl.embed.encoders import describe
from ttc_rl.embed.shards import Shard, check, write_manifest
from ttc_rl.launch.executors import check_folder, rows_of_rank, script, slurm_job
from ttc_rl.schema import Task, UserError
from ttc_rl.system.progress import shown_progress

KIND = "kind"
MERGE_GPUS = {"gpus_per_task": 0}


@dataclass(frozen=True)
class ClusterJob:
    """A corpus, how it is embedded, where the shards go (absolute), and over how many ranks."""

    sources: Sequence[str | SourceConfig]
    data: str | None
    config: EmbedConfig
    policy: Path | str | None
    folder: Path
    tasks: int
    kinds: tuple[str, ...] = ()
    """Names of the recipe's own kinds of task."""
    block: int = CHUNK
    """Rows of a shard."""


class _Step(PipelineStep):
    """A step that knows the whole job."""

    def __init__(self, job: ClusterJob) -> None:
        super().__init__()
        self.job = job


class TaskReader(_Step):
    """A rank's blocks of the corpus, as documents."""

    name, type = "tasks", "READER"

    def run(
        self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:  # pyright: ignore[reportIncompatibleMethodOverride]
        tasks = stream_corpus(self.job.sources, self.job.data, self.job.kinds)
        for _, task in rows_of_rank(tasks, self.job.block, rank, world_size):
            self.stat_update("tasks")
            yield Document(text=task.prompt, id=task.id, metadata={KIND: task.kind})


class EmbedStep(_Step):
    """A rank's documents to the shards of its part."""

    name, type = "embed", "EMBED"

    def run(
        self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:  # pyright: ignore[reportIncompatibleMethodOverride]
        job = self.job
        tasks = (Task(doc.metadata[KIND], doc.text, id=doc.id) for doc in data or ())
        folder = _part(job.folder, rank)
        with shown_progress():  # in the log of this rank
            write_shards(tasks, folder, job.config, policy=job.policy, chunk=job.block)
        yield from ()


class MergeStep(_Step):
    """The parts' manifests to one, in the order of the corpus; every shard is checked."""

    name, type = "merge", "MERGE"

    def run(
        self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:  # pyright: ignore[reportIncompatibleMethodOverride]
        merge(self.job)
        yield from ()


def merge(job: ClusterJob) -> None:
    """Write the folder's manifest.

    Raises UserError where a rank is not done, for a damaged part (whose rank then runs again), and
    where the parts do not fit together.
    """
    late = [rank for rank in range(job.tasks) if not _marker(job, rank).exists()]
    if late:
        raise UserError(f"{job.folder}: rank {late[0]} is not done; the same command goes on")
    parts = [_checked_part(job, rank) for rank in range(job.tasks)]
    blocks = sum(map(len, parts))
    fits = all(len(part) == len(range(i, blocks, job.tasks)) for i, part in enumerate(parts))
    if not fits:
        raise UserError(f"{job.folder}: the ranks read different corpora; name another folder")
    shards = [parts[block % job.tasks][block // job.tasks] for block in range(blocks)]
    write_manifest(job.folder, describe(job.config, job.policy), shards)


def _checked_part(job: ClusterJob, rank: int) -> list[Shard]:
    folder = _part(job.folder, rank)
    if not folder.exists():
        return []  # fewer blocks than ranks
    try:
        shards = check(folder)
    except UserError as error:
        _marker(job, rank).unlink()
        raise UserError(f"{error} (rank {rank} runs again with the same command)") from None
    return [shard | {"file": f"{folder.name}/{shard['file']}"} for shard in shards]


def _part(folder: Path, rank: int) -> Path:
    return folder / f"part-{rank:05d}"


def _marker(job: ClusterJob, rank: int) -> Path:
    """Return the file in which datatrove notes that a rank is done."""
    return job.folder / "logs" / "embed" / "completions" / f"{rank:05d}"


# --------------------------------------------------------------------------- executors


def run_local(job: ClusterJob, workers: int) -> None:
    """Run all ranks here, `workers` at a time."""
    steps: Any = _steps(job)
    ranks = LocalPipelineExecutor(
        steps, tasks=job.tasks, workers=workers, logging_dir=str(job.folder / "logs" / "embed")
    )
    ranks.run()
    merge(job)


def submit(job: ClusterJob, slurm: Mapping[str, Any]) -> None:
    """Hand both jobs to sbatch: an array of ranks, and the merge once they are done."""
    _executors(job, slurm, job.folder)[1].run()


def render(job: ClusterJob, slurm: Mapping[str, Any]) -> str:
    """Return the scripts that `submit` hands to sbatch. Submits nothing, and writes nothing."""
    with TemporaryDirectory() as scratch:
        scripts = [script(ex) for ex in _executors(job, slurm, Path(scratch))]
        return "\n".join(scripts).replace(scratch, str(job.folder))


def _steps(job: ClusterJob) -> list[PipelineStep]:
    return [TaskReader(job), EmbedStep(job)]


def _executors(
    job: ClusterJob, slurm: Mapping[str, Any], folder: Path
) -> tuple[SlurmPipelineExecutor, SlurmPipelineExecutor]:
    check_folder(job.folder)
    ranks = slurm_job(_steps(job), job.tasks, folder / "logs" / "embed", slurm, "embed")
    merging = slurm_job(
        [MergeStep(job)],
        1,
        folder / "logs" / "merge",
        slurm,
        "merge",
        depends=ranks,
        skip_completed=False,
        **MERGE_GPUS,
    )
    return ranks, merging
