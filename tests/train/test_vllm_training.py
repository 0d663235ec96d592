"""GRPO with rollouts by a real vLLM in the trainer's process; skipped where there is no vllm.

On a machine without a GPU this is vLLM's CPU build, with one change: its linear layers keep the
weights that TRL writes into, where they would otherwise hold a packed copy of the first ones.
"""

import functools
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.run import select, train

pytest.importorskip("vllm")
pytestmark = pytest.mark.filterwarnings("default")  # vLLM's own

TINY = Path(__file__).parents[1] / "tiny.yaml"
GAP = "sampling/sampling_logp_difference/mean"
ASKED = ["train.vllm={mode: colocate}", "train.trl.vllm_max_model_length=64"]
RATE = "train.trl.learning_rate=1e-2"
"""So large that weights which do not arrive are seen after one step."""


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        return
    import trl.generation.vllm_generation as generation
    import vllm.model_executor.layers.utils as layers

    def live(layer: torch.nn.Module, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    monkeypatch.setattr(layers, "dispatch_cpu_unquantized_gemm", live)
    plain = functools.partial(generation.LLM, enforce_eager=True, dtype="float32")
    monkeypatch.setattr(generation, "LLM", plain)
    for name, value in {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_USE_AOT_COMPILE": "0",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "TORCHDYNAMO_DISABLE": "1",
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": os.environ.get("MASTER_PORT", "29513"),
    }.items():
        monkeypatch.setenv(name, value)


def job(folder: Path, *overrides: str) -> Job:
    recipe = load_recipe(TINY, [*ASKED, *overrides])
    made = Job(recipe, RunDir.open(folder, recipe))
    select(made)
    return made


@pytest.mark.parametrize("trained", ["", "train.lora={rank: 4}", "train.svf={}"])
def test_the_sampler_has_the_weights_that_were_trained(tmp_path: Path, cache: Path, trained: str):
    """Of an adapter those that it is merged into."""
    keys = [trained] if trained else []
    made = job(tmp_path / "run", RATE, "train.watchdog.stop=[drift, unmoved, nan]", *keys)
    train(made)
    rows = list(read_jsonl(made.arm("sift")[1].metrics))
    assert len(rows) == 8
    assert max(row["grad_norm"] for row in rows) > 0
    assert max(row[GAP] for row in rows) < 1e-3
    assert not made.arm("sift")[1].alarms.exists()


def test_weights_that_do_not_arrive_stop_the_run(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    from trl.generation.vllm_generation import VLLMGeneration

    monkeypatch.setattr(VLLMGeneration, "sync_weights", lambda self: None)
    made = job(tmp_path / "run", RATE)
    with pytest.raises(UserError, match="stopped by the watchdog, drift at step"):
        train(made)


def test_rollouts_are_those_of_the_recipes_seed(tmp_path: Path, cache: Path):
    """Two seeds draw different ones, the same seed the same."""
    model = f"model={starting_model(load_recipe(TINY))}"
    drawn: list[list[str]] = []
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        made = job(tmp_path / name, model, f"seed={seed}", "train.epochs=1", "arms.random=null")
        train(made)
        files = sorted(made.arm("sift")[1].rollouts.glob("*.parquet"))
        drawn.append([text for f in files for text in pq.read_table(f)["completion"].to_pylist()])
    assert drawn[0] == drawn[2]
    assert drawn[0] != drawn[1]


def test_more_arguments_reach_the_engine(tmp_path: Path, cache: Path):
    """One that the engine would refuse ends the training."""
    made = job(tmp_path / "run", "train.vllm.engine={max_num_batched_tokens: 1}")
    with pytest.raises(ValueError, match="max_num_batched_tokens"):
        train(made)
