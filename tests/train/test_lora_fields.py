"""peft's other LoRA fields: the model left is the one that was trained, whatever they are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.run import select, train
from ttc_rl.train import loop

TINY = Path(__file__).parents[1] / "tiny.yaml"
SHORT = (
    "model={pretrain: {layers: 1, max_steps: 0}}", "arms.random=null", "selection.size=8",
    "train.epochs=1", "train.trl.learning_rate=1e-2", "train.reward=format",
)  # fmt: skip
IDS = torch.arange(4, 24)[None]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


@pytest.mark.parametrize(
    "peft",
    [
        "{use_dora: true}",
        "{use_rslora: true, rank_pattern: {q_proj: 2}, alpha_pattern: {q_proj: 8}}",
        "{init_lora_weights: gaussian, exclude_modules: [down_proj]}",
        "{modules_to_save: [norm]}",
    ],
)
def test_the_model_left_is_the_one_that_was_trained(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peft: str
):
    recipe = load_recipe(TINY, [*SHORT, f"train.lora={{rank: 4, peft: {peft}}}"])
    made = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    seen: list[torch.Tensor] = []
    save = loop._save_model

    def looking(trainer: Any, *given: Any) -> None:
        seen.append(logits(trainer.model))
        save(trainer, *given)

    monkeypatch.setattr(loop, "_save_model", looking)
    select(made)
    train(made)
    left = logits(AutoModelForCausalLM.from_pretrained(made.arm("sift")[1].model))
    base = logits(AutoModelForCausalLM.from_pretrained(starting_model(recipe)))
    assert torch.allclose(left, seen[0], atol=1e-4)
    assert not torch.allclose(left, base, atol=1e-3)
