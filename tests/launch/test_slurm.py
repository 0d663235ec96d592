"""The batch script: read as SLURM reads it, and run by stand-ins for its commands."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from schedulers import STUBS, log_file, sbatch_options, words_of

from ttc_rl.config import Recipe, load_recipe
from ttc_rl.launch import Launch, Parallel
from ttc_rl.launch.cluster import Batch, directive, options, slurm_script, submit
from ttc_rl.launch.start import start
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import UserError

SLURM_SH = Path(__file__).parents[2] / "ttc_rl" / "launch" / "slurm.sh"
SERVED = {"mode": "server", "tensor_parallel_size": 4}
STRANGE = ["two words", "50% off", "100%j", "it's", 'a "b"', "a#b", "$HOME", "`x`", "@GPUS@"]


def recipe(**train: object) -> Recipe:
    return Recipe.model_validate(
        {"model": "Qwen/Qwen3-8B", "corpus": "c.jsonl", "target": "aime25", "train": train}
    )


def asked(config: Parallel = "fsdp2", gpus: int = 4, nodes: int = 1, run: str = "runs/r") -> Launch:
    return Launch(Path("r.yaml"), ["seed=1"], Path(run), config, gpus, nodes)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins on the PATH that write down what they were asked; the log."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in STUBS.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("NODES", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node[1-3]")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "32")
    monkeypatch.setattr(sys, "executable", str(tools / "python"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "log"


def job(folder: Path, launch: Launch, made: Recipe, batch: Batch = Batch()) -> list[str]:  # noqa: B008  frozen
    path = folder / "job.sbatch"
    submit(launch, made, batch)  # makes the folder of the logs
    path.write_text(slurm_script(launch, made, batch))
    return ["bash", str(path)]


def run(command: Sequence[str], **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )


def lines_of(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def stages_of(log: Path) -> list[str]:
    return [line for line in lines_of(log) if line.startswith("python")]


def waited_for(log: Path, text: str, process: "subprocess.Popen[str]") -> None:
    while not any(line.startswith(text) for line in lines_of(log)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


# --------------------------------------------------------------------------- the stages


def test_the_job_serves_on_the_last_node_and_trains_on_the_others(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NODES", "3")
    done = run(job(tmp_path, asked(nodes=2), recipe(vllm=SERVED)))
    assert done.returncode == 0, done.stderr
    lines = lines_of(cluster)
    select, *training, evaluation = stages_of(cluster)
    assert "-m ttc_rl select r.yaml seed=1 --run-dir runs/r --resume" in select
    assert "-m ttc_rl eval r.yaml seed=1 --run-dir runs/r" in evaluation
    ranks = sorted(re.findall(r"--machine_rank (\d)", " ".join(training)))
    assert (len(training), ranks) == (2, ["0", "1"])
    for line in training:
        assert "--num_processes 8 --num_machines 2 --main_process_port 20077" in line
        assert "--main_process_ip node1 --rdzv_backend c10d -m ttc_rl train r.yaml seed=1" in line
        assert line.endswith("url=http://node3:10077")
    nodes = [line for line in lines if line.startswith("nodes")]
    assert sorted(nodes) == ["nodes node1", "nodes node1", "nodes node1,node2", "nodes node3"]
    (served,) = (line for line in lines if line.startswith("vllm serve"))
    for said in ("--port 10077", "--tensor-parallel-size 4", "--enable-scale-out", "dev=1"):
        assert said in served
    asks = [lines.index(line) for line in lines if line.startswith("asked")]
    assert lines[asks[0]] == "asked http://node3:10077/health"
    assert len(asks) == 3
    assert asks[-1] < lines.index(training[0])
    assert lines.index("vllm ends") < lines.index(evaluation)


def test_every_step_gets_the_cpus_that_the_job_was_given(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NODES", "2")
    done = run(job(tmp_path, asked(), recipe(vllm=SERVED)))
    assert done.returncode == 0, done.stderr
    steps = [line for line in lines_of(cluster) if line.startswith("srun")]
    assert len(steps) == 4  # select, vllm serve, train, eval
    for step in steps:
        assert step.startswith("srun cpus=32 --cpus-per-task=32 ")


def test_a_training_that_fails_ends_the_job_before_the_evaluation(cluster: Path, tmp_path: Path):
    done = run(job(tmp_path, asked(), recipe()), TRAIN_ENDS="3")
    assert done.returncode == 3
    said = "\n".join(lines_of(cluster))
    for word in ("ttc_rl eval", "vllm", "--machine_rank"):
        assert word not in said


def test_the_environment_is_kept_without_its_secrets(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VLLM_API_KEY", "hush")
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    done = run(job(tmp_path, asked(), recipe()), SLURM_TMPDIR="/scratch/77")
    assert done.returncode == 0, done.stderr
    kept = (tmp_path / "runs" / "r.launch" / "77.env").read_text(encoding="utf-8")
    assert "hush" not in kept
    for line in ("SLURM_JOB_ID=77", "SLURM_CPUS_PER_TASK=32", "TMPDIR=/scratch/77"):
        assert f"\n{line}\n" in kept
    assert f"TRITON_CACHE_DIR=/scratch/77/ttc-rl-{os.getuid()}/triton\n" in kept


# --------------------------------------------------------------------------- back to the queue


def requeued(command: list[str], log: Path, **env: str) -> "tuple[int, str]":
    """Send the signal of the time limit while training runs; exit status, and what was said."""
    process = subprocess.Popen(
        command, env={**os.environ, "TRAINING": "30", **env},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0,
    )  # fmt: skip
    waited_for(log, "python -m accelerate", process)
    process.send_signal(signal.SIGUSR1)  # to the batch shell alone, as --signal=B:USR1 asks
    code = process.wait(timeout=10)
    os.killpg(process.pid, signal.SIGKILL)  # SLURM would end the job's steps
    return code, process.communicate()[0]


def test_before_the_time_limit_the_job_goes_back_to_the_queue_and_the_same_script_goes_on(
    cluster: Path, tmp_path: Path
):
    command = job(tmp_path, asked(), recipe())
    assert requeued(command, cluster)[0] == 0
    assert lines_of(cluster)[-1] == "requeue 77"
    done = run(command, SLURM_RESTART_COUNT="1")
    assert done.stdout.startswith("try 2 of job 77 on node1")
    assert lines_of(cluster)[-1].startswith("python -m ttc_rl eval")


def test_a_job_goes_back_to_the_queue_a_limited_number_of_times(cluster: Path, tmp_path: Path):
    command = job(tmp_path, asked(), recipe(), Batch(requeues=2))
    assert requeued(command, cluster, SLURM_RESTART_COUNT="1")[0] == 0
    cluster.unlink()
    code, said = requeued(command, cluster, SLURM_RESTART_COUNT="2")
    assert code == 1
    assert "job 77 was restarted 2 times: it ends." in said
    assert not any(line.startswith("requeue") for line in lines_of(cluster))


def test_a_server_that_dies_ends_the_job_and_does_not_requeue_it(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NODES", "2")
    process = subprocess.Popen(
        job(tmp_path, asked(), recipe(vllm=SERVED)),
        env={**os.environ, "TRAINING": "60", "SERVES": "20"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip
    assert process.wait(timeout=20) == 1  # the training that waits for it is not waited for
    os.killpg(process.pid, signal.SIGKILL)  # SLURM would end the job's steps
    said = process.communicate()[1]
    log = tmp_path / "runs" / "r.launch" / "77.vllm.log"
    assert f"vllm serve ended while it was needed: the job ends; see {log}" in said
    assert log.read_text(encoding="utf-8") == "out of memory\n"
    assert not any(
        line.startswith(("requeue", "python -m ttc_rl eval")) for line in lines_of(cluster)
    )


def test_a_server_that_never_starts_ends_the_job(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NODES", "2")
    (tmp_path / "tools" / "curl").write_text("#!/bin/bash\nexit 1\n")
    done = run(job(tmp_path, asked(), recipe(vllm=SERVED)), SERVES="1")
    assert done.returncode == 1
    assert "vllm serve ended before it was ready" in done.stderr
    assert len(stages_of(cluster)) == 1  # the selection


# --------------------------------------------------------------------------- what sbatch reads


def test_sbatch_gets_the_script_with_what_the_site_needs(cluster: Path, tmp_path: Path):
    words = ["partition=gpu", "exclusive", "cpus-per-task=96", "comment=for the # 3 test"]
    said = submit(asked(nodes=2), recipe(), Batch(options(words)))
    assert said == "Submitted batch job 77"
    text = Path(f"{cluster}.sbatch").read_text(encoding="utf-8")
    assert sbatch_options(text) == {
        "job-name": "ttc-rl-r",
        "nodes": "2",
        "ntasks-per-node": "1",
        "cpus-per-task": "96",  # the site's in place of ours
        "gres": "gpu:4",
        "requeue": "",
        "open-mode": "append",
        "signal": "B:USR1@300",
        "output": f"{tmp_path}/runs/r.launch/%j.log",
        "partition": "gpu",
        "exclusive": "",
        "comment": "for the # 3 test",
    }
    assert (tmp_path / "runs" / "r.launch").is_dir()
    assert not re.search(r"@[A-Z_]+@", text)


def test_processes_of_a_cpu_ask_for_no_gpu(cluster: Path):
    read = sbatch_options(slurm_script(asked("cpu", 3), recipe(), Batch()))
    assert "gres" not in read
    assert read["cpus-per-task"] == "3"


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_name_reaches_every_place_whole(cluster: Path, tmp_path: Path, name: str):
    done = run(job(tmp_path, asked(run=f"runs/{name}"), recipe()))
    assert done.returncode == 0, done.stderr
    read = sbatch_options((tmp_path / "job.sbatch").read_text(encoding="utf-8"))
    assert read["job-name"] == f"ttc-rl-{name}"
    assert log_file(read["output"], j="77") == f"{tmp_path}/runs/{name}.launch/77.log"
    assert (tmp_path / "runs" / f"{name}.launch" / "77.env").exists()
    for line in stages_of(cluster):
        assert f"--run-dir runs/{name}" in line


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\rb"])
def test_a_folder_that_slurm_cannot_log_to_is_refused_in_one_line(cluster: Path, name: str):
    with pytest.raises(UserError, match="SLURM writes no log to a path with") as refused:
        slurm_script(asked(run=f"runs/{name}"), recipe(), Batch())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [*STRANGE, "\\", '\\"', "a b\tc", "ü"])
def test_sbatch_reads_an_option_as_it_was_given(value: str):
    assert words_of(directive("comment", value)) == [f"--comment={value}"]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("train", [{}, {"vllm": SERVED}], ids=["alone", "served"])
def test_shellcheck_finds_nothing(cluster: Path, tmp_path: Path, train: dict[str, object]):
    path = job(tmp_path, asked(nodes=2), recipe(**train))[1]
    done = run(["shellcheck", "--exclude=SC2016", path])  # variables that the step's shell fills in
    assert done.returncode == 0, done.stdout


# --------------------------------------------------------------------------- templates

SITE = """#!/bin/bash
@SBATCH@
#SBATCH --mail-type=FAIL
module() { echo "module $*" >> "$LOG"; }
module load cuda/13
@SETUP@
logs=@LOGS@ requeues=@REQUEUES@ nodes=@TRAINERS@
srun @SELECT@
srun bash -c @TRAIN@
srun @EVAL@
"""


def site(folder: Path, text: str) -> Batch:
    path = folder / "site.sh"
    path.write_text(text, encoding="utf-8")
    return Batch(template=path)


def test_a_template_of_the_site_is_filled_and_runs(cluster: Path, tmp_path: Path):
    done = run(job(tmp_path, asked(), recipe(), site(tmp_path, SITE)))
    assert done.returncode == 0, done.stderr
    lines = lines_of(cluster)
    assert lines[0] == "module load cuda/13"
    words = [line.split()[3 if "accelerate" not in line else -5] for line in stages_of(cluster)]
    assert [word for word in words if word in ("select", "eval")] == ["select", "eval"]
    assert len(stages_of(cluster)) == 3
    assert sbatch_options((tmp_path / "job.sbatch").read_text())["mail-type"] == "FAIL"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("@TRAIN@", "@TRIAN@"), "site.sh:9: @TRIAN@: there is no such place; did you mean TRAIN?"),
        (("srun @EVAL@\n", ""), "site.sh:9: ends without @EVAL@, which this launch fills"),
        (("@SBATCH@\n", "#SBATCH --nodes=1\n"), "site.sh:10: ends without @SBATCH@"),
    ],
)
def test_a_template_with_a_wrong_or_a_missing_place_is_one_line(
    cluster: Path, tmp_path: Path, change: tuple[str, str], says: str
):
    with pytest.raises(UserError, match=re.escape(says)) as refused:
        slurm_script(asked(), recipe(), site(tmp_path, SITE.replace(*change)))
    assert "\n" not in str(refused.value)


def test_a_template_without_a_server_does_for_a_launch_without_one(cluster: Path, tmp_path: Path):
    slurm_script(asked(), recipe(), site(tmp_path, SITE))
    with pytest.raises(UserError, match="ends without @SERVER@"):
        slurm_script(asked(), recipe(vllm=SERVED), site(tmp_path, SITE))


def test_a_template_that_is_not_there_is_one_line(cluster: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"--template .*no\.sh: cannot be read"):
        slurm_script(asked(), recipe(), Batch(template=tmp_path / "no.sh"))


# --------------------------------------------------------------------------- arrays


TINY = Path(__file__).parents[1] / "tiny.yaml"
SEEDS = ("sweep={seed: [1, 2, 3]}",)


def runs_of(keys: Sequence[str] = SEEDS) -> dict[str, Recipe]:
    from ttc_rl.stages.sweep import cells

    return dict(cells(load_recipe(TINY, keys)))


def test_each_index_of_an_array_is_a_run_in_its_own_folder(cluster: Path, tmp_path: Path):
    swept, batch = load_recipe(TINY, SEEDS), Batch(runs=runs_of())
    command = job(tmp_path, asked("cpu", 2, run="runs/my sweep"), swept, batch)
    read = sbatch_options((tmp_path / "job.sbatch").read_text(encoding="utf-8"))
    assert read["array"] == "0-2"
    logs = tmp_path / "runs" / "my sweep.launch"
    assert log_file(read["output"], A="70", a="1") == f"{logs}/70_1.log"
    for index in range(3):
        array = {"SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": str(index)}
        done = run(command, **array)
        assert done.returncode == 0, done.stderr
        folder = tmp_path / "runs" / "my sweep" / f"seed={index + 1}"
        assert load_recipe(folder.with_suffix(".yaml")).seed == index + 1
        stages = stages_of(cluster)
        assert len(stages) == 3  # select, train, eval: once each
        for line in stages:
            assert f" {folder}.yaml --run-dir {folder}" in line
        assert (logs / f"70_{index}.env").exists()
        assert f"modules {TINY.parent}" in lines_of(cluster)
        cluster.unlink()
    RunDir.open(tmp_path / "runs" / "my sweep", swept, resume=True)  # as `ttc-rl run` does


def test_one_index_of_an_array_goes_back_to_the_queue_alone(cluster: Path, tmp_path: Path):
    """The index whose job id is the array's would take all others with it."""
    command = job(tmp_path, asked("cpu", 2), recipe(), Batch(runs=runs_of()))
    array = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "2"}
    assert requeued(command, cluster, **array)[0] == 0
    assert lines_of(cluster)[-1] == "requeue 77_2"


def test_some_indices_or_a_few_at_a_time_are_the_sites_word(cluster: Path):
    batch = Batch(options(["array=0-2%1"]), runs=runs_of())
    assert sbatch_options(slurm_script(asked("cpu", 2), recipe(), batch))["array"] == "0-2%1"
    with pytest.raises(UserError, match="--slurm array: is for a recipe with `sweep:`"):
        slurm_script(asked("cpu", 2), recipe(), Batch(options(["array=0-2"])))


def test_runs_that_need_different_servers_are_refused(cluster: Path):
    batch = Batch(runs={size: _of_model(f"Qwen/Qwen3-{size}") for size in ("4B", "8B")})
    with pytest.raises(UserError, match="the runs need different vLLM servers"):
        slurm_script(asked(), recipe(), batch)


def _of_model(name: str) -> Recipe:
    return recipe(vllm=SERVED).model_copy(
        update={"model": recipe().model.model_copy(update={"path": name})}
    )


def test_a_run_of_the_array_that_cannot_be_launched_is_named(cluster: Path):
    with pytest.raises(UserError, match=r"run tasks_per_step=3: .*do not divide over 2 devices"):
        slurm_script(
            asked("cpu", 2),
            recipe(),
            Batch(
                runs=runs_of(["sweep={train.tasks_per_step: [4, 3]}", "train.rollouts_per_task=3"])
            ),
        )


@pytest.mark.parametrize(
    ("on", "batch", "says"),
    [
        ("local", Batch(requeues=1), "belong to --on slurm"),
        ("skypilot", Batch(template=Path("x")), "belong to --on slurm"),
        ("slurm", Batch(), "--on slurm --array"),
    ],
)
def test_what_does_not_go_together_is_one_line(on, batch: Batch, says: str):
    from ttc_rl.launch.cloud import Cloud

    swept = recipe().model_copy(update={"sweep": {"seed": [1, 2]}})
    with pytest.raises(UserError, match=says):
        start(asked(), swept, on, batch, Cloud(), dry_run=True)


# --------------------------------------------------------------------------- the server's command


@pytest.mark.slow
def test_the_flags_of_the_server_are_those_that_trl_builds():
    from trl.scripts.vllm_serve import ScriptArguments, build_command

    from ttc_rl.launch import serve

    ours = serve(recipe(vllm={"mode": "server", "tensor_parallel_size": 2}))
    theirs = build_command(ScriptArguments(model="Qwen/Qwen3-8B", tensor_parallel_size=2))
    theirs = theirs[theirs.index("serve") :]
    pairs = list(itertools.pairwise(theirs))
    for pair in zip(ours[1::2], ours[2::2], strict=True):
        assert pair in pairs, pair
    needed = {"--weight-transfer-config", "--logprobs-mode", "--max-logprobs"}
    assert needed <= set(ours) & set(theirs)
