"""Rows of programming problems: functions to write, and contests on standard input.

Not covered: problems with several right outputs (Codeforces, CodeElo, AtCoder): one output is
compared, the checkers that some data sets bring are not run.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from ttc_rl.corpus.packed_tests import unpack_tests
from ttc_rl.corpus.rows import BadRow
from ttc_rl.corpus.shapes.fields import Row, as_object, code_row
from ttc_rl.schema import content_hash

USUAL_SECONDS = 6.0
"""Limits of contests are set for C++: one below this is not taken over."""


# --------------------------------------------------------------------------- functions to write


def humaneval(row: Row) -> Row:
    """Convert openai/openai_humaneval and evalplus/humanevalplus: `test` defines
    check(candidate)."""
    entry = row["entry_point"]
    return code_row(
        row["task_id"],
        row["prompt"],
        [{"type": "check", "code": row["test"], "entry_point": entry}],
        entry_point=entry,
        reference_solution=row["canonical_solution"],
    )


def mbpp(row: Row) -> Row:
    """Convert google-research-datasets/mbpp, full (`text`) or sanitized (`prompt`)."""
    asserts = list(row["test_list"])
    return code_row(
        f"MBPP/{row['task_id']}",
        row["text"] if "text" in row else row["prompt"],
        [{"type": "assert", "code": code} for code in asserts],
        entry_point=_called(row["code"], asserts),
        reference_solution=row["code"],
        test_setup_code=row.get("test_setup_code"),
        test_imports=list(row.get("test_imports") or ()),
    )


def mbppplus(row: Row) -> Row:
    """Convert evalplus/mbppplus: MBPP's asserts and one long script."""
    plain = mbpp(row)
    tests = [*plain["tests"], {"type": "script", "code": row["test"]}]
    return {**plain, "id": f"MbppPlus/{row['task_id']}", "tests": tests}


def leetcode(row: Row) -> Row:
    """Convert newfacade/LeetCodeDataset: `prompt` holds the imports, `test` defines
    check(candidate)."""
    return code_row(
        row["task_id"],
        row["problem_description"],
        [{"type": "check", "code": row["test"], "entry_point": row["entry_point"]}],
        preamble=row["prompt"],
        starter_code=row["starter_code"],
        reference_solution=row.get("completion"),
        difficulty=row.get("difficulty"),
    )


def _called(code: str, asserts: Sequence[str]) -> str | None:
    """Return the function of a reference solution that its tests call."""
    names = re.findall(r"^def\s+(\w+)", code, flags=re.MULTILINE)
    return next((n for n in names if re.search(rf"\b{n}\s*\(", asserts[0])), None)


# --------------------------------------------------------------------------- contests


def livecodebench(row: Row) -> Row:
    """Convert livecodebench/code_generation_lite: public and private tests, on stdin or of a
    function."""
    extra = as_object(row.get("metadata"))
    tests = unpack_tests(row["public_test_cases"]) + unpack_tests(row["private_test_cases"])
    return code_row(
        f"lcb/{row['question_id']}",
        row["question_content"],
        [_lcb_test(test, extra.get("func_name")) for test in tests],
        title=row["question_title"],
        platform=str(row["platform"]).lower(),
        contest_date=str(row["contest_date"])[:10],
        difficulty=row["difficulty"],
        starter_code=row.get("starter_code"),
        entry_point=extra.get("func_name"),
    )


def _lcb_test(test: Row, function: str | None) -> Row:
    if test["testtype"] != "functional":
        return {"type": "stdin", "input": test["input"], "output": test["output"]}
    if not function:
        raise BadRow("tests of a function, but metadata.func_name does not name one")
    return {
        "type": "functional",
        "fn_name": function,
        "input": test["input"],
        "output": test["output"],
    }


def codeforces(row: Row) -> Row:
    """Convert open-r1/codeforces, config verifiable. The editorial is left out: it holds the
    solution."""
    if row.get("input_mode") == "file":
        raise BadRow("reads from a file, not from standard input")
    return code_row(
        f"codeforces/{row['id']}",
        _statement(row, ("description", "input_format", "output_format", "interaction_format"))
        + _examples([(example["input"], example["output"]) for example in row["examples"] or ()])
        + _section(row, "note"),
        [_stdin(test["input"], test["output"]) for test in row["official_tests"]],
        rating=row.get("rating"),
        tags=list(row.get("tags") or ()),
        time_limit=_seconds(row.get("time_limit")),
        has_checker=bool(row.get("generated_checker")),
    )


def codeelo(row: Row) -> Row:
    """Convert Qwen/CodeElo. Its examples are all the tests there are, so they are not shown."""
    limit = row.get("time_limit_ms")
    return code_row(
        f"codeelo/{row['problem_id']}",
        _statement(row, ("description", "input", "output", "interaction", "note")),
        [_stdin(example[0], example[1]) for example in row["examples"]],
        rating=row.get("rating"),
        tags=list(row.get("tags") or ()),
        time_limit=_seconds(limit / 1000 if limit else None),
    )


def code_contests(row: Row) -> Row:
    """Convert deepmind/code_contests: public, private and generated tests."""
    if row.get("input_file") or row.get("output_file"):
        raise BadRow("reads or writes a file, not standard input and output")
    groups = [row[name] for name in ("public_tests", "private_tests", "generated_tests")]
    pairs = [pair for g in groups for pair in zip(g["input"], g["output"], strict=True)]
    limit = row.get("time_limit") or {}
    return code_row(
        f"code_contests/{row['name']}",
        row["description"],
        [_stdin(*pair) for pair in pairs],
        rating=row.get("cf_rating"),
        tags=list(row.get("cf_tags") or ()),
        time_limit=_seconds((limit.get("seconds") or 0) + (limit.get("nanos") or 0) / 1e9),
    )


def taco(row: Row) -> Row:
    """Convert likaixin/TACO-verified: the columns of BAAI/TACO, with the tests' inputs and outputs
    in lists.

    With `fn_name` an input is the list of a call's arguments, and an output of one element holds
    the value that is returned.
    """
    tests = paired_tests(as_object(row["input_output"]))
    question = row["question"]
    limit = re.search(r"[\d.]+", str(row.get("time_limit") or ""))
    return code_row(
        f"taco/{content_hash(question)}",
        question,
        tests,
        starter_code=row.get("starter_code"),
        difficulty=row.get("difficulty"),
        platform=row.get("source"),
        time_limit=_seconds(float(limit[0])) if limit else None,
    )


def primeintellect(row: Row) -> Row:
    """Convert PrimeIntellect/verifiable-coding-problems: tests in `verification_info`, JSON or
    Python's notation."""
    packed = row["verification_info"]
    try:
        fields = json.loads(packed) if isinstance(packed, str) else packed
    except ValueError:
        fields = ast.literal_eval(packed)
    tests = [typed_test(test) for test in fields["test_cases"]]
    return code_row(
        f"primeintellect/{row['problem_id']}", row["prompt"], tests, platform=row.get("source")
    )


def typed_test(test: Row) -> Row:
    """Convert a test whose `type` says whether a function is called."""
    function = test.get("fn_name") if test["type"] == "function_call" else None
    return called_or_piped(function, test["input"], test["output"])


def paired_tests(pairs: Row) -> list[Row]:
    """Convert lists of `inputs` and `outputs`, of the function `fn_name` where there is one."""
    return [
        called_or_piped(pairs.get("fn_name"), argument, expected)
        for argument, expected in zip(pairs["inputs"], pairs["outputs"], strict=True)
    ]


def called_or_piped(function: str | None, argument: Any, expected: Any) -> Row:
    if not function:
        return _stdin(_lines(argument), _lines(expected))
    is_single = isinstance(expected, list) and len(expected) == 1
    value = expected[0] if is_single else expected
    return {"type": "functional", "fn_name": function, "input": argument, "output": value}


def _lines(text: Any) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


_TITLES = {
    "input": "Input", "input_format": "Input", "output": "Output", "output_format": "Output",
    "interaction": "Interaction", "interaction_format": "Interaction", "note": "Note",
}  # fmt: skip


def _statement(row: Row, columns: Sequence[str]) -> str:
    return "".join(_section(row, column) for column in columns).strip()


def _section(row: Row, column: str) -> str:
    text = str(row.get(column) or "").strip()
    if not text:
        return ""
    return f"\n\n{_TITLES[column]}\n{text}" if column in _TITLES else f"\n\n{text}"


def _examples(pairs: Sequence[tuple[str, str]]) -> str:
    lines = [f"\n\nExample input\n{i.strip()}\n\nExample output\n{o.strip()}" for i, o in pairs]
    return "".join(lines)


def _stdin(text: str, expected: str) -> Row:
    return {"type": "stdin", "input": text, "output": expected}


def _seconds(limit: float | None) -> float | None:
    return limit if limit and limit > USUAL_SECONDS else None
