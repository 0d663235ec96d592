"""Tasks of Inspect (`@task` functions) as benchmarks, read without running any of their code.

Served are tasks whose data set is one call of `hf_dataset`, `json_dataset` or `csv_dataset`, whose
arguments are written out or named constants, and whose samples are `FieldSpec`s, Inspect's own
columns, or a function of the record that does no more than build one `Sample`. Solvers are not
read: the tool asks in its own words.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ttc_rl.corpus.templates import check_template
from ttc_rl.schema import UserError

DATASETS = "hf_dataset", "json_dataset", "csv_dataset"
DEPTH = 3
"""Calls of the file's own functions that are followed, one inside the other."""
KINDS = {"choice": "choice", "model_graded_qa": "judge", "model_graded_fact": "judge"}
"""Scorer -> kind. Others compare texts or numbers; there the gold tells maths from text."""
COMPARE = "match", "includes", "exact", "answer", "pattern", "f1"
ASKED = "asked with our own prompt for its kind, its solver is not read"
FIELDS = {"input": "prompt", "target": "gold", "choices": "meta.options", "id": "id"}
"""Field of a sample -> ours."""


class _Unreadable(Exception):
    """What only running the file would tell: a piece of its code."""


@dataclass(frozen=True)
class _Scope:
    """What names stand for: the file's constants and functions, and a function's own names."""

    functions: Mapping[str, ast.FunctionDef]
    names: Mapping[str, ast.expr]

    def within(self, names: Mapping[str, ast.expr]) -> _Scope:
        return replace(self, names={**self.names, **names})


def from_inspect(path: Path, name: str = "") -> dict[str, Any]:
    """Return a task as the keys of a benchmark of ours; `name` is needed where a file has several.

    Raises UserError, which names the piece of code, for what cannot be read without running it.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not readable as Python: {error}") from None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    scope = _Scope(functions, _assigned(tree.body))
    task = _chosen(path, [node for node in functions.values() if _is_task(node)], name)
    try:
        call, inside = _task_call(task, scope, {}, DEPTH)
        source, columns = _dataset(_argument(call, "dataset", 0), inside)
        kind, by, said = _kind(_argument(call, "scorer", 2), inside)
        if "gold" not in columns:
            raise _Unreadable("a sample without a target")
        columns = {**columns, **({} if kind else {"kind": _kind_of(columns["gold"], by)})}
        for column in columns.values():
            check_template(column)
    except _Unreadable as found:
        raise UserError(
            f"{path}: {task.name}: {found} is known only to Python, which is not run; write the "
            "tasks to a file, and describe it with `source: {path: ..., columns: ...}`"
        ) from None
    if "path" in source:
        beside = path.parent / source["path"]
        source["path"] = str(beside) if beside.exists() else source["path"]
    return {
        "description": f"Inspect task {task.name}",
        "source": source | {"columns": columns} | ({"kind": kind} if kind else {}),
        "differs": f"{ASKED}; {said}",
    }


def _chosen(path: Path, tasks: Sequence[ast.FunctionDef], name: str) -> ast.FunctionDef:
    names = [task.name for task in tasks]
    if not tasks:
        raise UserError(f"{path}: defines no @task of Inspect")
    if not name and len(tasks) > 1:
        raise UserError(
            f"{path}: has several tasks; name one: {path}@{names[0]}, of {', '.join(names)}"
        )
    if name and name not in names:
        raise UserError(f"{path}: has no task {name}; there are {', '.join(names)}")
    return next(task for task in tasks if name in ("", task.name))


def _is_task(node: ast.FunctionDef) -> bool:
    return any(_name(getattr(mark, "func", mark)) == "task" for mark in node.decorator_list)


def _name(node: ast.AST | None) -> str:
    """Return the last part of a dotted name; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _assigned(body: Sequence[ast.stmt]) -> dict[str, ast.expr]:
    """Return the names that a body assigns once, each with its expression."""
    found: dict[str, ast.expr] = {}
    twice: set[str] = set()
    for statement in body:
        targets = (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else []
        )
        value = getattr(statement, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                twice |= {target.id} & found.keys()
                found[target.id] = value
    return {name: value for name, value in found.items() if name not in twice}


# --------------------------------------------------------------------------- the task


def _task_call(
    function: ast.FunctionDef, scope: _Scope, given: Mapping[str, ast.expr], depth: int
) -> tuple[ast.Call, _Scope]:
    """Return the call of `Task` that a function returns, and what names mean there."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    defaults = (
        dict(
            zip(
                [a.arg for a in named][-len(arguments.defaults) :], arguments.defaults, strict=False
            )
        )
        if arguments.defaults
        else {}
    )
    defaults |= {
        a.arg: value
        for a, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if value is not None
    }
    inside = scope.within({**defaults, **_assigned(function.body), **given})
    returned = [node.value for node in function.body if isinstance(node, ast.Return)]
    if len(returned) != 1 or returned[0] is None:
        raise _Unreadable(f"what {function.name} returns")
    value = _looked_up(returned[0], inside)
    if isinstance(value, ast.Call) and _name(value.func) == "Task":
        return value, inside
    if isinstance(value, ast.Call) and _name(value.func) in scope.functions and depth:
        called = scope.functions[_name(value.func)]
        names = [a.arg for a in (*called.args.posonlyargs, *called.args.args)]
        passed = dict(zip(names, value.args, strict=False))
        passed |= {word.arg: word.value for word in value.keywords if word.arg}
        passed = {name: _looked_up(value, inside) for name, value in passed.items()}
        return _task_call(called, scope, passed, depth - 1)
    raise _Unreadable(ast.unparse(returned[0]))


def _looked_up(node: ast.expr, scope: _Scope) -> ast.expr:
    """Return what a name stands for; anything else as it is."""
    seen: set[str] = set()
    while isinstance(node, ast.Name) and node.id in scope.names and node.id not in seen:
        seen.add(node.id)
        node = scope.names[node.id]
    return node


def _argument(call: ast.Call, name: str, place: int | None = None) -> ast.expr | None:
    for word in call.keywords:
        if word.arg == name:
            return word.value
    return call.args[place] if place is not None and place < len(call.args) else None


def _literal(node: ast.expr | None, scope: _Scope) -> Any:
    """Return the value that an expression has without running anything."""
    if node is None:
        return None
    node = _looked_up(node, scope)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _Unreadable(ast.unparse(node)) from None


def _kind(scorer: ast.expr | None, scope: _Scope) -> tuple[str | None, str, str]:
    """Return the kind of the tasks by their scorer, None where a filter of the gold tells, that
    filter, and what to say."""
    scorer = _looked_up(scorer, scope) if scorer is not None else None
    if isinstance(scorer, ast.List) and scorer.elts:
        scorer = scorer.elts[0]
    name = _name(scorer.func if isinstance(scorer, ast.Call) else scorer)
    if name in (*KINDS, *COMPARE):
        return KINDS.get(name), "kind_of_gold", f"graded by our verifier in place of its {name}"
    return None, "kind_of_number", f"its scorer {name or '(none)'} is not read: numbers alone count"


# --------------------------------------------------------------------------- the data set


def _dataset(node: ast.expr | None, scope: _Scope) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the source's keys, and its columns."""
    call = _looked_up(node, scope) if node is not None else None
    if not isinstance(call, ast.Call) or _name(call.func) not in DATASETS:
        raise _Unreadable(ast.unparse(call) if call is not None else "a missing dataset")
    first = _literal(
        _argument(call, "path") or _argument(call, "json_file") or _argument(call, "csv_file")
        or _argument(call, "x", 0),
        scope,
    )  # fmt: skip
    if not isinstance(first, str):
        raise _Unreadable(f"the data of {ast.unparse(call)}")
    place = None if _name(call.func) == "hf_dataset" else 1
    columns = _columns(_argument(call, "sample_fields", place), scope)
    limit = _literal(_argument(call, "limit"), scope)
    if _name(call.func) != "hf_dataset":
        return {"path": first} | ({"limit": limit} if limit else {}), columns
    config = _literal(_argument(call, "name"), scope) or _literal(
        _argument(call, "data_dir"), scope
    )
    keys = {
        "hub": first,
        "config": config,
        "split": _literal(_argument(call, "split", 1), scope),
        "revision": _literal(_argument(call, "revision"), scope),
        "limit": limit,
    }
    return {key: value for key, value in keys.items() if value is not None}, columns


def _columns(fields: ast.expr | None, scope: _Scope) -> dict[str, str]:
    """Return our columns of the fields of a sample."""
    node = _looked_up(fields, scope) if fields is not None else None
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return {ours: theirs for theirs, ours in FIELDS.items()}
    if isinstance(node, ast.Call) and _name(node.func) == "FieldSpec":
        given = {word.arg: _literal(word.value, scope) for word in node.keywords}
        return {
            ours: str(given.get(theirs) or theirs)
            for theirs, ours in FIELDS.items()
            if theirs != "choices" or given.get(theirs)
        }
    if isinstance(node, ast.Name) and node.id in scope.functions:
        return _sample(scope.functions[node.id], scope)
    raise _Unreadable(ast.unparse(node))


def _sample(function: ast.FunctionDef, scope: _Scope) -> dict[str, str]:
    """Return the columns of a function of the record, each as a template of what it computes."""
    if len(function.args.args) != 1:
        raise _Unreadable(f"{function.name} of {len(function.args.args)} arguments")
    plain = (ast.Return, ast.Assign, ast.AnnAssign, ast.Expr)
    if odd := next((node for node in function.body if not isinstance(node, plain)), None):
        raise _Unreadable(ast.unparse(odd).partition("\n")[0])
    own = _assigned(function.body)
    returned = [node.value for node in function.body if isinstance(node, ast.Return)]
    sample = _looked_up(returned[-1], scope.within(own)) if returned and returned[-1] else None
    if not isinstance(sample, ast.Call) or _name(sample.func) != "Sample":
        raise _Unreadable(f"what {function.name} returns")
    record = function.args.args[0].arg
    columns: dict[str, str] = {}
    for place, (theirs, ours) in enumerate(FIELDS.items()):
        node = _argument(sample, theirs, place if theirs == "input" else None)
        if node is None:
            continue
        try:
            columns[ours] = f"{{{{ {_expression(node, own, scope, record)} }}}}"
            check_template(columns[ours])
        except (UserError, _Unreadable):
            if theirs != "id":
                raise _Unreadable(ast.unparse(node)) from None
            del columns[ours]
    return columns


def _expression(node: ast.expr, own: Mapping[str, ast.expr], scope: _Scope, record: str) -> str:
    """Return an expression of Python in Jinja's words: names filled in, the record as `record`."""

    class Filled(ast.NodeTransformer):
        depth = 0

        def visit_Name(self, node: ast.Name) -> ast.AST:
            if node.id == record:
                return ast.Name("record", ast.Load())
            value = own.get(node.id) or scope.names.get(node.id)
            if value is None:
                return node
            self.depth += 1
            if self.depth > 20:
                raise _Unreadable(node.id)
            filled = self.visit(ast.parse(ast.unparse(value), mode="eval").body)
            self.depth -= 1
            return filled

        def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
            parts = [
                ast.Call(ast.Name("str", ast.Load()), [part.value], [])
                if isinstance(part, ast.FormattedValue)
                else part
                for part in node.values
            ]
            whole: ast.expr = ast.Constant("")
            for part in parts:
                whole = ast.BinOp(whole, ast.Add(), part)
            return self.visit(ast.parse(ast.unparse(whole), mode="eval").body)

        def visit_List(self, node: ast.List) -> ast.AST:
            if (
                len(node.elts) == 1
                and _name(getattr(node.elts[0], "func", None)) == "ChatMessageUser"
            ):
                content = _argument(node.elts[0], "content", 0)  # pyright: ignore[reportArgumentType]
                if content is not None:
                    return self.visit(content)
            return self.generic_visit(node)

    return ast.unparse(Filled().visit(ast.parse(ast.unparse(node), mode="eval").body))


def _kind_of(gold: str, by: str) -> str:
    """Return the column that tells the kind by the gold, through a filter."""
    inside = gold.strip()[2:-2].strip() if gold.startswith("{{") else f"record[{gold!r}]"
    return f"{{{{ ({inside})|{by} }}}}"
