"""Programs as models write them, deep values, and machines that are busy."""

import pytest

from ttc_rl.schema import Task
from ttc_rl.verifiers import programs
from ttc_rl.verifiers.program_output import same_text, same_value
from ttc_rl.verifiers.program_text import read_program
from ttc_rl.verifiers.sandbox import probe, wire
from ttc_rl.verifiers.sandbox.inside import codec

PROGRAM = "a = 1\nprint(a)"
STDIN = Task("code", "?", tests=({"type": "stdin", "input": "", "output": "1"},))
NODES = """
class Cell:
    def __init__(self, value, after=None):
        self.value, self.after = value, after
def chain(count):
    cell = None
    for value in range(count):
        cell = Cell(value, cell)
    return cell
"""
WORKING = [status.name for status in probe() if status.works]


@pytest.mark.parametrize(
    "reply",
    [
        f"```python\n{PROGRAM}```",
        f"```python\n{PROGRAM}\n```<|im_end|>",
        f"```py\n{PROGRAM}\n```</s>",
        "> ```python\n> a = 1\n> print(a)\n> ```",
        f"\ufeff{PROGRAM}",
        f"```{{.python .lines}}\n{PROGRAM}\n```",
        f"<answer>\n{PROGRAM}\n</answer>",
        f"<answer>```python\n{PROGRAM}\n```</answer>",
        f"Sure: ```python\n{PROGRAM}\n```",
        f"[BEGIN]\n{PROGRAM}\n[DONE]",
        f"{PROGRAM}\n\nThis prints one.",
        f"```python\n{PROGRAM}\n```\nRun it:\n```python\n# python one.py\n```",
    ],
)
def test_replies_that_hold_a_program(reply: str):
    assert (read_program(STDIN, reply) or "").strip() == PROGRAM


@pytest.mark.parametrize("reply", ["I think so.", "No code here.\n\nNone at all.", "<answer>"])
def test_words_are_no_program(reply: str):
    assert read_program(STDIN, reply) is None


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("007", "7", False),
        ("7", "007", False),
        ("-01", "-1", False),
        ("0.5 2000000000", "0.5 2000000001.0", False),
        ("0.5 2", "0.5000001 2.0", True),
        ("0", "-0.0", True),
    ],
)
def test_zeros_in_front_are_text_and_whole_numbers_exact(expected: str, actual: str, same: bool):
    assert same_text(expected, actual) is same


def test_values_travel_and_are_compared_however_deep_they_are():
    deep: list = [1]
    for _ in range(50_000):
        deep = [deep]
    there = codec.unpack(codec.pack(deep))
    assert same_value(deep, there)
    there_too = codec.unpack(codec.pack({"x": [(1, 2.5), {3}, b"z"], "y": {"z": None}}))
    assert there_too == {"x": [(1, 2.5), {3}, b"z"], "y": {"z": None}}


needs_sandbox = pytest.mark.skipif(not WORKING, reason="no sandbox works on this machine")


@needs_sandbox
def test_a_long_chain_of_objects_reaches_the_program():
    check = "def check(candidate):\n    assert candidate(chain(4000)) == 4000\n"
    task = Task(
        "code",
        "?",
        tests=({"type": "check", "entry_point": "length", "code": check},),
        meta={"preamble": NODES, "entry_point": "length"},
    )
    program = (
        "def length(cell):\n    n = 0\n    while cell:\n        n += 1\n        cell = cell.after\n"
    )
    program += "    return n"
    assert programs.verify(task, f"```python\n{program}\n```").correct is True


@needs_sandbox
@pytest.mark.parametrize("order", [(90_000, 5), (5, 90_000)])
def test_the_order_of_calls_changes_no_verdict(order: tuple[int, int]):
    calls = "\n".join(f"    assert candidate({n}) == {n}" for n in order)
    task = Task(
        "code",
        "?",
        tests=({"type": "check", "entry_point": "f", "code": f"def check(candidate):\n{calls}"},),
    )
    verdict = programs.verify(task, "```python\ndef f(n): return n and 1 + f(n - 1)\n```")
    assert verdict.correct is False
    assert "RecursionError" in verdict.reason


@needs_sandbox
@pytest.mark.parametrize(
    "test",
    [
        {"type": "stdin", "input": "", "output": "1"},
        {"type": "functional", "fn_name": "f", "input": "1", "output": "1"},
        {"type": "check", "entry_point": "f", "code": "def check(c):\n    assert c(1) == 1"},
    ],
    ids=lambda test: test["type"],
)
def test_a_program_that_does_not_parse_is_called_so(test: dict[str, str]):
    verdict = programs.verify(Task("code", "?", tests=(test,)), "```python\ndef f(:\n```")
    assert "SyntaxError" in verdict.reason


@needs_sandbox
def test_two_objects_of_the_program_are_compared_by_its_own_rules():
    program = "class Tag:\n    def __init__(self, n): self.n = n\n"
    program += "    def __eq__(self, other): return self.n == other.n\ndef tag(n): return Tag(n)"
    for code, correct in (("assert tag(3) == Tag(3)", True), ("assert tag(3) == Tag(4)", False)):
        task = Task("code", "?", tests=({"type": "assert", "code": code},))
        assert programs.verify(task, f"```python\n{program}\n```").correct is correct


@needs_sandbox
def test_a_busy_machine_decides_nothing(monkeypatch: pytest.MonkeyPatch):
    """Processor time ends a program; the clock alone only ends the look at it."""
    spin = "```python\nwhile True: pass\n```"
    task = Task("code", "?", tests=STDIN.tests, meta={"time_limit": 1.0})
    assert programs.verify(task, spin).status == "timeout"
    monkeypatch.setattr(wire, "CLOCK_FACTOR", 0.2)
    verdict = programs.verify(task, spin)
    assert (verdict.correct, verdict.status) == (None, "infra_error")
    assert "busy machine" in verdict.reason


@needs_sandbox
def test_a_program_that_waits_has_used_up_its_time():
    task = Task("code", "?", tests=STDIN.tests, meta={"time_limit": 0.5})
    nap = "import time\nwhile True: time.sleep(0.05)"
    for program in ("import time\ntime.sleep(60)", nap):
        assert programs.verify(task, f"```python\n{program}\n```").status == "timeout"
