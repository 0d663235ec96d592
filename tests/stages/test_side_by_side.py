"""Experts trained by several processes at once are those that one process trains in turn."""

import json
from pathlib import Path

import pytest

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages import side_by_side
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import select, train

TINY = Path(__file__).parents[1] / "tiny.yaml"


def job(folder: Path, processes: int, *keys: str) -> Job:
    arms = {"random": None, "sift": None, "each": {"experts": {"groups": 3}}}
    recipe = load_recipe(
        TINY,
        [
            f"arms={json.dumps(arms)}", f"arms.each.experts.processes={processes}",
            "model={pretrain: {layers: 1, max_steps: 0}}", "train.lora={rank: 2}",
            "selection.size=8", "train.epochs=1", "train.reward=format", *keys,
        ],
    )  # fmt: skip
    made = Job(recipe, RunDir.open(folder, recipe, resume=True))
    select(made)
    return made


def test_experts_side_by_side_are_those_trained_in_turn(cache: Path, tmp_path: Path):
    turn, beside = job(tmp_path / "turn", 1), job(tmp_path / "beside", 2)
    for made in (turn, beside):
        train(made)
    assert len(turn.parts) == 3
    for part in turn.parts:
        one, other = (made.arm(part)[1] for made in (turn, beside))
        adapters = [folder.adapter / "adapter_model.safetensors" for folder in (one, other)]
        assert adapters[0].read_bytes() == adapters[1].read_bytes()
        assert len(list(read_jsonl(other.metrics))) == 2
        assert (other.root / "train.log").exists()
    assert beside.trained("each")


def test_a_process_that_fails_is_one_line_and_the_others_go_on_when_asked_again(
    cache: Path, tmp_path: Path
):
    made = job(tmp_path / "run", 2)
    broken = made.arm("each/e1")[1].curriculum
    text = broken.read_text(encoding="utf-8")
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"each/e1: ended with 2; see .*e1/train\.log"):
        side_by_side.train_side_by_side(made, made.parts)
    broken.write_text(text, encoding="utf-8")
    train(made)
    assert made.trained("each")


def test_what_cannot_be_side_by_side_is_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = job(tmp_path / "run", 2, "train.vllm={mode: server, server_base_url: 'http://x'}")
    with pytest.raises(UserError, match="one server holds the weights of one training"):
        side_by_side.train_side_by_side(made, made.parts)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="leave it out of a launch"):
        side_by_side.train_side_by_side(made, made.parts)
