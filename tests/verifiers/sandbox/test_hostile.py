"""Endpoints and HTTP sandboxes that answer in bad faith: in time, bounded, no traceback."""

import base64
import json
import time

import pytest
from hostile_server import hostile

from ttc_rl.config import EngineConfig
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.served import ServedCompleter
from ttc_rl.schema import UserError
from ttc_rl.system.endpoint import Endpoint, Unreachable
from ttc_rl.verifiers.sandbox import Job, Sandbox, Trial, remote

OK = b"HTTP/1.1 200 OK\r\n"


def asked(url: str, seconds: float = 1.0) -> Unreachable:
    endpoint = Endpoint(url, where="eval.engine", timeout=seconds, tries=1)
    (found,) = endpoint.post("chat", [{}], lambda reply: reply)
    assert isinstance(found, Unreachable), found
    return found


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [
        ([OK, *[b"X-A: b\r\n"] * 90], 0.1),  # headers that trickle
        ([b"HTTP/1.1 100 Continue\r\n\r\n"] * 300, 0.02),
        ([OK + b"Connection: close\r\n\r\n", *[b"{"] * 90], 0.1),  # a body that trickles
        ([OK + b"Content-Length: 99\r\n\r\n", *[b"{"] * 90], 0.1),
        ([b""] * 60, 0.1),  # nothing at all
    ],
)
def test_a_slow_answer_ends_with_its_time(pieces: list[bytes], pause: float):
    with hostile(pieces, pause) as url:
        began = time.monotonic()
        assert "took too long" in asked(url).reason or "timed out" in asked(url).reason
        assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 No\r\nRetry-After: \xb2\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 No\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: \xb2\r\n\r\nx",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\xb2\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nx\r\n",
        OK + b"A: b\r\n" * 200 + b"\r\n{}",
        OK + b"A: " + b"b" * 70_000,
        b"HTTP/9.9 \xb2\xb2\xb2 x\r\n\r\n",
        b"\x00" * 1000,
        OK + b"Content-Length: 8\r\n\r\n" + b"[" * 8,
        OK + b"\r\n" + b"[" * (5 << 20),
    ],
)
def test_a_malformed_answer_is_a_lost_request(answer: bytes):
    with hostile([answer]) as url:
        assert asked(url).reason.startswith(f"{url}: ")


def test_an_address_where_nothing_answers_is_told_before_the_work_starts():
    with hostile([]) as url:
        pass  # nothing listens there any more
    config = EngineConfig(backend="endpoint", url=f"{url}/v1", served={"base": "m"})
    began = time.monotonic()
    with pytest.raises(UserError, match=r"eval\.engine: http.*: nothing answers there"):
        ServedCompleter.connect("m", Decoding(9), {}, config)
    assert time.monotonic() - began < 2


def frames(*bodies: bytes) -> str:
    return base64.b64encode(b"".join(len(b).to_bytes(8, "big") + b for b in bodies)).decode()


@pytest.mark.parametrize(
    "reply",
    [
        None,
        [],
        "x",
        {"run_result": []},
        {"run_result": "x"},
        {"run_result": {"stdout": 3}},
        {"run_result": {"stdout": ["x"]}},
        {"run_result": {"stdout": frames(b"nonsense")}},
        {"run_result": {"stdout": frames(b"")}},
        {"run_result": {"stdout": "\ud800"}},
        {"run_result": {"stderr": {"a": 1}}},
        {"message": 3},
    ],
)
def test_a_sandbox_that_answers_nonsense_is_an_infra_error(
    monkeypatch: pytest.MonkeyPatch, reply: object
):
    body = json.dumps(reply).encode()
    with hostile([OK + b"Content-Length: %d\r\n\r\n" % len(body) + body]) as url:
        monkeypatch.setenv(remote.VARIABLE, url)
        outcome = Sandbox("http").run(Job("print(1)", [Trial("stdin")]))
    assert outcome.status == "infra_error"
    assert outcome.reason


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"\r\n\xff\xfe",
        OK + b"\r\n" + b"[" * 100_000,
        b"nonsense\r\n\r\n",
        OK + b"\r\n" + b" " * 3000,
    ],
)
def test_a_sandbox_whose_answer_is_no_json_or_too_much_is_an_infra_error(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
):
    monkeypatch.setattr(remote, "MAX_BYTES", 2000)
    with hostile([answer]) as url:
        monkeypatch.setenv(remote.VARIABLE, url)
        outcome = Sandbox("http").run(Job("print(1)", [Trial("stdin")]))
    assert outcome.status == "infra_error"
    assert url in outcome.reason
