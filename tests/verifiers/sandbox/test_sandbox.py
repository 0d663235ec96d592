"""Choosing a sandbox, limits that the program does not notice, and a server that stands in."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from ttc_rl.schema import UserError
from ttc_rl.verifiers import sandbox as room
from ttc_rl.verifiers.sandbox import (
    BackendStatus,
    Job,
    Limits,
    Sandbox,
    Trial,
    default_sandbox,
    remote,
)
from ttc_rl.verifiers.sandbox.inside import codec

SQUARE = "def f(n):\n    return n * n\nif __name__ == '__main__':\n    print(f(int(input())))"
TRIALS = [
    Trial("stdin", "12\n"),
    Trial("value", "f(12)"),
    Trial("value", "f", [12]),
    Trial("script", secret="assert f(12) == 144"),
    Trial("script", "f", secret="def check(c):\n    assert c(12) == 144"),
]


def test_every_kind_of_trial(sandbox: Sandbox):
    outcome = sandbox.run(Job(SQUARE, TRIALS))
    printed, value, called, script, check = outcome.results
    assert printed.output == b"144\n"
    assert (value.value, called.value) == (144, 144)
    assert (script.passed, check.passed) == (True, True)
    assert outcome.sandbox == sandbox.kind


def test_what_no_honest_program_should_miss(sandbox: Sandbox):
    program = """
import tempfile, random, threading, ctypes, zoneinfo, decimal, sqlite3
open('scratch.txt', 'w').write('x' * 100_000)
print(len(open('scratch.txt').read()), random.SystemRandom().random() < 1)
with tempfile.TemporaryFile() as f: f.write(b'x')
threads = [threading.Thread(target=print, args=(n,)) for n in range(30)]
for t in threads: t.start(); t.join()
"""
    (result,) = sandbox.run(Job(program, [Trial("stdin")])).results
    assert result.status == "ok", result.message
    assert result.output.split() == [b"100000", b"True", *(b"%d" % n for n in range(30))]


def test_hashes_are_the_same_every_time(sandbox: Sandbox):
    job = Job("print(hash('a'), list({'a', 'b', 'c'}))", [Trial("stdin")] * 2)
    first, second = (sandbox.run(job).results for _ in range(2))
    assert first[0].output == first[1].output == second[0].output


def test_results_come_up_to_the_first_that_stops(sandbox: Sandbox):
    trials = [Trial("value", f"f({n})") for n in range(10)]
    outcome = sandbox.run(Job(SQUARE, trials), lambda result: result.value == 9)
    assert [result.value for result in outcome.results] == [0, 1, 4, 9]


def test_large_input_and_output(sandbox: Sandbox):
    text = "1234567 " * 500_000
    job = Job("print(input())", [Trial("stdin", text)])
    (result,) = sandbox.run(job).results
    assert result.output.decode().strip() == text.strip()


def test_files_of_the_user_stay_as_they_are(sandbox: Sandbox):
    job = Job("f(1)", [Trial("stdin")], limits=Limits(seconds=0.5))
    assert sandbox.run(job).results[0].message.startswith("NameError")


# --------------------------------------------------------------------------- choosing


def statuses(monkeypatch: pytest.MonkeyPatch, *working: str) -> None:
    def status(kind: str) -> BackendStatus:
        return BackendStatus(kind, kind in working, "it is broken", "mend it")

    monkeypatch.setattr(room, "_status", status)
    room._chosen.cache_clear()


def test_the_first_that_works_is_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(room.VARIABLE, raising=False)
    statuses(monkeypatch, "http", "landlock")
    assert default_sandbox().kind == "landlock"
    room._chosen.cache_clear()


def test_without_one_nothing_runs_and_each_fix_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(room.VARIABLE, raising=False)
    statuses(monkeypatch, "unsafe-local")
    with pytest.raises(UserError) as caught:
        default_sandbox()
    told = str(caught.value)
    assert told.count("it is broken; mend it") == 3
    assert "TTC_RL_SANDBOX=unsafe-local" in told
    room._chosen.cache_clear()


def test_unsafe_local_only_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(room.VARIABLE, "unsafe-local")
    statuses(monkeypatch, "unsafe-local")
    assert not default_sandbox().confines
    room._chosen.cache_clear()


# --------------------------------------------------------------------------- http


class Fusion(BaseHTTPRequestHandler):
    """SandboxFusion's /run_code, unconfined."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({"path": self.path, **request})
        done = subprocess.run(
            [sys.executable, "-c", request["code"]], input=request["stdin"],
            capture_output=True, text=True, timeout=request["run_timeout"], check=False,
        )  # fmt: skip
        ran = {"status": "Finished", "return_code": done.returncode}
        ran |= {"stdout": done.stdout, "stderr": done.stderr}
        body = json.dumps({"status": "Success", "message": "", "run_result": ran}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def fusion(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    Fusion.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Fusion) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv(remote.VARIABLE, f"http://127.0.0.1:{server.server_port}/")
        yield Fusion.asked
        server.shutdown()
        thread.join()


def test_http_runs_all_trials_in_one_request(fusion: list[dict[str, Any]]):
    outcome = Sandbox("http").run(Job(SQUARE, TRIALS))
    assert outcome.status == "ok", outcome.reason
    printed, value, called, script, check = outcome.results
    assert (printed.output, value.value, called.value) == (b"144\n", 144, 144)
    assert (script.passed, check.passed) == (True, True)
    (asked,) = fusion
    assert asked["path"] == "/run_code"
    assert asked.keys() >= {"code", "language", "run_timeout", "stdin"}


def test_http_programs_end_as_they_do_here(fusion: list[dict[str, Any]]):
    job = Job("while True: pass", [Trial("stdin", seconds=0.5)])
    assert Sandbox("http").run(job).results[0].status == "timeout"
    job = Job("import os; os._exit(0)", [Trial("value", "f(1)")])
    assert Sandbox("http").run(job).results[0].status == "crash"


def test_http_without_an_answer_is_an_infra_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(remote.VARIABLE, "http://127.0.0.1:9")
    outcome = Sandbox("http").run(Job("print(1)", [Trial("stdin")]))
    assert outcome.status == "infra_error"
    assert "127.0.0.1:9" in outcome.reason


@pytest.mark.parametrize("reply", [{}, {"status": "SandboxError"}, {"run_result": {"stdout": "x"}}])
def test_http_with_a_strange_answer_is_an_infra_error(
    monkeypatch: pytest.MonkeyPatch, reply: dict[str, Any]
):
    monkeypatch.setenv(remote.VARIABLE, "http://127.0.0.1:9")
    monkeypatch.setattr(remote, "_post", lambda *arguments: reply)
    assert Sandbox("http").run(Job("print(1)", [Trial("stdin")])).status == "infra_error"


# --------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -1, 10**30, 0.1, float("inf"), 1j, "", "żółw\ud800", b"\x00",
        [], [1, -2], [True, 1], (1,), ((),), {"a": [1]}, {1: {2}}, {1, 2}, frozenset({3}),
        range(5), [0.5, -1e300], (float("inf"), 2.0), [[1, "a"], (2.5, None)],
    ],
)  # fmt: skip
def test_values_travel_as_they_are(value: Any):
    back = codec.unpack(codec.pack(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"i", b"izz\n", b"l5\n", b"lffffffffff\n", b"s9\nabc", b"NN", b"d1\nN",
        b"S1\nl0\n",
        b"f1.0x\n", b"nndarray\nN", b"nFraction\nN", b"ndeque\nr0 ffffffffffff 1\n", b"oNode\nd0\n",
        b"=0\n", b"l-1\n", b"nDecimal\nsx\n", b"vdict_keys\nr0 ffffff 1\n",
    ],
)  # fmt: skip
def test_bytes_that_nobody_packed_are_refused(data: bytes):
    with pytest.raises(codec.Unreadable):
        codec.unpack(data)


def test_integers_have_no_digit_limit():
    assert codec.unpack(codec.pack([10**5000])) == [10**5000]
