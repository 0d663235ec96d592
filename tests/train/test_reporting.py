"""TensorBoard through `train.trl.report_to`, read back with its own reader; Trackio where it is."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, TensorBoardCallback

from ttc_rl.config import load_recipe
from ttc_rl.config.trl_fields import integrations
from ttc_rl.run_dir import ArmDir, RunDir, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job, check_extras
from ttc_rl.stages.run import select, train
from ttc_rl.tracking.wandb_run import run_name
from ttc_rl.train.curriculum import plan
from ttc_rl.train.methods import grpo_reward as ledger
from ttc_rl.train.methods.grpo_config import grpo_config
from ttc_rl.train.reporting import own_reporters

TINY = Path(__file__).parents[1] / "tiny.yaml"
DEV = "train.dev={every: 4, tasks: 4, samples: 1}"


def job(folder: Path, *overrides: str) -> Job:
    recipe = load_recipe(TINY, ["arms.random=null", *overrides])
    return Job(recipe, RunDir.open(folder, recipe, resume=True))


@pytest.mark.filterwarnings("default")  # tensorboard's own
def test_tensorboard_has_every_step_once_also_after_a_kill(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = job(tmp_path / "run", "train.trl.report_to=[tensorboard]", DEV)
    select(made)
    folder, write = made.arm("sift")[1], ledger._write_rollouts
    with monkeypatch.context() as patched:

        def killed(to: Path, step: int, rollouts: Any, redrawn: int) -> None:
            if step == 6:
                raise KeyboardInterrupt
            write(to, step, rollouts, redrawn)

        patched.setattr(ledger, "_write_rollouts", killed)
        with pytest.raises(KeyboardInterrupt):
            train(made)
    train(made)
    assert not folder.checkpoints.exists()
    assert len(list(folder.tensorboard.iterdir())) == 2
    events = EventAccumulator(str(folder.tensorboard)).Reload()
    rows = list(read_jsonl(folder.metrics))
    for name in ("reward", "curriculum/no_answer_rate", "tokens/generated", "time/verify"):
        read = {event.step: event.value for event in events.Scalars(f"train/{name}")}
        assert read == pytest.approx({row["step"]: row[name] for row in rows})
        assert len(events.Scalars(f"train/{name}")) == 8
    dev = {event.step: event.value for event in events.Scalars("eval/dev/avg@1")}
    assert dev == pytest.approx({row["step"]: row["avg@1"] for row in read_jsonl(folder.dev)})


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("tensorbord", "no integration 'tensorbord'; did you mean tensorboard?"),
        ("[tensorboard, all]", "no integration 'all'"),
        ("wandb", "set track.wandb instead"),
    ],
)
def test_what_is_misspelt_is_told_when_the_recipe_is_read(asked: str, told: str):
    with pytest.raises(UserError, match=r"train\.trl\.report_to") as raised:
        load_recipe(TINY, [f"train.trl.report_to={asked}"])
    assert told in str(raised.value)


def test_the_integrations_read_from_source_are_those_of_transformers():
    assert integrations() == frozenset(INTEGRATION_TO_CALLBACK)


def test_what_is_not_installed_is_told_before_anything_is_done(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "swanlab" else object()
    )
    recipe = load_recipe(TINY, ["arms.sift.train.trl.report_to=swanlab"])
    with pytest.raises(UserError, match="report_to: swanlab is not installed: pip install swanlab"):
        check_extras(recipe)


def test_nothing_is_reported_where_none_is_asked():
    assert load_recipe(TINY, ["train.trl.report_to=none"]).train.report_to == []
    assert load_recipe(TINY, ["train.trl.report_to=trackio"]).train.report_to == ["trackio"]


def test_an_arms_name_says_whose_it_is(tmp_path: Path):
    assert run_name(tmp_path / "aime" / "arms" / "sift") == "aime-sift"
    assert run_name(tmp_path / "aime") == "aime"


@pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is not installed")
@pytest.mark.filterwarnings("default")
def test_trackio_keeps_its_database_in_the_run(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    made = job(tmp_path / "run", "train.trl.report_to=[trackio]", "train.epochs=1", DEV)
    select(made)
    train(made)
    import trackio

    assert list((tmp_path / "run" / "trackio").glob("*"))
    logged = trackio.Api().runs("ttc-rl")
    assert [run.name for run in logged] == ["run-sift"]


def test_wandb_and_the_others_are_told_to_trl_and_tensorboard_is_ours(tmp_path: Path):
    recipe = load_recipe(TINY, ["train.trl.report_to=[tensorboard, mlflow]"])
    made = grpo_config(recipe, plan(list("abcd"), recipe.train).steps, ArmDir(tmp_path), track=True)
    assert made.report_to == ["wandb", "mlflow"]
    assert (made.run_name, made.project) == (tmp_path.name, "ttc-rl")
    (ours,) = own_reporters(recipe.train, ArmDir(tmp_path), 0)
    assert isinstance(ours, TensorBoardCallback)
    ours.tb_writer.close()
    assert list((tmp_path / "tensorboard").iterdir())
