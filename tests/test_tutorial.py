"""The tutorial, word for word: twelve commands in an empty folder, from a clone to a report.

One step is not done as it stands: the installation takes minutes, and would fetch hundreds of
megabytes in every run of the tests. In its place the test looks at whether the clone holds what
`pip install` is asked for; the commands after it are those of the running environment.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ttc_rl.run_dir import read_json, read_jsonl

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
FENCES = re.findall(r"(?:^`([\w.]+)`:\n\n)?^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [text.strip() for _, language, text in FENCES if language == "sh"]
WIDTH = 100


def test_there_are_twelve_steps_of_one_line_each():
    assert len(COMMANDS) == 12
    assert COMMANDS[0].startswith("git clone ")
    assert all("\n" not in command and len(command) <= WIDTH for command in COMMANDS)


def run(command: str, folder: Path) -> str:
    """Run a line of the page in a shell; return what it printed."""
    scripts = str(Path(sys.executable).parent)
    changed = {
        "ADDRESS": str(ROOT),
        "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        command, shell=True, cwd=folder, env=os.environ | changed, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def check_installable(command: str, folder: Path) -> None:
    """Check that the folder and the extras exist that `pip install -e` is asked for."""
    *_, asked = shlex.split(command)
    name, extras = re.fullmatch(r"(.+)\[(.+)\]", asked).groups()  # type: ignore[union-attr]
    project = tomllib.loads((folder / name / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(extras.split(",")) <= set(project["project"]["optional-dependencies"])


def check_shown(shown: str, printed: str, command: str) -> None:
    """Check that each line of the page was printed, in this order; `...` stands for any text."""
    at = 0
    for line in filter(None, map(str.strip, shown.splitlines())):
        pattern = r"[^\n]*".join(re.escape(part) for part in line.split("..."))
        seen = re.compile(pattern).search(printed, at)
        assert seen, f"{command}\ndid not print, in this order: {line}\nbut:\n{printed}"
        at = seen.end()


@pytest.mark.slow
def test_every_step_does_what_the_page_says(tmp_path: Path, cache: Path):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so it cannot be cloned")
    command = printed = ""
    for name, language, text in FENCES:
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language == "sh":
            command = text.strip()
            if command.startswith("pip install "):
                check_installable(command, tmp_path)
            else:
                printed = run(command, tmp_path)
        else:
            assert language == "text"
            check_shown(text, printed, command)

    # what the page promises of the files and the numbers
    for name in re.findall(r"`((?:runs|comparison)[/.][\w./-]+)`", PAGE):
        assert (tmp_path / name).exists(), name
    run_folder = tmp_path / "runs" / "tutorial"
    assert "<html" in (run_folder / "report.html").read_text(encoding="utf-8")
    models = read_json(run_folder / "summary.json")["benchmarks"]["exam"]["models"]
    assert set(models) == {"base", "random", "sift"}
    asked = {arm: asks_for_the_biggest(run_folder / "arms" / arm) for arm in ("random", "sift")}
    assert asked["sift"] > 2 * asked["random"] > 0


def asks_for_the_biggest(arm: Path) -> int:
    """Return how many tasks of a curriculum are of the exam's sort."""
    prompts = [row["task"]["prompt"] for row in read_jsonl(arm / "curriculum.jsonl")]
    return sum("biggest" in prompt for prompt in prompts)
