"""W&B in its own offline mode: no account, one run id an arm, and the line that uploads it."""

import re
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML
from wandb_records import finished

from ttc_rl.config import Recipe, load_recipe
from ttc_rl.metrics import Estimate
from ttc_rl.run_dir import ArmDir, RunDir, read_jsonl
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import select, train
from ttc_rl.tracking.wandb_run import log_results, log_training, tracked

TINY = Path(__file__).parents[1] / "tiny.yaml"
pytestmark = pytest.mark.filterwarnings("default")  # wandb's own


def recipe(wandb: bool) -> Recipe:
    return Recipe.model_validate(
        {"model": "m", "corpus": "c.jsonl", "target": "t.jsonl", "track": {"wandb": wandb}}
    )


def test_nothing_is_recorded_unless_asked(tmp_path: Path):
    with tracked(recipe(False), tmp_path) as on:
        assert on is False
    assert not list(tmp_path.iterdir())


def test_offline_runs_keep_their_id_and_say_how_to_upload(
    tmp_path: Path, monkeypatch, said: list[str]
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    said.clear()
    for i in range(2):
        time.sleep(1.1 * i)  # the folder's name has the second
        with tracked(recipe(True), tmp_path) as on:
            assert on is True
            log_results({"aime25": {"avg@4": Estimate(0.5, 0.4, 0.6)}})
    run_id = (tmp_path / "wandb_id").read_text()
    folders = sorted((tmp_path / "wandb").glob(f"offline-run-*-{run_id}*"))
    assert len(folders) == 2
    told = " ".join(map(str, folders))
    assert said[-1] == f"W&B recorded offline; to upload: wandb sync {told}"
    assert list(folders[-1].glob("*.wandb"))


def test_what_a_cell_of_a_sweep_leaves_is_logged_under_names_that_wandb_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = ArmDir(tmp_path / f"target=skills-cipher,seed=0 ({'9' * 150})")
    folder.model.mkdir(parents=True)
    folder.curriculum.write_text("")
    (folder.model / "config.json").write_text("{}")
    with tracked(recipe(True), folder.root):
        log_training(folder)
    artifacts = [
        record.request.log_artifact.artifact if record.HasField("request") else record.artifact
        for record in finished(next((folder.root / "wandb").glob("offline-run-*/*.wandb")))
    ]
    logged = [artifact.name for artifact in artifacts if artifact.name]
    refs = [file.ref for artifact in artifacts for file in artifact.manifest.contents]
    assert refs == [  # where they lie: nothing is uploaded
        path.resolve().as_uri() for path in (folder.curriculum, folder.model / "config.json")
    ]
    assert [name.rpartition("-")[2] for name in logged] == ["curriculum", "model"]
    assert all(re.fullmatch(r"target-skills-cipher-seed-0-9+-\w+", name) for name in logged)


def test_a_project_that_wandb_would_refuse_is_refused_with_the_recipe():
    for name in ("a/b", "", "x" * 129):
        with pytest.raises(ValidationError, match=r"track\.project"):
            Recipe.model_validate(
                {"model": "m", "corpus": "c", "target": "t", "track": {"project": name}}
            )


def test_a_run_is_mirrored_with_two_axes_a_table_and_references(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    monkeypatch.setenv("WANDB_RUN_ID", "given123")
    dev = ["train.dev={every: 4, tasks: 4, samples: 1}", "train.epochs=1"]
    recipe = load_recipe(TINY, ["track.wandb=true", "arms.random=null", *dev])
    made = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    select(made)
    train(made)
    folder = made.arm("sift")[1]
    assert (folder.root / "wandb_id").read_text() == "given123"
    rows = [row["tokens/generated"] for row in read_jsonl(folder.metrics)]
    assert rows == sorted(rows)
    assert rows[-1] == sum(sum(pq.read_table(p)["tokens"].to_pylist()) for p in steps_of(folder))
    kinds, keys, metrics = list[str](), set[str](), dict[str, str]()
    for record in finished(next((folder.root / "wandb").glob("offline-run-*/*.wandb"))):
        kinds.append(record.WhichOneof("record_type") or "")
        keys |= {item.key or item.nested_key[0] for item in record.history.item}
        if record.metric.name or record.metric.glob_name:
            metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
    assert {"train/reward", "train/tokens/generated", "eval/dev/avg@1", "rollouts"} <= keys
    assert metrics["eval/dev/*"] == "train/tokens/generated"
    assert kinds.count("artifact") + kinds.count("request") >= 2


def steps_of(folder: ArmDir) -> list[Path]:
    return sorted(folder.rollouts.glob("step-*.parquet"))


def test_the_sweep_that_is_documented_runs_our_command_line():
    sweep = YAML(typ="safe").load(Path("docs/wandb-sweep.yaml").read_text(encoding="utf-8"))
    assert sweep["program"] == "ttc-rl"
    drawn = [f"{key}=0.1" if "noise" in key else f"{key}=120" for key in sweep["parameters"]]
    words = [w for w in sweep["command"][2:] if "$" not in w and w not in ("--run-dir",)]
    recipe = load_recipe(Path(words[0]), [*words[1:], *drawn])
    assert recipe.arm_names == ["sift"]
    assert (recipe.selection.size, recipe.selection.noise) == (120, 0.1)
    assert recipe.train.dev is not None
