"""A corpus of millions of tasks without its repeats and without the targets, over many machines.

    sign      CorpusReader -> OverlapStep -> MinHash signatures    `tasks` ranks
    buckets   equal signatures, by datatrove                       a rank for each bucket
    cluster   what they connect, by datatrove                      one rank
    decide    which tasks go, by our own rules                     one rank
    write     CorpusReader -> WriteStep -> tasks-00000.jsonl.gz    `tasks` ranks

MinHash only proposes: a task goes by the rules of `corpus/overlap/` and by nothing else, and the
first in the order of the corpus stays, where datatrove's own filter would keep any one of a
cluster. Targets are compared with every task of a block by the rules of `rules.py`, for which
nothing has to be proposed.

A rank reads the whole corpus as a stream and works on each `tasks`-th block, so one file feeds any
number of machines. Stages and ranks that are done are not run again; within a rank neither are
blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor, SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupSignature,
)
from datatrove.utils.hashing import HashConfig
from datatrove.utils.text import TextNormConfig
from datatrove.utils.word_tokenizers import WordTokenizer

from ttc_rl.config import OverlapConfig, SourceConfig
from ttc_rl.corpus.files import write_tasks
from ttc_rl.corpus.overlap.dedupe import Duplicate
from ttc_rl.corpus.overlap.rules import remove_overlap
from ttc_rl.corpus.overlap.shingles import LENGTH, framed
from ttc_rl.corpus.overlap.streamed import streamed_duplicates
from ttc_rl.corpus.sources import stream_corpus
from ttc_rl.launch.executors import check_folder, row_of, rows_of_rank, script, slurm_job
from ttc_rl.run_dir import read_json, read_jsonl, write_json, write_jsonl, write_text
from ttc_rl.schema import Task, UserError, content_hash

TASK, ROW = "task", "row"
BLOCK = 10_000
"""Tasks of a file."""
HASHES = 12
"""Of a bucket. Two texts share it where all of these agree: at a similarity of 0.24, which one in a
thousand pairs of maths problems reaches, that happens once in 30 million."""
MISSED = 0.001
"""The chance that MinHash does not propose a pair at the threshold."""
RECORDS_AT_ONCE = 1000


@dataclass(frozen=True)
class DedupeJob:
    """A corpus, what is kept out of it, where the rest goes (absolute), and over how many ranks."""

    sources: Sequence[str | SourceConfig]
    data: str | None
    kinds: tuple[str, ...]
    """Names of the recipe's own kinds of task."""
    targets: tuple[Task, ...]
    config: OverlapConfig
    """`dedupe.fuzzy` is set; the rules on embeddings take no part."""
    folder: Path
    tasks: int
    block: int = BLOCK

    def __post_init__(self) -> None:
        if self.config.dedupe.fuzzy is None:
            raise UserError(
                "overlap.dedupe.fuzzy: is null, so there are no near-duplicates to look for; "
                "set it, e.g. overlap.dedupe.fuzzy=0.9"
            )

    @property
    def fuzzy(self) -> float:
        assert self.config.dedupe.fuzzy is not None
        return self.config.dedupe.fuzzy

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def read(self) -> Iterator[Task]:
        return stream_corpus(self.sources, self.data, self.kinds)

    def overlap(self, block: int) -> Path:
        """Return the file of what was removed from a block because of a target."""
        return self.work / "overlap" / f"{block:05d}.jsonl"

    def record(self) -> dict[str, Any]:
        """Return what the files in the folder depend on."""
        return {
            "sources": [
                source if isinstance(source, str) else source.model_dump(mode="json")
                for source in self.sources
            ],
            "data": self.data,
            "targets": content_hash([target.id for target in self.targets]),
            "overlap": self.config.model_dump(mode="json"),
            "tasks": self.tasks,
            "block": self.block,
        }


# --------------------------------------------------------------------------- steps


class _Step(PipelineStep):
    """A step that knows the whole job."""

    def __init__(self, job: DedupeJob) -> None:
        super().__init__()
        self.job = job


class CorpusReader(_Step):
    """A rank's blocks of the corpus, as documents that hold their task and its row.

    Raises UserError at the end where the corpus is another than the first rank read.
    """

    name, type = "tasks", "READER"

    def run(
        self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:  # pyright: ignore[reportIncompatibleMethodOverride]
        corpus = Fingerprint(self.job.read())
        for row, task in rows_of_rank(corpus, self.job.block, rank, world_size):
            self.stat_update("tasks")
            yield Document(text=task.prompt, id=task.id, metadata={TASK: task, ROW: row})
        check_same_corpus(self.job, corpus)


class OverlapStep(_Step):
    """What the targets' rules remove of each block, to a file. All documents are handed on."""

    name, type = "overlap", "FILTER"

    def run(
        self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:  # pyright: ignore[reportIncompatibleMethodOverride]
        for block, documents in _blocks(data or (), self.job.block):
            path = self.job.overlap(block)
            if self.job.targets and not path.exists():
                write_jsonl(path, _overlapping(documents, self.job))
            yield from documents


class WriteStep(_Step):
    """What stays of each block, to a file."""

    name, type = "write", "WRITER"

    def run(
        self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gone = set(np.load(_gone(self.job)).tolist())
        for block, documents in _blocks(data or (), self.job.block):
            stay = [doc.metadata[TASK] for doc in documents if doc.metadata[ROW] not in gone]
            path = self.job.folder / f"tasks-{block:05d}.jsonl.gz"
            if stay and not path.exists():
                write_tasks(stay, path)
            self.stat_update("kept", value=len(stay))
        yield from ()


class DecideStep(_Step):
    """Which tasks go, by whom, and why: overlap.jsonl, duplicates.jsonl, report.json."""

    name, type = "decide", "FILTER"

    def run(
        self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:  # pyright: ignore[reportIncompatibleMethodOverride]
        decide(self.job)
        yield from ()


def decide(job: DedupeJob) -> None:
    overlaps = [
        row for path in sorted(job.work.glob("overlap/*.jsonl")) for row in read_jsonl(path)
    ]
    gone = {overlap[ROW] for overlap in overlaps}
    removed = streamed_duplicates(job.read, gone, _clusters(job), job.config.dedupe)
    named = {
        name for duplicate in removed.values() for name in (duplicate.task_id, duplicate.of_id)
    }
    prompts: dict[str, str] = {}
    count, corpus = 0, Fingerprint(job.read())
    for task in corpus:
        count += 1
        if task.id in named:
            prompts[task.id] = task.prompt
    check_same_corpus(job, corpus)
    write_jsonl(job.folder / "overlap.jsonl", overlaps)
    write_jsonl(
        job.folder / "duplicates.jsonl",
        (_told(row, duplicate, prompts) for row, duplicate in removed.items()),
    )
    rules = [overlap["rule"] for overlap in overlaps]
    repeats = [duplicate.rule for duplicate in removed.values()]
    write_json(
        job.folder / "report.json",
        {
            "corpus_tasks": count,
            "targets": len(job.targets),
            "overlap": {rule: rules.count(rule) for rule in dict.fromkeys(rules)},
            "duplicates": {rule: repeats.count(rule) for rule in dict.fromkeys(repeats)},
            "kept": count - len(gone) - len(removed),
        },
    )
    rows = np.array(sorted(gone | set(removed)), np.int64)
    with _gone(job).open("wb") as file:
        np.save(file, rows)


def _told(row: int, duplicate: Duplicate, prompts: Mapping[str, str]) -> dict[str, Any]:
    return {
        ROW: row,
        **asdict(duplicate),
        "prompt": prompts[duplicate.task_id],
        "of": prompts[duplicate.of_id],
    }


def _overlapping(documents: Sequence[Document], job: DedupeJob) -> Iterator[dict[str, Any]]:
    """Yield what the rules remove of a block. Rarity is counted in the block."""
    rows = {doc.id: doc.metadata[ROW] for doc in documents}
    prompts = {doc.id: doc.text for doc in documents}
    target_prompts = {target.id: target.prompt for target in job.targets}
    for removed in remove_overlap(
        [d.metadata[TASK] for d in documents], job.targets, job.config
    ).removed:
        yield {
            ROW: rows[removed.task_id],
            **asdict(removed),
            "prompt": prompts[removed.task_id],
            "target_prompt": target_prompts[removed.target_id],
        }


def _blocks(documents: Iterable[Document], size: int) -> Iterator[tuple[int, list[Document]]]:
    for block, members in groupby(documents, key=lambda doc: doc.metadata[ROW] // size):
        yield block, list(members)


def _gone(job: DedupeJob) -> Path:
    return job.work / "gone.npy"


def _clusters(job: DedupeJob) -> dict[int, int]:
    """Return the cluster of each row that MinHash found near another."""
    return {
        row_of(int(place), job.block, int(path.stem), job.tasks): int(cluster)
        for path in sorted(job.work.glob("clusters/*.clusters"))
        for place, cluster in np.fromfile(path, "<u4").reshape(-1, 2)
    }


# --------------------------------------------------------------------------- the same corpus


class Fingerprint:
    """Tasks as they go by, and the hash of all ids once they have."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.tasks = tasks
        self.hash = sha256()

    def __iter__(self) -> Iterator[Task]:
        for task in self.tasks:
            self.hash.update(task.id.encode())
            yield task


def check_same_corpus(job: DedupeJob, corpus: Fingerprint) -> None:
    """Note the corpus that was read. Raises UserError where another was noted before."""
    path, seen = job.work / "corpus.txt", corpus.hash.hexdigest()
    if not path.exists():
        write_text(path, seen)
    if path.read_text() != seen:
        raise UserError(f"{job.folder}: the ranks read different corpora; name another folder")


# --------------------------------------------------------------------------- MinHash


class Pieces(WordTokenizer):
    """The different runs of four characters of a text: what `fuzzy` compares, without weights."""

    def word_tokenize(self, text: str) -> list[str]:
        whole = framed(text).encode("utf-8", "backslashreplace").decode()  # no half surrogates
        return sorted({whole[at : at + LENGTH] for at in range(len(whole) - LENGTH + 1)})

    def sent_tokenize(self, text: str) -> list[str]:
        return [text]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


def minhash(threshold: float) -> MinhashConfig:
    """Return as many buckets as a pair at the threshold needs to be proposed but for `MISSED`.

    P(not proposed) = (1 - s^h)^b for h hashes in each of b buckets and Jaccard similarity s.
    """
    alike = threshold**HASHES
    buckets = 1 if alike == 1 else math.ceil(math.log(MISSED) / math.log1p(-alike))
    as_it_is = TextNormConfig(*[False] * 5)
    # Not xxhash, which datatrove does not bring, and which refuses its strings in 4.1.
    return MinhashConfig(
        1, buckets, HASHES, norm_config=as_it_is, hash_config=HashConfig(64, "sha1")
    )


# --------------------------------------------------------------------------- executors


def stages(job: DedupeJob) -> dict[str, tuple[list[PipelineStep], int]]:
    """Return the steps of each stage and its number of ranks, in their order."""
    config = minhash(job.fuzzy)
    signatures, pairs, clusters = (
        str(job.work / name) for name in ("signatures", "pairs", "clusters")
    )
    pieces: Any = Pieces()
    sign = MinhashDedupSignature(signatures, config, pieces)
    buckets = MinhashDedupBuckets(signatures, pairs, config=config, lines_to_buffer=RECORDS_AT_ONCE)
    cluster = MinhashDedupCluster(
        pairs, clusters, config, save_cluster_id=True, lines_to_buffer=RECORDS_AT_ONCE
    )
    return {
        "sign": ([CorpusReader(job), OverlapStep(job), sign], job.tasks),
        "buckets": ([buckets], config.num_buckets),
        "cluster": ([cluster], 1),
        "decide": ([DecideStep(job)], 1),
        "write": ([CorpusReader(job), WriteStep(job)], job.tasks),
    }


def run_local(job: DedupeJob, workers: int) -> dict[str, Any]:
    """Run all stages here, `workers` ranks at a time. Return the report."""
    check_job(job)
    for name, (steps, tasks) in stages(job).items():
        pipeline: Any = steps
        LocalPipelineExecutor(
            pipeline,
            tasks=tasks,
            workers=min(workers, tasks),
            logging_dir=str(job.folder / "logs" / name),
        ).run()
    return read_json(job.folder / "report.json")


def submit(job: DedupeJob, slurm: Mapping[str, Any]) -> None:
    """Hand all stages to sbatch, each to begin once the one before it is done."""
    executors = _executors(job, slurm, job.folder)
    check_job(job)
    executors[-1].run()


def render(job: DedupeJob, slurm: Mapping[str, Any]) -> str:
    """Return the scripts that `submit` hands to sbatch. Submits nothing, and writes nothing."""
    with TemporaryDirectory() as scratch:
        scripts = [script(executor) for executor in _executors(job, slurm, Path(scratch))]
        return "\n".join(scripts).replace(scratch, str(job.folder))


def check_job(job: DedupeJob) -> None:
    """Note what the folder is made from. Raises UserError where it holds another corpus's work."""
    path, record = job.folder / "job.json", job.record()
    if not path.exists():
        write_json(path, record)
    before = read_json(path)
    if before != record:
        keys = ", ".join(key for key in record if before.get(key) != record[key])
        raise UserError(f"{path}: was made with other {keys}; name another folder")


def _executors(
    job: DedupeJob, slurm: Mapping[str, Any], folder: Path
) -> list[SlurmPipelineExecutor]:
    check_folder(job.folder)
    executors: list[SlurmPipelineExecutor] = []
    for name, (steps, tasks) in stages(job).items():
        depends = executors[-1] if executors else None
        logs = folder / "logs" / name
        executors.append(slurm_job(steps, tasks, logs, slurm, name, depends=depends))
    return executors
