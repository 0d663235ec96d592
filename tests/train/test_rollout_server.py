"""TRL's own client and a server that dies, hangs or is not there, without vLLM.

The server draws by the seed of each request, so that a training which goes on with it ends with
the weights of one that was left alone. Its log-probabilities are made up.
"""

import hashlib
import json
import random
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from urllib3.util.retry import Retry

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import select, train

TINY = Path(__file__).parents[1] / "tiny.yaml"
STEPS, TASKS = 8, 4
"""Of an arm; of a step, each of which is a request."""
SHORT = ("arms.random=null", "train.epochs=1", "model={pretrain: {layers: 1, max_steps: 0}}")


class Rollouts:
    """What TRL's client asks of `vllm serve`; `dies_at` and `hangs_at` count its requests."""

    def __init__(self, port: int = 0, dies_at: int = 0, hangs_at: int = 0) -> None:
        self.dies_at, self.hangs_at = dies_at, hangs_at
        self.generations, self.answering = 0, threading.Event()
        self.seeds: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self, {})

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                outer.answer(self, json.loads(self.rfile.read(length) or b"{}"))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a connection cut by us

        self.http = Server(("127.0.0.1", port), Handler)
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        replies: dict[str, Any] = {
            "/v1/models": {"data": [{"id": "m"}]},
            "/server_info?config_format=json": {
                "vllm_config": {"model_config": {"logprobs_mode": "processed_logprobs"}}
            },
        }
        reply = replies.get(request.path, {})
        if request.path == "/v1/completions":
            self.generations += 1
            self.seeds.append(body["seed"])
            if self.generations == self.dies_at:
                self.close()
                request.connection.shutdown(socket.SHUT_RDWR)
                return
            if self.generations == self.hangs_at:
                self.answering.wait()
            reply = completions(body)
        told = json.dumps(reply).encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(told)))
        request.end_headers()
        request.wfile.write(told)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def completions(body: dict[str, Any]) -> dict[str, Any]:
    """Three tokens and the end, by the request's seed and the completion's number, as vLLM."""
    choices = []
    for prompt in body["prompt"]:
        for number in range(body["n"]):
            draws = random.Random(body["seed"] + number)
            ids = [draws.randrange(4, 60) for _ in range(3)] + [1]
            names = [f"token_id:{i}" for i in ids]
            logprobs = {
                "tokens": names,
                "token_logprobs": [-1.0] * 4,
                "top_logprobs": [{name: -1.0} for name in names],
            }
            choices.append({"prompt_token_ids": prompt, "token_ids": ids, "logprobs": logprobs})
    return {"choices": choices}


@pytest.fixture(autouse=True)
def trl_without_vllm(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client as it is, where neither vllm nor NCCL are; its pauses, which are not waited."""
    from trl.generation import vllm_client, vllm_generation

    for module in (vllm_client, vllm_generation):
        monkeypatch.setattr(module, "is_vllm_available", lambda *_, **__: True)
    monkeypatch.setattr(vllm_client.VLLMClient, "init_communicator", lambda self, device: None)
    monkeypatch.setattr(
        vllm_generation.VLLMGeneration,
        "sync_weights",
        lambda self: self.vllm_client.reset_prefix_cache(),
    )
    monkeypatch.setattr("ttc_rl.stages.run.check_extras", lambda recipe: None)
    pauses: list[float] = []
    backoff = Retry.get_backoff_time

    def noted(self: Retry) -> float:
        pauses.append(backoff(self))
        return 0.0

    monkeypatch.setattr(Retry, "get_backoff_time", noted)
    return pauses


def job(folder: Path, url: str, *overrides: str) -> Job:
    rollouts = [
        f"train.vllm={{mode: server, server_base_url: '{url}'}}",
        "train.trl.vllm_importance_sampling_correction=false",
        "train.trl.vllm_server_timeout=0",
        "train.watchdog.stop=[nan]",
    ]
    recipe = load_recipe(TINY, [*rollouts, *overrides])
    made = Job(recipe, RunDir.open(folder, recipe, resume=True))
    select(made)
    return made


def outcome(made: Job) -> list[tuple[list[str], str]]:
    """Tasks in the order they were rolled out, and the weights, of each arm."""
    found = []
    for name in made.recipe.arm_names:
        arm = made.arm(name)[1]
        files = sorted(arm.rollouts.glob("*.parquet"))
        order = [task for file in files for task in pq.read_table(file)["task_id"].to_pylist()]
        weights = (arm.model / "model.safetensors").read_bytes()
        found.append((order, hashlib.sha256(weights).hexdigest()))
    return found


def test_a_server_that_dies_is_one_line_and_the_same_run_goes_on_with_a_new_one(
    cache: Path, tmp_path: Path, trl_without_vllm: list[float]
):
    server = Rollouts(dies_at=TASKS * (STEPS + 4) + 1)  # in the second arm's fifth step
    made = job(tmp_path / "run", server.url)
    says = rf"the server at {server.url} is gone; the last checkpoint is that of step 3; start it"
    with pytest.raises(UserError, match=says) as error:
        train(made)
    assert "\n" not in str(error.value)
    assert len(list(read_jsonl(made.arm("sift")[1].metrics))) == 4
    assert 0 < sum(trl_without_vllm) <= 62 * TASKS  # side by side
    again = Rollouts(server.port)
    train(made)
    assert again.generations == TASKS * (STEPS - 3)
    whole = job(tmp_path / "whole", again.url)
    train(whole)
    again.close()
    assert outcome(made) == outcome(whole)


def test_requests_are_seeded_by_the_recipe_each_with_a_seed_of_its_own(cache: Path, tmp_path: Path):
    server = Rollouts()
    seeds: list[list[int]] = []
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        train(job(tmp_path / name, server.url, f"seed={seed}", *SHORT))
        seeds.append(server.seeds)
        server.seeds = []
    server.close()
    assert sorted(seeds[0]) == sorted(seeds[2])  # the requests of a step go out side by side
    assert not set(seeds[0]) & set(seeds[1])
    assert len(set(seeds[0])) == len(seeds[0]) == TASKS * STEPS // 2


def test_a_server_that_is_not_there_is_one_line(cache: Path, tmp_path: Path):
    server = Rollouts()
    server.close()
    with pytest.raises(UserError, match=r"is gone; the last checkpoint is that of step 0; start"):
        train(job(tmp_path / "run", server.url))


def test_a_server_that_never_answers_is_told_while_training_waits(cache: Path, tmp_path: Path):
    server = Rollouts(hangs_at=TASKS * 2 + 1)
    made = job(tmp_path / "run", server.url, "train.watchdog.stall=2")
    thread = threading.Thread(target=train, args=(made,), daemon=True)
    thread.start()
    arm = made.arm("random")[1]
    while not arm.alarms.exists():
        assert thread.is_alive()
        time.sleep(0.05)
    (row,) = read_jsonl(arm.alarms)
    assert (row["step"], row["alarm"]) == (3, "stall")
    assert thread.is_alive()
    assert "vllm_client.py" in (arm.root / "stall.txt").read_text()
    server.answering.set()  # late: the training goes on, and has told of it once
    thread.join()
    assert len(list(read_jsonl(arm.alarms))) == 1
    assert len(outcome(made)) == 2
    server.close()


WAITING = """
import logging, sys, time
from ttc_rl.config import Recipe
from ttc_rl.train import rollout_server
logger = logging.getLogger("ttc_rl")
logger.addHandler(logging.StreamHandler(sys.stdout))
logger.setLevel(logging.INFO)
rollout_server.EVERY, rollout_server.GRACE = 0.1, 0.5
with rollout_server.server_watched(sys.argv[1], lambda: 6):
    print("waiting", flush=True)
    time.sleep(600)
"""


def test_a_wait_that_nothing_would_end_ends_when_the_server_is_gone():
    server = Rollouts()
    process = subprocess.Popen(
        [sys.executable, "-uc", WAITING, server.url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    with pytest.raises(subprocess.TimeoutExpired):  # as long as the server is there
        process.wait(timeout=1.5)
    server.close()
    said = process.communicate(timeout=60)[0]
    assert said.startswith(f"train.vllm: the server at {server.url} is gone")
    assert "step 6" in said
    assert process.returncode == 2
