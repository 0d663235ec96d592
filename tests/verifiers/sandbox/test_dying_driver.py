"""A driver that dies: while a program runs it is the program's crash, else an error of ours."""

import pytest

from ttc_rl.verifiers.sandbox import Job, Limits, Sandbox, Trial
from ttc_rl.verifiers.sandbox.inside import codec
from ttc_rl.verifiers.sandbox.process import Hearing

LIMITS = Limits(seconds=1, memory_mb=256)
DEEP = """
import os, time
for _ in range(30):
    try:
        os.mkdir("x" * 250)
        os.chdir("x" * 250)
    except OSError:
        break
    open("y" * 250, "w").write("y")
time.sleep(0.3)
"""


def test_a_path_too_long_to_look_at_is_the_programs_fault(sandbox: Sandbox):
    outcome = sandbox.run(Job(DEEP, [Trial("stdin")], limits=LIMITS))
    assert outcome.status == "ok", outcome.reason
    (result,) = outcome.results
    assert result.status in ("ok", "crash")


def heard(*frames: dict[str, object]) -> Hearing:
    hearing = Hearing(Job("", [Trial("stdin"), Trial("stdin")]), lambda result: False)
    parts = [codec.pack(frame) for frame in frames]
    hearing.read(bytearray(b"".join(len(part).to_bytes(8, "big") + part for part in parts)))
    return hearing


RESULT = {"index": 0, "status": "ok", "message": "", "cpu": 0.1, "output": b""}


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        ([{"ready": True}], "infra_error"),
        ([{"ready": True}, {"started": True}], "ok"),
        ([{"ready": True}, {"started": True}, RESULT], "infra_error"),
        ([{"ready": True}, {"started": True}, RESULT, {"started": True}], "ok"),
    ],
)
def test_words_count_against_whoever_ran(frames: list[dict[str, object]], status: str):
    outcome = heard(*frames).outcome("x", "Traceback\nOSError: [Errno 36] File name too long")
    assert outcome.status == status
    if status == "ok":
        assert outcome.results[-1].status == "crash"
        assert "File name too long" in outcome.results[-1].message


NAPS = """
import time
while True:
    time.sleep(0.04)
    end = time.thread_time() + 0.002
    while time.thread_time() < end: pass
"""


def test_short_naps_are_no_busy_machine(sandbox: Sandbox):
    limits = Limits(seconds=0.5, memory_mb=256)
    (result,) = sandbox.run(Job(NAPS, [Trial("stdin")], limits=limits)).results
    assert result.status == "timeout", result.message
