"""Whether the hub can be reached is asked once, at once, and said."""

import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
from huggingface_hub import constants

from ttc_rl.system.hub import OFFLINE, hub_is_reachable


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch):
    hub_is_reachable.cache_clear()
    monkeypatch.setenv(OFFLINE, "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setitem(sys.modules, "datasets.config", SimpleNamespace(HF_HUB_OFFLINE=False))
    yield
    hub_is_reachable.cache_clear()


def test_a_machine_without_network_is_noticed_once(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    began = time.monotonic()
    assert not hub_is_reachable()
    assert not hub_is_reachable()
    assert time.monotonic() - began < 3
    assert len(said) == 1
    assert "cannot be reached" in said[0]
    assert "its cache alone is used (HF_HUB_OFFLINE=1)" in said[0]
    assert os.environ[OFFLINE] == "1"
    assert constants.HF_HUB_OFFLINE is True
    assert sys.modules["datasets.config"].HF_HUB_OFFLINE is True


@pytest.mark.parametrize("status", [200, 404])
def test_a_hub_that_answers_is_reachable(
    status: int, monkeypatch: pytest.MonkeyPatch, said: list[str]
):
    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert hub_is_reachable()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert said == []
    assert os.environ[OFFLINE] == "0"


def test_offline_as_asked_asks_nobody(monkeypatch: pytest.MonkeyPatch, said: list[str]):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "ENDPOINT", "http://never.invalid")
    assert not hub_is_reachable()
    assert said == []
