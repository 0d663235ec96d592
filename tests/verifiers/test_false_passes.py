"""Programs that passed published tests without solving them."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers import programs
from ttc_rl.verifiers.sandbox import probe

pytestmark = pytest.mark.skipif(
    not any(status.works for status in probe()), reason="no sandbox works on this machine"
)
# As HumanEval+ and MBPP+ publish it.
EVALPLUS = """
import numpy as np

def is_floats(x) -> bool:
    if isinstance(x, float):
        return True
    if isinstance(x, (list, tuple)):
        return all(isinstance(i, float) for i in x)
    if isinstance(x, np.ndarray):
        return x.dtype == np.float64 or x.dtype == np.float32
    return False


def assertion(out, exp, atol):
    exact_match = out == exp

    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match


def check(candidate):
    for n in range(3):
        assertion(candidate(n), n / 3 if SCALAR else [n / 3] * 3, ATOL)
"""
ARRAY = """
import ctypes
class Array:
    def __init__(self, n):
        self.kept = (ctypes.c_double * 3)(n / 3, n / 3, n / 3)
        data = (ctypes.addressof(self.kept), True)
        self.__array_interface__ = dict(shape=SHAPE, typestr='<f8', data=data, version=3)
    def __len__(self): return 0
    def __getitem__(self, n): raise IndexError
def f(n): return Array(n)
"""
CHEATS = {
    "nothing": "def f(n): return []",
    "an empty array": "import numpy\ndef f(n): return numpy.array([])",
    "nothing in a tuple": "def f(n): return ()",
    "one for all": "def f(n): return n / 3",
    "an empty object": "class Nothing:\n  def __len__(s): return 0\n"
    "  def __getitem__(s, n): raise IndexError\ndef f(n): return Nothing()",
    "a pointer": ARRAY.replace("SHAPE", "(3,)"),
    "a pointer to nothing": ARRAY.replace("SHAPE", "(0,)"),
}


def grade(code: str, program: str) -> Verdict:
    task = Task("code", "?", tests=({"type": "check", "code": code, "entry_point": "f"},))
    return programs.verify(task, f"```python\n{program}\n```")


@pytest.mark.parametrize("atol", ["0", "1e-06"])
@pytest.mark.parametrize("name", CHEATS)
def test_nothing_is_close_to_a_list(name: str, atol: str):
    code = EVALPLUS.replace("SCALAR", "False").replace("ATOL", atol)
    assert grade(code, CHEATS[name]).correct is False
    assert grade(code, "def f(n): return [n / 3 + 1e-9] * 3").correct is True


@pytest.mark.parametrize("name", sorted(CHEATS.keys() - {"one for all"}))
def test_nothing_is_close_to_a_number(name: str):
    code = EVALPLUS.replace("SCALAR", "True").replace("ATOL", "1e-06")
    assert grade(code, CHEATS[name]).correct is False
    assert grade(code, "def f(n): return n / 3 + 1e-9").correct is True


def test_a_program_answers_for_no_array_of_its_own():
    code = "import numpy as np\ndef check(f):\n    assert np.asarray(f(1)).dtype != float\n"
    program = ARRAY.replace("SHAPE", "(3,)").replace("def __len__", "def size")
    assert grade(code, program).correct is True


@pytest.mark.parametrize(
    "code",
    [
        "def check(f):\n    assert all(map(lambda n: f(n) == n, range(3)))",
        "def check(f):\n    assert list(map(f, range(3))) == []",
        "def check(f):\n    for x, y in zip(map(f, range(3)), range(3)):\n        assert x == y",
    ],
)
def test_an_exception_of_the_program_ends_no_loop_of_the_test(code: str):
    assert grade(code, "def f(n): raise StopIteration").correct is False
    assert grade(code, "async def g(): pass\ndef f(n): raise StopAsyncIteration").correct is False


def test_names_and_parts_of_a_programs_objects_are_still_had():
    code = """
def check(f):
    made = f(2)
    assert made.value == 2 and made[1] == 3 and len(made) == 2 and str(made) == "two"
    assert made.double() == 4 and made.kind.__name__ == "Two" and made == f(2)
    made.value = 7
    assert made.value == 7
"""
    program = """
class Two:
    def __init__(s, n): s.value, s.kind = n, Two
    def __getitem__(s, n): return s.value + n
    def __len__(s): return 2
    def __str__(s): return "two"
    def __eq__(s, other): return s.value == other.value
    def double(s): return 2 * s.value
def f(n): return Two(n)
"""
    verdict = grade(code, program)
    assert verdict.correct is True, verdict.reason


@pytest.mark.skipif("TTC_RL_DATA" not in os.environ, reason="needs TTC_RL_DATA")
@pytest.mark.parametrize("row", [2, 4, 21, 45])
def test_the_published_tests_refuse_nothing(row: int):
    path = Path(os.environ["TTC_RL_DATA"]) / "benchmarks/humaneval_plus.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found: dict[str, Any] = [json.loads(line) for line in file][row]
    task = Task("code", found["prompt"], tests=tuple(found["tests"]), meta=found["meta"])
    entry = found["meta"]["entry_point"]
    for cheat in ("[]", "()"):
        verdict = programs.verify(task, f"```python\ndef {entry}(*a): return {cheat}\n```")
        assert verdict.correct is False, verdict
    reference = found["prompt"] + found["meta"]["reference_solution"]
    assert programs.verify(task, f"```python\n{reference}\n```").correct is True
