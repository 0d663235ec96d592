"""The lock of a run folder, taken by real processes."""

import platform
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from ttc_rl.config import Recipe
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import evaluate
from ttc_rl.system.lock import NAME, evaluating, training, wait_until_free

HOLD = """
import sys, time
from pathlib import Path
from ttc_rl.system.lock import training
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
        "ttc_rl.run_dir.lock.wait_until_free", lambda root: wait_until_free(root, 0.1)
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


def test_an_evaluation_is_alone_or_among_those_that_join(tmp_path: Path):
    code = HOLD.replace("import training", "import evaluating as training")
    for shared, refused in (("True", [False]), ("False", [False, True])):
        held = subprocess.Popen(
            [sys.executable, "-c", code.replace("[1])", f"[1]), shared={shared}"), str(tmp_path)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        for asked in (False, True):
            says = f"process {held.pid} evaluates in this run folder; wait until it has ended"
            expected = pytest.raises(UserError, match=says) if asked in refused else nullcontext()
            with expected, evaluating(tmp_path, shared=asked):
                pass
        with pytest.raises(UserError, match="evaluates in this run folder"):
            wait_until_free(tmp_path, patience=0.1)
        held.kill()
        held.communicate()


def test_a_second_evaluation_is_refused_before_it_draws(tmp_path: Path):
    made = Recipe.model_validate({"model": "m", "corpus": "c", "target": "t"})
    run = RunDir.open(tmp_path / "run", made)
    code = HOLD.replace("import training", "import evaluating as training")
    held = subprocess.Popen(
        [sys.executable, "-c", code.replace("[1])", "[1]), shared=False"), str(run.root)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="evaluates in this run folder"):
        evaluate(Job(made, run))
    held.kill()
    held.communicate()
