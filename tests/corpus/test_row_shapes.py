"""Rows as the hub has them become tasks that a right answer passes and silence does not."""

import base64
import json
import pickle
import tracemalloc
import zlib
from typing import Any, get_args

import pytest
from formats import FOLDER

from ttc_rl.config import Shape
from ttc_rl.corpus.packed_tests import unpack_tests
from ttc_rl.corpus.rows import BadRow, RowReader
from ttc_rl.corpus.shapes import SHAPES, kind_of, shaped
from ttc_rl.corpus.shapes.guess import guess
from ttc_rl.schema import Task
from ttc_rl.verifiers import verify


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def lcb(public: list[Any], private: list[Any], **changes: Any) -> dict[str, Any]:
    return {
        "question_id": "abc1_a", "question_title": "Twice", "question_content": "Print 2n.",
        "platform": "atcoder", "contest_id": "abc1", "contest_date": "2024-08-03T00:00:00",
        "starter_code": "", "difficulty": "easy", "metadata": "{}",
        "public_test_cases": json.dumps(public), "private_test_cases": packed(json.dumps(private)),
    } | changes  # fmt: skip


STDIN = [{"input": "2\n", "output": "4\n", "testtype": "stdin"}]
HIDDEN = [{"input": "7\n", "output": "14\n", "testtype": "stdin"}]
CALLED = [{"input": "[1, 2]\n3", "output": "9", "testtype": "functional"}]
TWICE = "```python\nprint(2 * int(input()))\n```"
PAIRS = {"input": ["2\n"], "output": ["4\n"]}
NONE: dict[str, list[str]] = {"input": [], "output": []}

ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "humaneval": (
        {
            "task_id": "HumanEval/0",
            "prompt": 'def inc(x: int) -> int:\n    """x + 1"""\n',
            "canonical_solution": "    return x + 1\n",
            "test": "def check(candidate):\n    assert candidate(1) == 2\n",
            "entry_point": "inc",
        },
        "    return x + 1\n",
    ),
    "mbpp": (
        {
            "task_id": 11, "text": "Add one.", "code": "def inc(x):\r\n  return x + 1",
            "test_list": ["assert inc(1) == 2", "assert inc(5) == 6"], "test_setup_code": "",
            "challenge_test_list": [],
        },
        "```python\ndef inc(x):\n    return x + 1\n```",
    ),
    "mbppplus": (
        {
            "task_id": 11, "prompt": "Add one.", "code": "def inc(x):\n  return x + 1",
            "source_file": "x", "test_imports": ["import math"],
            "test_list": ["assert inc(1) == 2"],
            "test": "for i in range(20):\n    assert inc(i) == math.floor(i + 1)\n",
        },
        "```python\ndef inc(x):\n    return x + 1\n```",
    ),
    "leetcode": (
        {
            "task_id": "two-sum", "question_id": 1, "difficulty": "Easy", "tags": [],
            "problem_description": "Add them.", "prompt": "from typing import *\n",
            "starter_code": "class Solution:\n    def add(self, xs: List[int]) -> int:\n        ",
            "completion": "", "entry_point": "Solution().add", "query": "", "response": "",
            "test": "def check(candidate):\n    assert candidate(xs = [1, 2]) == 3\n",
            "input_output": [],
        },
        "```python\nclass Solution:\n    def add(self, xs: List[int]) -> int:\n"
        "        return sum(xs)\n```",
    ),
    "livecodebench": (lcb(STDIN, HIDDEN), TWICE),
    "codeforces": (
        {
            "id": "1/A", "description": "Print 2n.", "input_format": "n", "output_format": "2n",
            "interaction_format": None, "note": "Easy.", "editorial": "print(2 * n)",
            "examples": [{"input": "2", "output": "4"}], "input_mode": "stdio", "rating": 800,
            "tags": ["math"], "time_limit": 1.0, "generated_checker": None,
            "official_tests": [{"input": "2\n", "output": "4\n"}],
        },
        TWICE,
    ),
    "codeelo": (
        {
            "problem_id": "2000A", "title": "Twice", "description": "Print 2n.", "input": "n",
            "output": "2n", "interaction": "", "note": "", "examples": [["2", "4"]],
            "rating": 800, "tags": [], "time_limit_ms": 10000,
        },
        TWICE,
    ),
    "code_contests": (
        {
            "name": "1_A. Twice", "description": "Print 2n.", "public_tests": PAIRS,
            "private_tests": NONE, "generated_tests": {"input": ["7\n"], "output": ["14\n"]},
            "time_limit": {"seconds": 1, "nanos": 0}, "cf_rating": 800, "cf_tags": [],
            "input_file": "", "output_file": "",
        },
        TWICE,
    ),
    "taco": (
        {
            "question": "Print 2n.", "starter_code": "", "difficulty": "EASY", "source": "site",
            "input_output": json.dumps({"inputs": ["2\n", "7\n"], "outputs": ["4\n", "14\n"]}),
            "time_limit": "2.0 seconds",
        },
        TWICE,
    ),
    "primeintellect": (
        {
            "problem_id": "vcp_1", "source": "apps", "prompt": "Print 2n.",
            "gold_standard_solution": TWICE,
            "verification_info": str({"language": "python", "test_cases": [
                {"type": "stdin_stdout", "input": "2\n", "output": "4\n"}
            ]}),
        },
        TWICE,
    ),
    "gpqa": (
        {
            "Record ID": "rec1", "Question": "Which?", "Correct Answer": "this ",
            "Incorrect Answer 1": "that", "Incorrect Answer 2": "it", "Incorrect Answer 3": "one",
            "High-level domain": "Physics", "Subdomain": "Optics",
        },
        r"\boxed{this}",
    ),
    "mmlu_pro": (
        {
            "question_id": 70, "question": "Which?", "options": ["a1", "b1", "c1"], "answer": "C",
            "answer_index": 2, "cot_content": "", "category": "law", "src": "x",
        },
        r"\boxed{C}",
    ),
    "olympiadbench": (
        {
            "id": 1606, "question": "Then find $x$.", "final_answer": [r"$\frac{1}{2}$"],
            "context": "Let $2x = 1$.", "unit": None, "answer_type": "Numerical",
            "subfield": "Algebra", "error": None,
        },
        r"\boxed{0.5}",
    ),
}  # fmt: skip


def task_of(name: str, row: Any) -> Task:
    return RowReader({}).task(shaped(name, row))  # type: ignore[arg-type]


def test_every_shape_has_a_row_here_and_a_name_in_the_config():
    files = [path.read_text(encoding="utf-8").splitlines()[0] for path in FOLDER.glob("*.jsonl")]
    known = [guess(json.loads(line)) for line in files]
    filed = {one.shape for one in known if one is not None}
    assert set(get_args(Shape)) == set(SHAPES) == {*ROWS, *filed, "curriculum"}


@pytest.mark.parametrize("name", ROWS)
def test_a_right_answer_passes_and_silence_does_not(name: str):
    row, answer = ROWS[name]
    task = task_of(name, row)
    assert task.kind == kind_of(name)  # type: ignore[arg-type]
    assert verify(task, answer).correct is True
    assert verify(task, "").correct is False
    assert task.meta["id"]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_lacks_a_column_is_told(name: str):
    with pytest.raises(BadRow, match=f"shape {name}: "):
        task_of(name, {"nothing": 1})


def test_hidden_tests_count():
    task = task_of("livecodebench", lcb(STDIN, HIDDEN))
    assert verify(task, "```python\nprint(4)\n```").correct is False
    assert task.meta["contest_date"] == "2024-08-03"


def test_tests_of_a_function_take_json_arguments():
    row = lcb(CALLED, [], metadata='{"func_name": "f"}', starter_code="class Solution: ...")
    program = "```python\nclass Solution:\n    def f(self, xs, k):\n        return sum(xs) * k\n```"
    assert verify(task_of("livecodebench", row), program).correct is True
    with pytest.raises(BadRow, match="func_name does not name one"):
        task_of("livecodebench", lcb(CALLED, []))


def test_calls_of_taco_and_primeintellect_take_lists_of_arguments():
    calls = {"fn_name": "add", "inputs": [[[1, 2], 3]], "outputs": [[[1, 2, 3]]]}
    rows = {
        "taco": {"question": "Add to a list.", "input_output": json.dumps(calls)},
        "primeintellect": ROWS["primeintellect"][0]
        | {
            "verification_info": json.dumps(
                {"test_cases": [{"type": "function_call", "fn_name": "add",
                 "input": [[1, 2], 3], "output": [[1, 2, 3]]}]}
            )
        },
    }  # fmt: skip
    for name, row in rows.items():
        task = RowReader({}, None, "hub", None, {}).task(shaped(name, row))
        right = "```python\ndef add(xs, x):\n    return [*xs, x]\n```"
        assert verify(task, right).correct is True, name
        assert verify(task, right.replace("[*xs, x]", "[x]")).correct is False, name


def test_the_editorial_and_the_samples_that_are_the_tests_are_not_shown():
    assert "print(2 * n)" not in task_of("codeforces", ROWS["codeforces"][0]).prompt
    assert "4" not in task_of("codeelo", ROWS["codeelo"][0]).prompt


def test_a_contest_limit_counts_where_it_is_longer_than_ours():
    assert "time_limit" not in task_of("codeforces", ROWS["codeforces"][0]).meta
    assert task_of("codeelo", ROWS["codeelo"][0]).meta["time_limit"] == 10


def test_problems_that_read_a_file_are_told():
    with pytest.raises(BadRow, match="reads from a file"):
        task_of("codeforces", ROWS["codeforces"][0] | {"input_mode": "file"})
    with pytest.raises(BadRow, match="a file"):
        task_of("code_contests", ROWS["code_contests"][0] | {"input_file": "in.txt"})


def test_options_have_one_order_whatever_the_columns_say():
    row = ROWS["gpqa"][0]
    task = task_of("gpqa", row)
    turned = row | {"Incorrect Answer 1": "one", "Incorrect Answer 3": "that"}
    assert task_of("gpqa", turned).prompt == task.prompt
    assert task.meta["options"]["ABCD".index(task.gold or "")] == "this"
    golds = [task_of("gpqa", row | {"Question": f"Which {i}?"}).gold for i in range(200)]
    assert min(golds.count(letter) for letter in "ABCD") > 30


# --------------------------------------------------------------------------- packed tests


def test_packed_tests_are_those_that_were_packed():
    assert unpack_tests(packed(json.dumps(HIDDEN))) == HIDDEN
    assert unpack_tests(json.dumps(HIDDEN)) == HIDDEN
    assert unpack_tests("") == unpack_tests(None) == []


class Runs:
    """What a hostile pickle looks like: reading it would call open(...)."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_a_pickle_that_would_run_something_is_refused_and_nothing_ran(tmp_path: Any):
    with pytest.raises(BadRow, match=r"names _?io\.open; only text is read"):
        unpack_tests(packed(Runs(str(tmp_path / "ran"))))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!", "packed tests"),
        (base64.b64encode(b"no zlib").decode(), "packed tests"),
        (base64.b64encode(zlib.compress(b"no pickle")).decode(), "not a pickle of text"),
        (packed([1, 2]), "a pickle with EMPTY_LIST, not of text"),
        (packed('{"input": ""}'), "should be a list of objects"),
    ],
)
def test_damaged_tests_are_told(text: str, message: str):
    with pytest.raises(BadRow, match=message):
        unpack_tests(text)


def raw(pickled: bytes) -> str:
    return base64.b64encode(zlib.compress(pickled)).decode()


HOSTILE = {
    "deep JSON": packed("[" * 200_000),
    "deep JSON in the open": "[" * 200_000,
    "broken JSON": packed('[{"input": '),
    "broken JSON in the open": '[{"input": ',
    "a number of many digits": packed("[" + "9" * 5000 + "]"),
    "lists and lists": packed("[" + "[]," * 6_000_000 + "[]]"),
    "bytes never given": raw(b"\x80\x05\x96" + (1 << 34).to_bytes(8, "little") + b"."),
    "text never given": raw(b"\x80\x04\x8d" + (1 << 62).to_bytes(8, "little") + b"x."),
    "text that is none": raw(b"\x80\x04X\x02\0\0\0\xff\xff."),
    "a deep pickle": raw(b"\x80\x04" + b"]" * 500_000 + b"a" * 499_999 + b"."),
    "tuples in tuples": raw(b"\x80\x04N" + b"\x85" * 500_000 + b"."),
    "no end": raw(b"\x80\x04X\x02\0\0\0[]"),
    "nothing": raw(b""),
    "letters that base64 has not": "żółw" * 10,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tests_are_a_bad_row_and_cost_little(name: str):
    tracemalloc.start()
    try:
        with pytest.raises(BadRow, match="packed tests"):
            unpack_tests(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 256 << 20
    finally:
        tracemalloc.stop()


def test_long_texts_with_quotes_and_brackets_are_no_structure():
    tests = [{"input": '[{"\\' * 1_000_000, "output": "1,2," * 5_000_000, "testtype": "stdin"}]
    assert unpack_tests(packed(json.dumps(tests))) == tests


def test_a_memo_far_away_asks_for_no_memory():
    """The interpreter's own reader makes room for the number of the memo: 16 GB of it."""
    far = b"r\xff\xff\xff\x7f"
    assert unpack_tests(raw(b"\x80\x04X\x02\0\0\0[]" + far + b".")) == []
