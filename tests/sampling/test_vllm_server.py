"""GRPO with rollouts by a real `vllm serve`, as `ttc-rl launch` starts one; skipped without vllm.

Its CPU build takes the command that we render but for the port, and wants three arguments more:
`--dtype float32 --enforce-eager --max-model-len`. What NCCL does on GPUs is replaced here: weights
go through a folder that the server loads again. The CPU build keeps a packed copy of a tied output
layer when it does, so that the model is untied.
"""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from ttc_rl.config import Recipe, load_recipe
from ttc_rl.launch import serve
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.run import select, train

pytest.importorskip("vllm")
pytestmark = [
    pytest.mark.filterwarnings("default"),  # vLLM's own
    pytest.mark.skipif(torch.cuda.is_available(), reason="weights go as vLLM's CPU build needs it"),
]

TINY = Path(__file__).parents[1] / "tiny.yaml"
GAP = "sampling/sampling_logp_difference/mean"
RATE = "train.trl.learning_rate=1e-2"
"""So large that weights which do not arrive are seen after one step."""


@pytest.fixture(scope="module")
def untied(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base model with an output layer of its own, which starts as the embedding."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = starting_model(load_recipe(TINY))
    tied = AutoModelForCausalLM.from_pretrained(base)
    weights = {name: weight.clone() for name, weight in tied.state_dict().items()}
    tied.config.tie_word_embeddings = False
    model = type(tied)(tied.config)
    model.load_state_dict(weights)
    model.generation_config = tied.generation_config
    folder = tmp_path_factory.mktemp("untied")
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


def recipe(model: Path, url: str, *overrides: str) -> Recipe:
    vllm = f"train.vllm={{mode: server, server_base_url: '{url}'}}"
    return load_recipe(TINY, [f"model={model}", vllm, *overrides])


class Server:
    """`vllm serve` of a model, at a port of its own, in a process group of its own."""

    def __init__(self, model: Path, folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.model, self.folder = model, folder
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        rendered = serve(recipe(self.model, self.url))
        rendered[rendered.index("--port") + 1] = str(self.port)
        program = str(Path(sys.executable).with_name(rendered[0]))
        here = ["--dtype", "float32", "--enforce-eager", "--max-model-len", "64"]
        newer = ["--enable-scale-out"]  # as slurm_server.sh adds it from vLLM 0.30 on
        return [program, *rendered[1:], *newer, *here]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(named_vllm(self.folder)),
            "VLLM_SERVER_DEV_MODE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "TORCHDYNAMO_DISABLE": "1",
        }

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), stdout=log, stderr=log, process_group=0
            )
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            time.sleep(0.2)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9, its engine's process too."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def named_vllm(folder: Path) -> Path:
    """The CPU build is distributed as vllm-cpu, but its command line looks for vllm."""
    try:
        version("vllm")
    except PackageNotFoundError:
        told = f"{version('vllm-cpu')}+cpu"
        info = folder / "named" / f"vllm-{told}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {told}\n")
    return folder / "named"


@pytest.fixture(scope="module")
def server(untied: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(untied, tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def through_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of NCCL, which needs a CUDA device."""
    from trl.generation.vllm_client import VLLMClient
    from trl.generation.vllm_generation import VLLMGeneration

    def sync_weights(self: Any) -> None:
        self.model.save_pretrained(tmp_path / "weights")
        asked = {"method": "reload_weights", "kwargs": {"weights_path": str(tmp_path / "weights")}}
        self.vllm_client._post(f"{self.vllm_client.base_url}/collective_rpc", json=asked)
        self.vllm_client.reset_prefix_cache()

    monkeypatch.setattr(VLLMClient, "init_communicator", lambda self, device: None)
    monkeypatch.setattr(VLLMGeneration, "sync_weights", sync_weights)


def job(folder: Path, server: Server, *overrides: str) -> Job:
    made = recipe(server.model, server.url, *overrides)
    found = Job(made, RunDir.open(folder, made, resume=True))
    select(found)
    return found


def test_the_server_samples_with_the_weights_that_were_trained(server: Server, tmp_path: Path):
    made = job(tmp_path / "run", server, RATE, "train.watchdog.stop=[drift, unmoved, nan]")
    train(made)
    arm = made.arm("sift")[1]
    rows = list(read_jsonl(arm.metrics))
    assert len(rows) == 8
    assert max(row["grad_norm"] for row in rows) > 0
    assert max(row[GAP] for row in rows) < 1e-3
    assert not arm.alarms.exists()


def test_weights_that_do_not_reach_the_server_stop_the_run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from trl.generation.vllm_generation import VLLMGeneration

    sync, done = VLLMGeneration.sync_weights, []

    def once(self: Any) -> None:
        if not done:
            done.append(sync(self))

    monkeypatch.setattr(VLLMGeneration, "sync_weights", once)
    made = job(tmp_path / "run", server, RATE)
    with pytest.raises(UserError, match=r"stopped by the watchdog, drift at step [2-9]"):
        train(made)


def outcome(made: Job) -> tuple[list[str], str]:
    arm = made.arm("sift")[1]
    files = sorted(arm.rollouts.glob("*.parquet"))
    order = [task for file in files for task in pq.read_table(file)["task_id"].to_pylist()]
    weights = (arm.model / "model.safetensors").read_bytes()
    return order, hashlib.sha256(weights).hexdigest()


def test_a_server_killed_in_training_is_one_line_and_its_next_one_ends_the_run_the_same(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same weights: each request carries a seed; vLLM's own alone does not repeat."""
    from urllib3.util.retry import Retry

    whole = job(tmp_path / "whole", server)
    train(whole)
    made = job(tmp_path / "run", server)
    metrics = made.arm("sift")[1].metrics

    def killer() -> None:
        while len(list(read_jsonl(metrics))) < 4:
            time.sleep(0.01)
        server.kill()

    backoff = Retry.get_backoff_time  # a minute, all together: a tenth is enough to be refused
    monkeypatch.setattr(Retry, "get_backoff_time", lambda self: backoff(self) / 10)
    watching = threading.Thread(target=killer, daemon=True)
    watching.start()
    says = f"the server at {server.url} is gone; the last checkpoint is that of step [36]; start"
    with pytest.raises(UserError, match=says):
        train(made)
    watching.join()
    server.start()
    train(made)
    assert outcome(made) == outcome(whole)
