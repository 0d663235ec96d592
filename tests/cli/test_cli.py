"""The command line as a user meets it: quick answers, one line for every mistake."""

import errno
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ttc_rl.corpus.sources import load_tasks

MINIMAL = "model: m\ncorpus: {corpus}\ntarget: {target}\nselection: {{size: 4}}\n"
HEAVY = ("torch", "transformers", "trl", "datasets", "sentence_transformers", "wandb", "sympy")


def ttc_rl(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ttc_rl", *arguments],
        capture_output=True, text=True, cwd=cwd, timeout=120, check=False,
    )  # fmt: skip


def said(*arguments: str, cwd: Path | None = None) -> str:
    """The one line of an error the user can mend."""
    done = ttc_rl(*arguments, cwd=cwd)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("[")]  # progress
    assert len(lines) == 1
    assert lines[0].startswith("ttc-rl: ")
    return lines[0]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "nowhere.yaml"], ["run", "RECIPE", "sed=1"]]
)
def test_help_and_typos_answer_without_loading_anything_heavy(arguments: list[str]):
    arguments = [str(Path("recipes/quickstart.yaml")) if a == "RECIPE" else a for a in arguments]
    code = (
        "import sys; from ttc_rl.cli.app import main\n"
        f"sys.argv = ['ttc-rl', *{arguments!r}]\n"
        "try:\n    main()\n"
        f"except SystemExit:\n    print('loaded', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "loaded []" in done.stdout, done


def write_tasks(path: Path, count: int, start: int = 0) -> Path:
    rows = [
        f'{{"kind": "math", "prompt": "add {i} and 1", "answer": "{i + 1}"}}'
        for i in range(start, start + count)
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def recipe(folder: Path, corpus: object, target: object, extra: str = "") -> str:
    path = folder / "r.yaml"
    path.write_text(MINIMAL.format(corpus=corpus, target=target) + extra)
    return str(path)


@pytest.fixture
def files(tmp_path: Path, cache: Path) -> tuple[Path, Path]:
    return write_tasks(tmp_path / "c.jsonl", 9), write_tasks(tmp_path / "t.jsonl", 3, start=100)


def test_a_misspelt_key_names_file_and_line(tmp_path: Path):
    path = recipe(tmp_path, "c.jsonl", "t.jsonl", "sede: 3\n")
    assert f"{path}:5: sede: unknown key; did you mean seed?" in said("run", path)


def test_a_missing_corpus_file(tmp_path: Path, files: tuple[Path, Path]):
    path = recipe(tmp_path, tmp_path / "d.jsonl", files[1])
    assert "did you mean" in said("select", path, "--run-dir", str(tmp_path / "run"))


def test_a_malformed_line_is_reported_with_its_number_and_the_rest_is_used(
    tmp_path: Path, files: tuple[Path, Path]
):
    with files[0].open("a") as file:
        file.write('{"kind": "math", "prompt": \n')
    done = ttc_rl("select", recipe(tmp_path, *files), "--run-dir", str(tmp_path / "run"))
    assert done.returncode == 0, done
    assert f"{files[0]}:10:" in done.stderr


def test_an_empty_corpus(tmp_path: Path, files: tuple[Path, Path]):
    files[0].write_text("")
    line = said("select", recipe(tmp_path, *files), "--run-dir", str(tmp_path / "run"))
    assert "no task could be read" in line


def test_a_target_larger_than_the_corpus(tmp_path: Path, files: tuple[Path, Path]):
    path = recipe(tmp_path, files[1], files[0])
    done = ttc_rl("select", path, "--run-dir", str(tmp_path / "run"), "selection.size=2")
    assert done.returncode == 0, done.stderr
    assert "the target (9 tasks) is larger than the corpus (3)" in done.stderr
    assert (tmp_path / "run" / "curriculum.jsonl").exists()


def test_an_unknown_benchmark(tmp_path: Path, files: tuple[Path, Path]):
    path = recipe(tmp_path, files[0], "aime52")
    line = said("select", path, "--run-dir", str(tmp_path / "run"))
    assert "unknown benchmark" in line
    assert "aime25" in line


def test_k_above_the_number_of_samples(tmp_path: Path, files: tuple[Path, Path]):
    path = recipe(tmp_path, *files, "eval: {samples: 4, k: [8]}\n")
    assert "pass@8 needs at least 8 samples per task, but samples is 4" in said("run", path)


def test_a_corpus_smaller_than_one_step(tmp_path: Path, files: tuple[Path, Path]):
    path, run = recipe(tmp_path, *files), ("--run-dir", str(tmp_path / "run"))
    assert ttc_rl("select", path, *run).returncode == 0
    assert "holds 4 tasks, fewer than one step's train.tasks_per_step 8" in said(
        "train", path, *run
    )


def test_a_run_folder_that_exists_or_cannot_be_written(tmp_path: Path, files: tuple[Path, Path]):
    path = recipe(tmp_path, *files)
    assert "exists and is not a run folder" in said("select", path, "--run-dir", str(tmp_path))
    assert "cannot be written" in said("select", path, "--run-dir", "/proc/nowhere/run")


def test_a_stage_before_its_time_says_what_to_run_first(tmp_path: Path, files: tuple[Path, Path]):
    line = said("train", recipe(tmp_path, *files), "--run-dir", str(tmp_path / "run"))
    assert "`ttc-rl select RECIPE` makes it" in line


def test_a_missing_extra_is_named(tmp_path: Path, files: tuple[Path, Path]):
    path = recipe(tmp_path, *files, "train: {vllm: {mode: colocate}}\n")
    assert "[vllm]'" in said("run", path, "--run-dir", str(tmp_path / "run"))


def test_dry_run_shows_the_recipe_and_the_arithmetic_and_leaves_nothing(tmp_path: Path):
    done = ttc_rl("run", str(Path("recipes/quickstart.yaml").resolve()), "--dry-run", cwd=tmp_path)
    assert "sift: 240 tasks x 2 epochs / 8 tasks a step = 60 steps" in done.stdout
    assert "7,680 in all" in done.stdout
    assert not list(tmp_path.iterdir())


def test_score_grades_without_a_model(tmp_path: Path, files: tuple[Path, Path]):
    samples = tmp_path / "s.jsonl"
    rows = []
    from ttc_rl import load_tasks

    for task in load_tasks(str(files[1])):
        rows.append(f'{{"task_id": "{task.id}", "completion": "so \\\\boxed{{{task.gold}}}"}}\n')
    samples.write_text("".join(rows))
    done = ttc_rl("score", str(samples), "--benchmark", str(files[1]))
    assert done.returncode == 0, done
    assert "100.0" in done.stdout


def test_config_prints_a_schema_and_a_resolved_recipe():
    assert '"SelectionConfig"' in ttc_rl("config").stdout
    assert "size: 7" in ttc_rl("config", "recipes/quickstart.yaml", "selection.size=7").stdout


def test_programs_are_scored_in_a_sandbox_or_say_that_they_were_not(tmp_path: Path):
    task = {"kind": "code", "prompt": "add", "id": "sum", "source": "test"}
    task["tests"] = [{"type": "stdin", "input": "1 2", "output": "3"}]
    (tmp_path / "t.jsonl").write_text(json.dumps(task) + "\n")
    program = "```python\nprint(sum(map(int, input().split())))\n```"
    row = {"task_id": "sum", "completion": program}
    (tmp_path / "s.jsonl").write_text(json.dumps(row) + "\n")
    arguments = ("score", str(tmp_path / "s.jsonl"), "--benchmark", str(tmp_path / "t.jsonl"))
    for flag, said in (((), ""), (("--unsafe-local",), "unsafe-local")):
        assert ttc_rl(*arguments, *flag).returncode == 0
        graded = json.loads((tmp_path / "s.rescored.samples.jsonl").read_text())
        assert (graded["correct"], graded["reason"]) == (True, said)


def test_a_name_that_the_system_refuses_is_one_line(tmp_path: Path, files: tuple[Path, Path]):
    long = tmp_path / ("x" * 300)
    assert f"{long}" in said("report", str(long))
    assert "use a shorter name" in said("select", recipe(tmp_path, *files), "--run-dir", str(long))
    assert "x" * 300 in said("select", recipe(tmp_path, long, files[1]))
    assert "x" * 300 in said("select", str(long))


def test_a_closed_output_is_one_line(tmp_path: Path, files: tuple[Path, Path]):
    command = [sys.executable, "-m", "ttc_rl", "benchmarks"]
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("ttc-rl: standard output is closed; send it to a file")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_told_with_what_was_kept_and_how_to_go_on(tmp_path: Path, number: int):
    code = (
        "import os, sys, time, ttc_rl.cli.app as cli\n"
        "cli.opened.append('runs/r')\n"
        f"cli.app = lambda: os.kill(os.getpid(), {int(number)}) or time.sleep(9)\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -number
    name = signal.Signals(number).name
    assert done.stderr.startswith(f"ttc-rl: stopped by {name}; runs/r: what is finished is kept; ")
    assert "--resume" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "told"), [(errno.EACCES, "make it writable"), (errno.EROFS, "TTC_RL_CACHE")]
)
def test_a_place_that_cannot_be_written_is_one_line(number: int, told: str):
    code = (
        "import ttc_rl.cli.app as cli\n"
        f"def app(): raise OSError({number}, 'refused', '/cache/models/x')\n"
        "cli.app = app\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("ttc-rl: /cache/models/x: refused; ")
    assert told in done.stderr


def test_version_help_and_quiet(tmp_path: Path, files: tuple[Path, Path]):
    assert re.fullmatch(r"ttc-rl \d+\.\d+\S*\n", ttc_rl("--version").stdout)
    assert ttc_rl("-h").stdout == ttc_rl("--help").stdout
    assert "--model" in ttc_rl("eval", "-h").stdout
    path = recipe(tmp_path, files[0], files[1])
    done = ttc_rl("--quiet", "select", path, "--run-dir", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith("[")]  # progress
    assert "curriculum.jsonl" in done.stdout


def test_results_as_json(tmp_path: Path):
    tasks = write_tasks(tmp_path / "t.jsonl", 2)
    rows = [
        {"task_id": task.id, "sample": 0, "completion": rf"\boxed{{{i + 1}}}"}
        for i, task in enumerate(load_tasks(str(tasks)))
    ]
    samples = tmp_path / "s.jsonl"
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = ttc_rl("score", str(samples), "--benchmark", str(tasks), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["avg@1"]["value"] == 1.0


def test_a_key_of_older_scripts_is_answered(tmp_path: Path, files: tuple[Path, Path]):
    path = recipe(tmp_path, *files, extra="train: {trl: {max_prompt_length: 512}}\n")
    line = said("select", path)
    assert "train.trl.max_prompt_length: TRL has dropped it: no prompt is cut" in line
