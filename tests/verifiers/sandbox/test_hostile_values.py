"""Bytes and values that set out to break the grader: each costs its own verdict, quickly."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from ttc_rl import verify_many
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.verifiers import maths, programs
from ttc_rl.verifiers.sandbox import Job, Outcome, Result, Sandbox, Trial, wire
from ttc_rl.verifiers.sandbox.inside import codec
from ttc_rl.verifiers.sandbox.process import Hearing

MERSENNE = 2**61 - 1
"""Whole numbers that differ by it have one hash."""
FORGE = """
import os
def f(n):
    for fd in range(3, 64):
        try: os.write(fd, len(DATA).to_bytes(8, 'big') + DATA)
        except OSError: pass
    os._exit(0)
"""
FORGED = {
    "half a pair": "b'l3\\nFs1\\nXs3\\n\\xed\\xa0\\x80'",
    "a view that is none": "b'l2\\nTvdict_foo\\nl0\\n'",
    "a key of tuples in tuples": "b'l2\\nTS1\\n' + b't1\\n' * 400_000 + b'N'",
    "dicts in dicts": "b'l2\\nT' + b'ndefaultdict\\nl1\\nt2\\nN' * 400_000 + b'N'",
    "a fraction": "b'l2\\nTnFraction\\nl2\\ni' + b'7' * 900_001"
    " + b'\\ni' + b'9' * 900_000 + b'\\n'",
    "a million sets": "b'l2\\nTl1e8480\\n' + b'S0\\n' * 2_000_000",
    "an answer of numbers": "b'l2\\nFi' + b'9' * 9000 + b'\\n'",
    "an empty answer": "b'l0\\n'",
    "no list": "b'N'",
    "a size beyond memory": "b'\\xff' * 64",
}
RAISED = {
    "half a pair in an error": "def f(n): raise ValueError('\\ud800')",
    "half a pair in a key": "def f(n): return {'\\ud800': '\\udfff'}",
    "a signalling NaN": "from decimal import Decimal\ndef f(n): return {1: Decimal('sNaN')}",
    "a key of 5,000 digits": "def f(n): return {10**5000: 2}",
    "beyond floats": "from fractions import Fraction\ndef f(n): return {1: Fraction(10**400)}",
    "a very long name": "def f(n): raise type('X' * 10**6, (Exception,), {})('x')",
}
PROGRAMS = RAISED | {name: f"DATA = {data}\n{FORGE}" for name, data in FORGED.items()}
CHECK = "def check(f):\n    assert f(1) == {'1': 2}"
TESTS: dict[str, dict[str, Any]] = {
    "functional": {"type": "functional", "fn_name": "f", "input": "1", "output": '{"1": 2}'},
    "assert": {"type": "assert", "code": "assert f(1) == {1: 2}"},
    "check": {"type": "check", "code": CHECK, "entry_point": "f"},
}


BOUND = 60
"""Units that a verdict may take: 5 to 30 are seen; keys of one hash once took 130."""


def of_this_processor() -> float:
    """Seconds that ten million steps of a loop take, so that no bound hangs on the machine."""
    began, total = time.process_time(), 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - began


@pytest.mark.parametrize("shape", TESTS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_a_program_returns_costs_its_own_verdict(sandbox: Sandbox, shape: str, name: str):
    task = Task("code", "?", tests=(TESTS[shape],), meta={"time_limit": 2, "memory_mb": 512})
    unit = of_this_processor()
    began = time.process_time()
    verdict = programs.verify(task, f"```python\n{PROGRAMS[name]}\n```\n", sandbox)
    assert time.process_time() - began < BOUND * unit
    assert verdict.correct is False, verdict
    assert len(verdict.reason) < 2000
    json.dumps([verdict.reason, verdict.answer], ensure_ascii=False).encode()


def test_half_a_pair_in_a_completion_is_no_text_to_fail_on(sandbox: Sandbox):
    task = Task("code", "?", tests=({"type": "stdin", "input": "", "output": "a?"},))
    completion = "```python\nprint('a\ud800')\n```"
    (verdict,) = verify_many([task], [completion])
    assert verdict.correct
    assert "\ud800" not in str(verdict.answer)


def _collide(first: int, count: int) -> bytes:
    return b"".join(b"i%x\n" % (n * MERSENNE + first) for n in range(count))


COLLIDING = {
    "one hash": b"S%x\n" % 30_000 + _collide(5, 30_000),
    "half of them": b"S%x\n" % 60_000
    + _collide(5, 30_000)
    + b"".join(b"i%x\n" % n for n in range(10, 30_010)),
    "a dict": b"d%x\n" % 60_000 + _collide(5, 60_000),
    "a view": b"vdict_keys\nl%x\n" % 30_000 + _collide(5, 30_000),
    "items": b"vdict_items\nl%x\n" % 30_000
    + b"".join(b"t2\ni%x\nN" % (n * MERSENNE + 5) for n in range(30_000)),
    "a counter": b"nCounter\nl%x\n" % 30_000
    + b"".join(b"t2\ni%x\nN" % (n * MERSENNE + 5) for n in range(30_000)),
    "many small ones": b"l%x\n" % 100
    + b"".join(b"S%x\n" % 900 + _collide(5, 900) for _ in range(99))
    + b"S%x\n" % 30_000
    + _collide(5, 30_000),
}


@pytest.mark.parametrize("name", COLLIDING)
def test_keys_that_collide_take_a_second_or_two(name: str):
    began = time.thread_time()
    with pytest.raises(codec.Unreadable, match="collide"):
        codec.unpack(COLLIDING[name])
    assert time.thread_time() - began < 4


def test_honest_tables_of_any_size_travel():
    numbers = set(range(0, 600_000, 3))
    table = {(n, str(n)): [n] for n in range(50_000)}
    assert codec.unpack(codec.pack([numbers, table])) == [numbers, table]


STACK = """
from ttc_rl.verifiers.sandbox.inside import codec
for data in (DATA):
    try:
        value = codec.unpack(data)
    except codec.Unreadable:
        pass
    else:
        del value
print("alive")
"""
DEEP = """
    b"S1\\n" + b"t1\\n" * 300_000 + b"N", b"t1\\n" * 900_000 + b"N", b"l1\\n" * 900_000 + b"N",
    b"ndefaultdict\\nl1\\nt2\\nN" * 400_000 + b"N", b"ndeque\\nl2\\nl1\\n" * 400_000 + b"N",
    b"d2\\nN" * 300_000 + b"N", b"I1\\n" * 900_000 + b"N",
    b"vdict_values\\nl1\\n" * 400_000 + b"N", b"Z1\\n" * 300_000 + b"N",
    b"nOrderedDict\\nl1\\nt2\\nN" * 400_000 + b"N", b"nCounter\\nl1\\nt2\\nN" * 400_000 + b"N",
"""


def test_no_depth_overflows_the_stack():
    source = STACK.replace("DATA", DEEP)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("alive\n", 0), done.stderr


@pytest.mark.parametrize(
    "frame",
    [5, [], {}, {"index": 0}, {"index": "x", "status": "ok", "message": "", "cpu": 0.0},
     {"index": 0, "status": "fine", "message": "", "cpu": 0.0, "output": b""},
     {"index": 0, "status": "ok", "message": 5, "cpu": 0.0, "output": b""}],
)  # fmt: skip
def test_a_driver_that_says_something_else_is_an_infra_error(frame: Any):
    hearing = Hearing(Job("", [Trial("stdin")]), lambda result: False)
    parts = [codec.pack({"ready": True}), codec.pack(frame)]
    hearing.read(bytearray(b"".join(len(part).to_bytes(8, "big") + part for part in parts)))
    assert hearing.outcome("x", "").status == "infra_error"


def test_frames_have_a_size():
    hearing = Hearing(Job("", [Trial("stdin")]), lambda result: False)
    hearing.read(bytearray(b"\x7f" + b"\0" * 7))
    assert hearing.over
    assert hearing.outcome("x", "").status == "infra_error"


# --------------------------------------------------------------------------- the last resort


def test_what_breaks_a_verifier_costs_one_verdict(monkeypatch: pytest.MonkeyPatch):
    read = maths._read

    def broken(completion: str, *more: Any) -> Any:
        if "boom" in completion:
            raise ZeroDivisionError("boom \ud800")
        return read(completion, *more)

    monkeypatch.setattr(maths, "_read", broken)
    task = Task("math", "?", "1")
    verdicts = verify_many([task] * 3, ["\\boxed{1}", "boom", "\\boxed{2}"])
    assert [(v.correct, v.status) for v in verdicts] == [
        (True, "ok"), (None, "infra_error"), (False, "ok"),
    ]  # fmt: skip
    assert "ZeroDivisionError: boom ?" in verdicts[1].reason


def test_what_breaks_the_grading_of_a_program_costs_one_verdict(monkeypatch: pytest.MonkeyPatch):
    def run(self: Sandbox, job: Job, stop: Any) -> Outcome:
        if "boom" in job.program:
            raise KeyError("boom")
        stop(Result(0, "ok", b"1"))
        return Outcome((Result(0, "ok", b"1"),), "landlock")

    monkeypatch.setattr(Sandbox, "run", run)
    task = Task("code", "?", tests=({"type": "stdin", "input": "", "output": "1"},))
    texts = [f"```python\nprint({word})\n```" for word in ("1", "'boom'")]
    good, bad = programs.verify_many([task] * 2, texts, Sandbox("landlock"))
    assert good.correct
    assert (bad.correct, bad.status) == (None, "infra_error")


def test_a_missing_sandbox_still_stops_everything(monkeypatch: pytest.MonkeyPatch):
    def none() -> Sandbox:
        raise UserError("none works here")

    monkeypatch.setattr(programs, "default_sandbox", none)
    task = Task("code", "?", tests=({"type": "stdin", "input": "", "output": "1"},))
    with pytest.raises(UserError):
        verify_many([task], ["```python\nprint(1)\n```"])


def test_values_that_cannot_be_compared_are_unequal():
    frame = {"status": "ok", "message": "", "index": 0, "cpu": 0.0}
    answer = codec.pack([False, "E" * 999, "\ud800"])
    output = len(answer).to_bytes(8, "big") + answer
    result = wire.result_of({**frame, "output": output}, "value")
    assert result.raised == "E" * 300 + ": ?"
    assert isinstance(Verdict(False, None, result.raised).reason.encode(), bytes)
