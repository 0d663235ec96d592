"""The lock of a run folder, taken by real processes."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ttc_rl.config import Recipe
from ttc_rl.run_dir import RunDir
from ttc_rl.run_lock import NAME, training, wait_until_free
from ttc_rl.schema import UserError

HOLD = """
import sys, time
from pathlib import Path
from ttc_rl.run_lock import training
with training(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_training_is_refused_until_the_first_is_killed(
    holder: "subprocess.Popen[str]", tmp_path: Path
):
    says = f"process {holder.pid} trains in this run folder"
    with pytest.raises(UserError, match=says), training(tmp_path):
        pass
    with pytest.raises(UserError, match=says):
        wait_until_free(tmp_path, patience=0.1)
    holder.kill()
    wait_until_free(tmp_path)  # at once, or a little later
    with training(tmp_path):
        pass


def test_a_run_in_training_is_not_overwritten(
    holder: "subprocess.Popen[str]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = Recipe.model_validate({"model": "m", "corpus": "c", "target": "t"})
    (tmp_path / "recipe.yaml").write_text("seed: 0\n")
    (tmp_path / "summary.json").write_text("{}")
    monkeypatch.setattr(
        "ttc_rl.run_dir.run_lock.wait_until_free", lambda root: wait_until_free(root, 0.1)
    )
    with pytest.raises(UserError, match="trains in this run folder"):
        RunDir.open(tmp_path, recipe, overwrite=True)
    assert (tmp_path / "recipe.yaml").exists()


def test_a_lock_of_another_machine_is_not_heeded(
    holder: "subprocess.Popen[str]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert (tmp_path / NAME).read_text() == f"{holder.pid} {platform.node()}"
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    with training(tmp_path):
        wait_until_free(tmp_path, patience=0)
