"""`ttc-rl dedupe` for real: datatrove's ranks, against the rules on the whole corpus at once."""

import gzip
import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import pytest
import sbatch

from ttc_rl.cli.app import main
from ttc_rl.config import DedupeConfig, OverlapConfig
from ttc_rl.corpus.files import write_tasks
from ttc_rl.corpus.overlap.cleaning import Cleaned, clean
from ttc_rl.corpus.overlap.streamed import streamed_duplicates
from ttc_rl.corpus.sources import load_corpus, load_tasks
from ttc_rl.launch import dedupe_cluster
from ttc_rl.launch.dedupe_cluster import DedupeJob, minhash, render, run_local
from ttc_rl.schema import Task, UserError

CONFIG = OverlapConfig(dedupe=DedupeConfig(fuzzy=0.8))
WORDS = [f"{a}{b}{c}" for a in ("ka", "lo", "mi") for b in ("ren", "sut", "vop") for c in "abcdef"]
RUN = """
import os, pickle, signal, sys
from pathlib import Path
from ttc_rl.launch import dedupe_cluster
job, name, last, workers = pickle.loads(Path(sys.argv[1]).read_bytes())
if __name__ == "__main__":
    calls, write = [], getattr(dedupe_cluster, name)
    def write_or_die(*arguments):
        calls.append(1)
        if len(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        write(*arguments)
    setattr(dedupe_cluster, name, write_or_die)
    dedupe_cluster.run_local(job, workers)
"""


def planted() -> tuple[list[Task], list[Task]]:
    """Return a corpus of 300 tasks, some of which repeat others or a target, and the targets."""
    rng = random.Random(0)

    def text() -> str:
        return " ".join(rng.choices(WORDS, k=30)) + f" {rng.randrange(99)} + {rng.randrange(99)}?"

    tasks = [Task("math", text(), str(n)) for n in range(240)]
    targets = [Task("math", text(), "0") for _ in range(5)]

    def changed(task: Task, words: int) -> Task:
        parts = task.prompt.split(" ")
        for place in rng.sample(range(30), words):
            parts[place] = rng.choice(WORDS)
        return replace(task, prompt=" ".join(parts), gold="9", id="")

    planted = [changed(task, 1) for task in tasks[:20]]  # near
    planted += [changed(task, 1) for task in planted[:5]]  # near the near
    planted += [replace(task, prompt=f"${task.prompt}$", id="") for task in tasks[20:30]]  # exact
    planted += [replace(t, prompt=t.prompt.replace("+", "-"), id="") for t in tasks[30:35]]
    planted += [replace(task, kind="exact", id="") for task in tasks[35:40]]
    planted += [  # of equal words and different contents
        replace(tasks[40], meta={"family": "f", "content": n}, gold=f"{n}", id="") for n in "abc"
    ]
    planted += [replace(target, gold="7", id="") for target in targets[:2]]
    planted += [changed(target, 2) for target in targets[2:]]
    for task in planted:
        tasks.insert(rng.randrange(len(tasks)), task)
    return tasks, targets


@pytest.fixture(scope="module")
def targets() -> list[Task]:
    return planted()[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    write_tasks(planted()[0], path)
    return str(path)


@pytest.fixture(scope="module")
def cleaned(corpus: str, targets: list[Task]) -> Cleaned:
    """What the rules make of the whole corpus at once."""
    return clean(load_corpus([corpus]).tasks, targets, CONFIG)


def job_of(corpus: str, targets: list[Task], folder: Path, tasks: int) -> DedupeJob:
    return DedupeJob([corpus], None, (), tuple(targets), CONFIG, folder, tasks, block=40)


def run_apart(
    job: DedupeJob, folder: Path, name: str = "write_tasks", last: int = 0, workers: int = 1
) -> int:
    """Run a job in a process of its own, which dies at the `last` call of a function."""
    path = folder / "job.pickle"
    path.write_bytes(pickle.dumps((job, name, last, workers)))
    command = [sys.executable, "-c", RUN, str(path)]
    with subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        code = process.wait(timeout=300)
        with suppress(ProcessLookupError):  # datatrove's manager outlives a kill
            os.killpg(process.pid, signal.SIGKILL)
    return code


def kept(folder: Path) -> list[Task]:
    return [t for path in sorted(folder.glob("tasks-*.jsonl.gz")) for t in load_tasks(str(path))]


def told(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def assert_is_clean(folder: Path, cleaned: Cleaned) -> None:
    """The folder holds what the rules leave of the whole corpus, and says why the rest went."""
    assert [task.id for task in kept(folder)] == [task.id for task in cleaned.tasks]
    assert [
        (row["task_id"], row["target_id"], row["rule"]) for row in told(folder, "overlap.jsonl")
    ] == [(removed.task_id, removed.target_id, removed.rule) for removed in cleaned.overlap.removed]
    gone = {duplicate.task_id: asdict(duplicate) for duplicate in cleaned.duplicates}
    rows = told(folder, "duplicates.jsonl")
    assert {row["task_id"]: {key: row[key] for key in gone[row["task_id"]]} for row in rows} == gone
    assert [row["row"] for row in rows] == sorted(row["row"] for row in rows)


@pytest.fixture(scope="module")
def whole(corpus: str, targets: list[Task], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks made."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    run_local(job_of(corpus, targets, folder, 2), 1)
    return folder


def test_two_ranks_leave_what_the_rules_leave_of_the_whole_corpus(whole: Path, cleaned: Cleaned):
    assert_is_clean(whole, cleaned)
    rules = [duplicate.rule for duplicate in cleaned.duplicates]
    assert (rules.count("exact"), rules.count("fuzzy"), len(cleaned.overlap.removed)) == (10, 25, 5)
    assert json.loads((whole / "report.json").read_text()) == {
        "corpus_tasks": 293,
        "targets": 5,
        "overlap": {"exact": 2, "fuzzy": 2, "ngram": 1},
        "duplicates": {"exact": 10, "fuzzy": 25},
        "kept": 253,
    }


def test_a_pair_is_told_with_both_texts(whole: Path, corpus: str):
    prompts = {task.id: task.prompt for task in load_corpus([corpus]).tasks}
    for row in told(whole, "duplicates.jsonl"):
        assert (row["prompt"], row["of"]) == (prompts[row["task_id"]], prompts[row["of_id"]])


def test_more_ranks_than_blocks_give_the_same_files(
    corpus: str, targets: list[Task], whole: Path, tmp_path: Path
):
    job = job_of(corpus, targets, tmp_path / "out", 9)
    assert run_apart(job, tmp_path, workers=2) == 0
    names = sorted(path.name for path in whole.iterdir() if path.is_file())
    assert names == sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_file())
    for name in names:
        one, other = (whole / name).read_bytes(), (tmp_path / "out" / name).read_bytes()
        if name.endswith(".gz"):
            one, other = gzip.decompress(one), gzip.decompress(other)
        assert one == other or name == "job.json"


@pytest.mark.parametrize(
    ("name", "last"),
    [("write_jsonl", 5), ("write_jsonl", 10), ("write_tasks", 3)],
    ids=["in the first stage", "in the decision", "in the last stage"],
)
def test_what_was_killed_goes_on(
    corpus: str, targets: list[Task], cleaned: Cleaned, tmp_path: Path, name: str, last: int
):
    job = job_of(corpus, targets, tmp_path / "out", 2)
    assert run_apart(job, tmp_path, name, last) == -signal.SIGKILL
    signed = [*(tmp_path / "out/logs/sign/completions").iterdir()]
    assert len(signed) == (1 if last == 5 else 2)
    assert len(kept(tmp_path / "out")) < len(cleaned.tasks)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("overlap/*.jsonl")}
    run_local(job, 1)
    assert_is_clean(tmp_path / "out", cleaned)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_the_jobs_that_sbatch_gets_do_the_work(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    env = sbatch.tools(tmp_path)
    for key, value in env.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(dedupe_cluster, "MISSED", 0.9)  # few buckets, so 2 processes instead of 98
    job = job_of(corpus, [], tmp_path / "out", 1)
    dedupe_cluster.submit(job, {"partition": "cpu", "time": "01:00:00", "job_name": "clean"})
    scripts = sbatch.run_jobs(env)
    names = [re.findall(r"--job-name=(\S+)", script)[0] for script in scripts]
    assert names == [f"clean-{s}" for s in ("sign", "buckets", "cluster", "decide", "write")]
    assert not (tmp_path / "out/overlap.jsonl").read_text()
    rules = [row["rule"] for row in told(tmp_path / "out", "duplicates.jsonl")]
    assert rules.count("exact") == 10
    assert 5 < rules.count("fuzzy") < 25
    assert len(kept(tmp_path / "out")) == 293 - len(rules)


def test_the_scripts_can_be_looked_at_and_nothing_is_written(corpus: str, tmp_path: Path):
    job = job_of(corpus, [], tmp_path / "out", 30)
    text = render(job, {"partition": "cpu", "time": "04:00:00"})
    buckets = minhash(0.8).num_buckets
    arrays = re.findall(r"--array=0-(\d+)", text)
    assert arrays == ["29", str(buckets - 1), "0", "0", "29"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9, 0.99])
def test_a_pair_at_the_threshold_is_proposed_but_for_one_in_a_thousand(threshold: float):
    config = minhash(threshold)
    missed = (1 - threshold**config.hashes_per_bucket) ** config.num_buckets
    assert missed <= 0.001 < missed / (1 - threshold**config.hashes_per_bucket)


def test_clusters_together_are_the_whole_rule(corpus: str):
    """Where every task stands in one cluster, the stream gives what the rules on lists give."""
    tasks = load_corpus([corpus]).tasks
    cluster_of = dict.fromkeys(range(len(tasks)), 0)
    removed = streamed_duplicates(lambda: iter(tasks), (), cluster_of, CONFIG.dedupe)
    cleaned = clean(tasks, [], CONFIG)
    assert sorted(removed.values(), key=lambda d: d.task_id) == sorted(
        cleaned.duplicates, key=lambda d: d.task_id
    )
    alone = streamed_duplicates(lambda: iter(tasks), (), {}, CONFIG.dedupe)
    assert {duplicate.rule for duplicate in alone.values()} == {"exact"}


def test_another_job_or_another_corpus_is_refused(
    corpus: str, targets: list[Task], whole: Path, tmp_path: Path
):
    with pytest.raises(UserError, match=r"job\.json: was made with other tasks; name another"):
        run_local(job_of(corpus, targets, whole, 3), 1)
    with pytest.raises(UserError, match="made with other targets"):
        run_local(job_of(corpus, targets[:2], whole, 2), 1)
    path = tmp_path / "growing.jsonl"
    tasks = load_corpus([corpus]).tasks
    write_tasks(tasks[:50], path)
    job = job_of(str(path), [], tmp_path / "out", 2)
    run_local(job, 1)
    write_tasks(tasks[:60], path)
    (tmp_path / "out/logs/write/completions/00001").unlink()
    with pytest.raises(UserError, match="the ranks read different corpora"):
        run_local(job, 1)


def test_real_tasks(data: Path, tmp_path: Path):
    names = [str(data / "corpus" / f"{name}.jsonl.gz") for name in ("quasar_mix", "orz_subset")]
    write_tasks(islice(load_corpus(names).tasks, 4000), tmp_path / "some.jsonl")
    job = DedupeJob(
        [str(tmp_path / "some.jsonl")], None, (),
        tuple(load_tasks(str(data / "benchmarks" / "aime2024.jsonl"))),
        OverlapConfig(dedupe=DedupeConfig(fuzzy=0.9)), tmp_path / "out", 2, block=2000,
    )  # fmt: skip
    run_local(job, 1)
    expected = clean(load_corpus(job.sources).tasks, job.targets, job.config)
    assert_is_clean(tmp_path / "out", expected)
    assert expected.duplicates


def ttc_rl(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    sys.argv = ["ttc-rl", *arguments]
    with pytest.raises(SystemExit):
        main()
    both = capsys.readouterr()
    return both.out + both.err


def test_the_command(capsys, corpus: str, targets: list[Task], cleaned: Cleaned, tmp_path: Path):
    write_tasks(targets, tmp_path / "target.jsonl")
    keys = ["overlap.dedupe.fuzzy=0.8", f"target={tmp_path / 'target.jsonl'}"]
    said = ttc_rl(capsys, "dedupe", corpus, *keys, "--out", str(tmp_path / "out"))
    outcome = f"{len(cleaned.tasks)} of 293 tasks; 5 overlap, 35 duplicates"
    assert f"{tmp_path / 'out'}: {outcome}\n" in said
    assert_is_clean(tmp_path / "out", cleaned)
    slurm = ["--cluster", "slurm", "--slurm", "partition=cpu", "--slurm", "time=1:00:00"]
    said = ttc_rl(
        capsys, "dedupe", corpus, *keys, *slurm, "--out", "o", "--tasks", "3", "--dry-run"
    )
    assert "#SBATCH --array=0-2" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "overlap.dedupe.fuzzy: is null, so there are no near-duplicates to look for"),
        (["overlap.dedupe.fuzy=1"], "overlap.dedupe.fuzy: unknown key; did you mean fuzzy?"),
        (["overlap.dedupe.fuzzy=0.9", "--dry-run"], "--dry-run shows the scripts of --cluster"),
        (["overlap.dedupe.fuzzy=0.9", "--cluster", "slurm"], "needs --slurm partition="),
    ],
)
def test_a_mistake_is_one_line(
    capsys, corpus: str, tmp_path: Path, arguments: list[str], says: str
):
    said = ttc_rl(capsys, "dedupe", corpus, *arguments, "--out", str(tmp_path / "out"))
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
