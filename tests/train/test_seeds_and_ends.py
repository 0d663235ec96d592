"""Which random numbers rollouts are drawn with, and which tokens end them, by TRL's own code."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import engine_stub
import pyarrow.parquet as pq
import pytest
import torch
from transformers import GenerationConfig

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.run import select, train
from ttc_rl.train.tiny_model import END_ID, PAD_ID

TINY = Path(__file__).parents[1] / "tiny.yaml"
COLOCATED = (
    "train.vllm={mode: colocate}",
    "train.trl.vllm_importance_sampling_correction=false",
    "train.watchdog.stop=[nan]",
)
SHORT = ("arms.random=null", "selection.size=8", "train.epochs=1")
OTHER_ENDS = range(16, 50)
"""Of some eighty tokens, each as likely as any other in a model with random weights."""
RANDOM = "model={pretrain: {layers: 1, max_steps: 0}}"


def trained(folder: Path, *overrides: str) -> Any:
    recipe = load_recipe(TINY, [*SHORT, *overrides])
    made = Job(recipe, RunDir.open(folder, recipe))
    select(made)
    train(made)
    return made.arm("sift")[1]


def rollouts(arm: Any) -> list[dict[str, Any]]:
    files = sorted(arm.rollouts.glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_the_colocated_engine_draws_by_the_recipes_seed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of TRL's own seed, the number of the process, any two recipes would draw the same."""
    engines = engine_stub.install(monkeypatch)
    model = f"model={starting_model(load_recipe(TINY, [RANDOM]))}"
    texts = [
        [row["completion"] for row in rollouts(trained(tmp_path / name, model, *COLOCATED, seed))]
        for name, seed in (("a", "seed=1"), ("b", "seed=2"), ("c", "seed=1"))
    ]
    assert texts[0] == texts[2] != texts[1]
    seeds = [engine["seed"] for engine in engines]
    assert seeds[0] == seeds[2] != seeds[1]
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_each_process_has_a_seed_of_its_own_and_those_of_one_engine_the_same(
    monkeypatch: pytest.MonkeyPatch,
):
    from trl.generation import vllm_generation

    from ttc_rl.train.methods.trl_compat import engine_made_with

    made: list[int] = []
    monkeypatch.setattr(vllm_generation, "LLM", lambda seed: made.append(seed), raising=False)
    plain: Any = vllm_generation.LLM
    for seed in (1, 2):
        with engine_made_with(seed, {}):
            for process in range(4):
                vllm_generation.LLM(seed=process // 2)
    assert vllm_generation.LLM is plain
    assert [made.index(seed) for seed in made] == [0, 0, 2, 2, 4, 4, 6, 6]


@pytest.fixture
def several_ends(cache: Path, tmp_path: Path) -> Path:
    """The tiny model, whose generation config names several end tokens."""
    folder = tmp_path / "several-ends"
    shutil.copytree(starting_model(load_recipe(TINY, [RANDOM])), folder)
    config = GenerationConfig.from_pretrained(folder)
    config.eos_token_id = [END_ID, *OTHER_ENDS]
    config.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_any_end_token_of_the_generation_config_ends_a_completion(
    several_ends: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
):
    """In what is kept, rewarded, logged and masked."""
    from trl.trainer.grpo_trainer import GRPOTrainer

    if engine == "vllm":
        engine_stub.install(monkeypatch)
    masks: list[tuple[list[int], bool]] = []
    loss = GRPOTrainer._compute_loss

    def noted(self: Any, model: Any, inputs: Any) -> torch.Tensor:
        for ids, mask in zip(inputs["completion_ids"], inputs["completion_mask"], strict=True):
            masks.append(([i for i in ids.tolist() if i != PAD_ID], bool(mask.any())))
        return loss(self, model, inputs)

    monkeypatch.setattr(GRPOTrainer, "_compute_loss", noted)
    arm = trained(
        tmp_path / "run", f"model={several_ends}", "train.max_completion_tokens=3",
        "train.trl.mask_truncated_completions=true", "train.malformed=-0.5",
        f"train.trl.generation_kwargs={{suppress_tokens: [{PAD_ID}]}}",
        *(COLOCATED if engine == "vllm" else ()),
    )  # fmt: skip
    rows = rollouts(arm)
    ended = [ids[-1] in (END_ID, *OTHER_ENDS) for ids, _ in masks]
    last = {ids[-1] for ids, _ in masks}
    assert last & set(OTHER_ENDS)
    assert not all(ended)
    assert [learned for _, learned in masks] == ended
    kept = Counter((row["tokens"], row["finish_reason"] == "stop") for row in rows)
    assert kept == Counter(zip((len(ids) for ids, _ in masks), ended, strict=True))
    malformed = [row for row in rows if row["status"] == "no_answer"]
    assert {row["reward"] for row in malformed if row["finish_reason"] == "length"} <= {0.0}
    assert {row["reward"] for row in malformed if row["finish_reason"] == "stop"} <= {-0.5}
    for step in read_jsonl(arm.metrics):
        cut = [row["finish_reason"] == "length" for row in rows if row["step"] == step["step"]]
        assert step["completions/clipped_ratio"] == pytest.approx(sum(cut) / len(cut))


def test_a_seed_among_generation_kwargs_would_draw_a_group_alike(tmp_path: Path):
    with pytest.raises(UserError, match=r"generation_kwargs: seed: .*`seed`; leave it out"):
        load_recipe(TINY, ["train.trl.generation_kwargs={seed: 7}"])
