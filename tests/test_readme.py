"""What the README tells people to type exists, and its Python runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

from ttc_rl import Task, load_tasks, maj_at_k, pass_at_k, select, verify, verify_many
from ttc_rl.cli.app import app
from ttc_rl.config import load_recipe

README = Path("README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^ttc-rl ([a-z]+)", README, re.MULTILINE)))
RECIPES = sorted(set(re.findall(r"recipes/[\w/-]+\.yaml", README)))
FILES = sorted(set(re.findall(r"(?:tests|docs|ttc_rl|eval)/[\w/]+\.(?:py|md)", README)))


def test_every_command_is_in_the_readme_and_every_one_there_exists():
    assert set(COMMANDS) == set(get_command(app).commands)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_named_loads(recipe: str):
    load_recipe(recipe)


@pytest.mark.parametrize("file", FILES)
def test_every_file_named_is_there(file: str):
    assert Path(file).exists()


def test_the_recipe_shown_is_one(tmp_path: Path):
    shown = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert shown
    (tmp_path / "r.yaml").write_text(shown[1])
    assert load_recipe(tmp_path / "r.yaml").arm_names == ["random", "sift"]


def test_the_library_example_holds():
    corpus_ND, target_MD = np.eye(8), np.eye(8)[:2]
    assert [p.index for p in select(corpus_ND, target_MD, size=2, noise=0.1)] == [0, 1]
    task = Task(kind="math", prompt="...", gold="3/4")
    assert verify(task, r"so the answer is \boxed{\frac34}").correct is True
    assert [v.correct for v in verify_many([task, task], ["", r"\boxed{0.75}"])] == [False, True]
    assert pass_at_k(4, 1, 2) == pytest.approx(0.5)
    assert maj_at_k([2, 1], [True, False], 1, 4) == 1.0
    assert callable(load_tasks)


def test_the_reading_of_an_afternoon_is_short():
    shown = re.search(r"An afternoon's reading.*?```\n(.*?)```", README, re.DOTALL)
    assert shown
    files = shown[1].split()
    assert len(files) > 20
    lines = sum(len(Path(file).read_text(encoding="utf-8").splitlines()) for file in files)
    assert lines <= 5000
