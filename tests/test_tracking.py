"""W&B in its own offline mode: no account, one run id an arm, and the line that uploads it."""

from pathlib import Path

import pytest

from ttc_rl.config import Recipe
from ttc_rl.tracking import log_results, tracked

pytestmark = pytest.mark.filterwarnings("default")  # wandb's own


def recipe(wandb: bool) -> Recipe:
    return Recipe.model_validate(
        {"model": "m", "corpus": "c.jsonl", "target": "t.jsonl", "track": {"wandb": wandb}}
    )


def test_nothing_is_recorded_unless_asked(tmp_path: Path):
    with tracked(recipe(False), tmp_path, pytest.fail) as on:
        assert on is False
    assert not list(tmp_path.iterdir())


def test_offline_runs_keep_their_id_and_say_how_to_upload(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    said: list[str] = []
    for _ in range(2):
        with tracked(recipe(True), tmp_path, said.append) as on:
            assert on is True
            log_results({"aime25": {"avg@4": {"value": 0.5, "lo": 0.4, "hi": 0.6}}})
    run_id = (tmp_path / "wandb_id").read_text()
    folders = sorted((tmp_path / "wandb").glob(f"offline-run-*-{run_id}*"))
    assert said[-1] == f"W&B recorded offline; to upload: wandb sync {folders[-1]}"
    assert list(folders[-1].glob("*.wandb"))
