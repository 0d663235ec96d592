"""The tests of a task as trials in a sandbox, each with the judgement of what comes out of it.

`stdin`       run on `input`; what is printed is compared with `output`.
`functional`  `fn_name` (of `class Solution`, or a plain function) is called with one JSON value a
              line of `input`, or with a list or mapping of arguments; compared with `output`.
`assert`      where it reads `f(...) == literal` (or `is None`, or nothing), the left side is
              evaluated inside and compared here; else it runs as a script.
`check`       its `code` defines `check(candidate)`, which is called with the entry point.
`script`      its `code` uses the program's functions by name.

The code of check and script tests runs in the sandbox, in a process that the program cannot reach,
and gets plain values from it. So no object of the program's can take part in a comparison; a test
that hands over a function of its own is undecided.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ttc_rl.schema import Task
from ttc_rl.verifiers.program_output import TOLERANCE, same_text, same_value
from ttc_rl.verifiers.program_text import import_lines
from ttc_rl.verifiers.sandbox import Job, Limits, Result, Trial

SECONDS = 6.0
SCRIPT_SECONDS = 30.0
"""A check or script holds many cases (HumanEval+ up to a thousand)."""
MEMORY_MB = 1024
_STARRED = "typing string operator math random functools itertools collections heapq bisect"
_IMPORTED = "bisect collections copy datetime functools heapq itertools math random re string sys"
PRELUDE = "".join(f"from {name} import *\n" for name in [*_STARRED.split(), "builtins"])
PRELUDE += f"import {', '.join(_IMPORTED.split())}\nsys.setrecursionlimit(50_000)\n"
"""Functions to complete are given without imports; sites that set them import these."""
_BUILTINS = {"list", "tuple", "set", "frozenset", "sorted", "dict", "len", "str", "sum", "round"}


class BadTests(Exception):
    """The task's tests cannot be run: its fault, not the program's."""


@dataclass(frozen=True, slots=True)
class Case:
    trial: Trial
    judge: Callable[[Result], str | None]
    """What is wrong, or None. Asked only when the program ended well."""


def cases(task: Task) -> list[Case]:
    if not task.tests:
        raise BadTests("the task has no tests")
    return [_case(task, test) for test in task.tests]


def job(task: Task, program: str, trials: list[Trial]) -> Job:
    meta = task.meta
    kinds = {test.get("type") for test in task.tests}
    preamble = str(meta.get("preamble") or "")
    if not preamble and ("functional" in kinds or meta.get("prelude")):
        preamble = PRELUDE
    if not preamble and "check" in kinds and "```" not in task.prompt:
        preamble = import_lines(task.prompt)
    limits = Limits(seconds=SECONDS, memory_mb=int(meta.get("memory_mb", MEMORY_MB)))
    return Job(program, trials, preamble, _setup(task), limits)


def _case(task: Task, test: Mapping[str, Any]) -> Case:
    kind = test.get("type")
    if kind not in _SHAPES:
        raise BadTests(f"no such type of test: {kind!r}; there are {', '.join(_SHAPES)}")
    try:
        return _SHAPES[kind](task, test)
    except (KeyError, TypeError, ValueError) as error:
        raise BadTests(f"a {kind} test cannot be read: {error!r}") from error


def _seconds(task: Task, usual: float) -> float:
    return float(task.meta.get("time_limit") or usual)


def _own_names(task: Task) -> list[str]:
    """Return the name of the function asked for, which may be called `sum` (MBPP)."""
    name = str(task.meta.get("entry_point") or "")
    return [name] if name.isidentifier() else []


def _setup(task: Task) -> str:
    imports = task.meta.get("test_imports") or []
    lines = [imports] if isinstance(imports, str) else [str(line) for line in imports]
    return "\n".join([*lines, str(task.meta.get("test_setup_code") or "")]).strip() + "\n"


# --------------------------------------------------------------------------- the shapes


def _stdin(task: Task, test: Mapping[str, Any]) -> Case:
    expected = _text(test["output"])
    tolerance = task.meta.get("tolerance")

    def judge(result: Result) -> str | None:
        actual = result.output.decode("utf-8", "replace")
        if same_text(expected, actual, tolerance):
            return None
        return differs(expected.strip(), actual.strip())

    return Case(Trial("stdin", _text(test["input"]), seconds=_seconds(task, SECONDS)), judge)


def _functional(task: Task, test: Mapping[str, Any]) -> Case:
    name = str(test["fn_name"])
    if not name.isidentifier():
        raise ValueError(f"fn_name {name!r}")
    expected = _json(test["output"])
    tolerance = float(task.meta.get("tolerance", TOLERANCE))
    method = f"hasattr(globals().get('Solution'), {name!r})"
    call = f"(Solution().{name} if {method} else {name})"

    def judge(result: Result) -> str | None:
        if result.raised:
            return f"raised {result.raised}"
        same = _survives(same_value, expected, result.value, tolerance)
        return None if same else differs(expected, result.value)

    arguments = _arguments(test["input"])
    if isinstance(arguments, dict):
        call, arguments = f"(lambda named: {call}(**named))", [arguments]
    return Case(Trial("value", call, arguments, seconds=_seconds(task, SECONDS)), judge)


def _assert(task: Task, test: Mapping[str, Any]) -> Case:
    split = split_assert(str(test["code"]).strip(), *_own_names(task))
    if split is None:
        return _script(task, test)

    def judge(result: Result) -> str | None:
        if result.raised:
            return f"{split.left} raised {result.raised}"
        same = _survives(split.accepts, result.value)
        return None if same else f"{split.left}: {differs(split.expected, result.value)}"

    return Case(Trial("value", split.left, seconds=_seconds(task, SECONDS)), judge)


def _script(task: Task, test: Mapping[str, Any], entry: str = "") -> Case:
    source = _setup(task) + _mended(str(test["code"]))

    def judge(result: Result) -> str | None:
        return None if result.passed else result.message

    seconds = _seconds(task, SCRIPT_SECONDS)
    return Case(Trial("script", entry, _own_names(task), source, seconds), judge)


ALLCLOSE = "assert np.allclose(out, exp, rtol=1e-07, atol=atol)"
"""As the published tests of HumanEval+ and MBPP+ have it: true of any `exp` where `out` is [].

EvalPlus's own evaluator compares type and length first (evalplus/eval/__init__.py in
https://github.com/evalplus/evalplus); its published tests leave that out.
"""
_BEFORE = (
    "assert type(out) == type(exp)",
    "assert not hasattr(exp, '__len__') or len(out) == len(exp)",
)


def _mended(code: str) -> str:
    line = re.compile(rf"^([ \t]+){re.escape(ALLCLOSE)}$", re.MULTILINE)
    return line.sub(lambda m: "\n".join(m[1] + part for part in (*_BEFORE, ALLCLOSE)), code)


def _check(task: Task, test: Mapping[str, Any]) -> Case:
    return _script(task, test, str(test.get("entry_point") or task.meta["entry_point"]))


_SHAPES: dict[Any, Callable[[Task, Mapping[str, Any]], Case]] = {
    "stdin": _stdin,
    "functional": _functional,
    "assert": _assert,
    "check": _check,
    "script": _script,
}


# --------------------------------------------------------------------------- asserts


@dataclass(frozen=True, slots=True)
class Split:
    """`assert left == expected`, taken apart."""

    left: str
    expected: Any
    accepts: Callable[[Any], bool]


@functools.lru_cache(maxsize=4096)
def split_assert(code: str, *own: str) -> Split | None:
    """Split an assert; None where the left side is more than the program's value, as it must not
    compare by itself.

    `own`: names of the program's, whatever builtins are called.
    """
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        return None
    left, operator, right = _sides(body[0].test)
    if not _only_asks(left, own):
        return None
    text = ast.unparse(left)
    if operator is None:
        return Split(text, True, bool)
    try:
        expected = ast.literal_eval(right)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(operator, ast.Is):
        single = expected is None or isinstance(expected, bool)
        return Split(text, expected, lambda value: value is expected) if single else None
    return Split(text, expected, lambda value: value == expected)


def _sides(test: ast.expr) -> tuple[ast.expr, ast.cmpop | None, ast.expr]:
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return test, None, test
    if not isinstance(test.ops[0], (ast.Eq, ast.Is)):
        return test, None, test
    return test.left, test.ops[0], test.comparators[0]


def _only_asks(expression: ast.expr, own: Sequence[str]) -> bool:
    """Return whether an expression is one call of the program's, perhaps inside `sorted` and the
    like, of plain arguments."""
    nodes = list(ast.walk(expression))
    banned = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Lambda, ast.IfExp, ast.comprehension)
    if any(isinstance(n, banned) and not _negative_number(n) for n in nodes):
        return False
    calls = [n.func for n in nodes if isinstance(n, ast.Call)]
    names = [n.id for n in calls if isinstance(n, ast.Name)]
    return (
        len(names) == len(calls) and len([n for n in names if n in own or n not in _BUILTINS]) == 1
    )


def _negative_number(node: ast.AST) -> bool:
    if not isinstance(node, ast.UnaryOp) or not isinstance(node.op, (ast.USub, ast.UAdd)):
        return False
    return isinstance(node.operand, ast.Constant)


# --------------------------------------------------------------------------- helpers


def differs(expected: Any, actual: Any) -> str:
    return f"expected {_short(expected)} got {_short(actual)}"


def _short(value: Any, size: int = 100) -> str:
    if isinstance(value, int) and value.bit_length() > 4000:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # integers beyond the digit limit inside, or too deep
        return f"a {type(value).__name__}"
    return text if len(text) <= size else f"{text[:size]}..."


def _survives(compare: Callable[..., bool], *values: Any) -> bool:
    """Return False for values that cannot be compared: nested too deeply, or a signalling NaN."""
    try:
        return bool(compare(*values))
    except Exception:  # noqa: BLE001  # the value is the program's; so is what it raises
        return False


def _text(value: Any) -> str:
    """Return text; some sets give lines as a list."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _arguments(value: Any) -> list[Any] | dict[str, Any]:
    if isinstance(value, str):
        return [_json(line) for line in value.split("\n") if line.strip()]
    return dict(value) if isinstance(value, Mapping) else list(value)
