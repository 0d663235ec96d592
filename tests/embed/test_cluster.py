"""datatrove for real: ranks in processes of their own, and SLURM's scripts through a stand-in."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import sbatch

from ttc_rl.config import EmbedConfig, SourceConfig
from ttc_rl.corpus.sources import load_corpus, stream_corpus
from ttc_rl.embed import embed, open_shards
from ttc_rl.embed.encoders import text_key
from ttc_rl.launch.embedding_cluster import ClusterJob, merge, render
from ttc_rl.schema import UserError

RUN = """
import sys
from pathlib import Path
from ttc_rl.config import EmbedConfig
from ttc_rl.launch.embedding_cluster import ClusterJob, run_local, submit
if __name__ == "__main__":
    corpus, folder, how, tasks = sys.argv[1:]
    job = ClusterJob([corpus], None, EmbedConfig(), None, Path(folder), int(tasks), block=8)
    if how == "slurm":
        submit(job, {"partition": "gpu", "time": "01:00:00"})
    else:
        run_local(job, int(how))
"""
KILLED = """
import os, signal
from pathlib import Path
from ttc_rl.embed import shards
write = shards._write_whole
def write_or_die(path, content):
    second = path.suffix == ".npy" and any(path.parent.glob("*.npy"))
    if path.parent.name == "part-00001" and second:
        (path.parent.parent / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
shards._write_whole = write_or_die
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTC_RL_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """44 different tasks in five and a half blocks, with a repeated and a bad row among them."""
    rows = [{"kind": "math", "prompt": f"{n} + {n * n}", "gold": str(n + n * n)} for n in range(44)]
    rows[20:20] = [rows[3], {"kind": "math", "gold": "1"}]
    path = tmp_path_factory.mktemp("tasks") / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def whole(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks at once made."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    run(corpus, folder, "2", 2)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to harm."""
    return shutil.copytree(whole, tmp_path / "out")


def run(corpus: str, folder: Path, how: str, tasks: int, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN, corpus, str(folder), how, str(tasks)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 or "UserError" in done.stderr, done.stderr
    return done.stderr


def assert_is_the_corpus(corpus: str, folder: Path) -> None:
    """Every row is the one that `embed` gives for the task at that place of the corpus."""
    tasks = load_corpus([corpus]).tasks
    table = open_shards(folder)
    expected = embed(tasks, EmbedConfig())
    assert table[0 : len(table)].astype(np.float32) == pytest.approx(expected, abs=1e-3)
    names = [path.with_suffix(".txt").read_text().split() for path in table.shards]
    assert [word for words in names for word in words] == [
        word for task in tasks for word in (text_key(task.prompt), task.id)
    ]


def test_two_ranks_at_once_give_the_table_of_the_whole_corpus(corpus: str, whole: Path):
    assert_is_the_corpus(corpus, whole)
    manifest = json.loads((whole / "manifest.json").read_text())
    assert [shard["rows"] for shard in manifest["shards"]] == [8, 8, 8, 8, 8, 4]
    assert manifest["count"] == 44


def test_a_damaged_part_is_found_and_mended_by_the_same_command(corpus: str, folder: Path):
    open_shards(folder).shards[3].write_bytes(b"")  # rank 1, its second block
    assert "rank 1 runs again with the same command" in run(corpus, folder, "1", 2)
    said = run(corpus, folder, "1", 2)
    assert "its texts are embedded again" in said
    assert "rank=0" not in said
    assert_is_the_corpus(corpus, folder)


def test_more_ranks_than_blocks(corpus: str, tmp_path: Path):
    run(corpus, tmp_path / "out", "1", 8)
    assert_is_the_corpus(corpus, tmp_path / "out")


def test_the_jobs_that_sbatch_gets_do_the_work(corpus: str, tmp_path: Path):
    env = sbatch.tools(tmp_path)
    run(corpus, tmp_path / "out", "slurm", 2, **env)
    ranks, merging = sbatch.run_jobs(env)
    assert "--array=0-1" in ranks
    assert "--array=0-0" in merging
    assert_is_the_corpus(corpus, tmp_path / "out")


def test_a_rank_that_was_killed_goes_on(corpus: str, whole: Path, tmp_path: Path):
    """Of two ranks at once, rank 1 kills itself while it writes its second shard."""
    folder, script = tmp_path / "out", tmp_path / "job.py"
    script.write_text(KILLED + RUN)
    with subprocess.Popen(
        [sys.executable, str(script), corpus, str(folder), "2", "2"],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as first:  # fmt: skip
        completed = folder / "logs/embed/completions"
        deadline = time.monotonic() + 120
        while not ((folder / "killed").exists() and (completed / "00000").exists()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # datatrove's pool waits for the rank for ever.
        os.killpg(first.pid, signal.SIGKILL)
    assert not (completed / "00001").exists()
    assert not (folder / "manifest.json").exists()
    assert (folder / "part-00001").exists()
    said = run(corpus, folder, "2", 2)
    assert "rank=0" not in said
    assert "part-00001: 8 rows are there already" in said
    assert (folder / "manifest.json").read_text() == (whole / "manifest.json").read_text()
    assert_is_the_corpus(corpus, folder)


def test_the_scripts_can_be_looked_at_and_nothing_is_written(corpus: str, tmp_path: Path):
    job = ClusterJob([corpus], None, EmbedConfig(), None, tmp_path / "out", 30)
    text = render(
        job, {"partition": "gpu", "time": "04:00:00", "cpus_per_task": 6, "gpus_per_task": 1,
              "qos": "high"},
    )  # fmt: skip
    ranks, merging = text.split("#!/bin/bash\n")[1:]
    for line in ("--partition=gpu", "--time=04:00:00", "--array=0-29", "--gpus=1", "--qos=high"):
        assert f"#SBATCH {line}\n" in ranks
    assert text.count("#SBATCH --cpus-per-task=6\n") == text.count("srun --cpus-per-task=6 -l") == 2
    assert "--gpus" not in merging
    assert f"{tmp_path}/out/logs/embed/executor.pik" in ranks
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("slurm", "says"),
    [
        ({"time": "1:00"}, "needs --slurm partition="),
        ({"partition": "gpu"}, "needs --slurm time="),
        ({"partition": "gpu", "time": "1:00", "gpu": 1}, "unexpected keyword argument 'gpu'"),
    ],
)
def test_a_mistake_about_slurm_is_one_line(corpus: str, tmp_path: Path, slurm, says: str):
    job = ClusterJob([corpus], None, EmbedConfig(), None, tmp_path / "out", 2)
    with pytest.raises(UserError, match=says):
        render(job, slurm)


@pytest.mark.parametrize("name", ["two words", "50%", "it's", "a\nb"])
def test_a_folder_that_the_scripts_cannot_name_is_refused(corpus: str, tmp_path: Path, name: str):
    job = ClusterJob([corpus], None, EmbedConfig(), None, tmp_path / name, 2)
    with pytest.raises(UserError, match="datatrove writes the folder into its scripts"):
        render(job, {"partition": "gpu", "time": "1:00"})


def test_nothing_is_merged_before_every_rank_is_done(corpus: str, folder: Path):
    (folder / "logs/embed/completions/00001").unlink()
    with pytest.raises(UserError, match="rank 1 is not done"):
        merge(ClusterJob([corpus], None, EmbedConfig(), None, folder, 2))


def test_parts_of_different_corpora_are_not_merged(corpus: str, folder: Path):
    shutil.rmtree(folder / "part-00001")
    with pytest.raises(UserError, match="different corpora"):
        merge(ClusterJob([corpus], None, EmbedConfig(), None, folder, 2))


def test_the_stream_is_the_corpus(corpus: str, tmp_path: Path, data: Path):
    some = SourceConfig(path=corpus, limit=22)
    for entries in ([corpus], [some, corpus], [str(data / "corpus/quasar_mix.jsonl.gz"), some]):
        assert [*stream_corpus(entries)] == load_corpus(entries).tasks
