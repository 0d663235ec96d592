"""An engine's process and the one that started it: who ends with whom, by kill -9."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import psutil
import pytest

from ttc_rl.system.tether import LAUNCH, SPAWN, engine_follows, follow_launch

ROOT = Path(__file__).parents[2]
STARTS_AN_ENGINE = """
import contextlib, multiprocessing, os, sys, time
from ttc_rl.system.tether import engine_follows, follow_launch

def engine():  # as vLLM's calls the plugins
    follow_launch()
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    with engine_follows() if sys.argv[1] == "follows" else contextlib.nullcontext():
        multiprocessing.get_context("spawn").Process(target=engine).start()
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("follows", [True, False], ids=["follows", "as vLLM alone"])
def test_an_engine_ends_with_the_process_that_started_it(tmp_path: Path, follows: bool):
    script = tmp_path / "starts.py"
    script.write_text(STARTS_AN_ENGINE, encoding="utf-8")
    word = "follows" if follows else "alone"
    command = [sys.executable, str(script), word]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        engine = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([engine], timeout=10 if follows else 1)
    try:
        assert bool(alive) != follows
    finally:
        for one in alive:
            one.kill()


def test_vllm_calls_it_by_the_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (plugin,) = project["entry-points"]["vllm.general_plugins"].values()
    assert plugin == f"{follow_launch.__module__}:{follow_launch.__name__}"


def test_the_environment_is_as_it_was(monkeypatch: pytest.MonkeyPatch):
    (method,) = SPAWN
    monkeypatch.setenv(LAUNCH, "1")
    monkeypatch.delenv(method, raising=False)
    with engine_follows():
        assert (os.environ[LAUNCH], os.environ[method]) == (str(os.getpid()), "spawn")
        follow_launch()  # in the process itself, where vLLM calls the plugins too: nothing happens
    assert os.environ[LAUNCH] == "1"
    assert method not in os.environ
