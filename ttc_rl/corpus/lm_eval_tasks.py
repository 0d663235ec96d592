"""Task files of lm-evaluation-harness (0.4) as benchmarks, read without running any of their code.

Served are tasks whose prompts, choices and golds are columns or Jinja templates, asked by
`generate_until` or `multiple_choice`. What Python code computes (`!function`) is refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttc_rl.corpus.templates import is_template
from ttc_rl.schema import UserError

SPLITS = "test_split", "validation_split"
"""Where lm-eval takes its questions from, the first that a task names."""
LOCAL = "json", "csv", "parquet"
"""Its names for files instead of a data set."""
EQUALITY = {"exact_match", "acc"}
"""Its metrics that ask whether an answer is the gold."""
_ONE = re.compile(r"\s*\{\{((?:(?!\{\{|\}\}).)*)\}\}\s*", re.DOTALL)
_CUE = re.compile(r"\s*\b(?:Answer|A|Solution)\s*:\s*$")


Load = Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class Function:
    """Python code that a key names: `!function utils.doc_to_text`."""

    name: str


def is_lm_eval(tree: Mapping[str, Any]) -> bool:
    return "task" in tree or "dataset_path" in tree or "group" in tree


def from_lm_eval(path: Path, tree: Mapping[str, Any], load: Load) -> dict[str, Any]:
    """Return a task file as the keys of a benchmark of ours; `load` reads a file that it includes.

    Raises UserError, which names the key, for what cannot be read without running code.
    """
    task = _with_parents(path, tree, load)
    if "group" in task or isinstance(task.get("task"), list):
        raise UserError(f"{path}: a group of tasks; name the file of one of them")
    for key in ("process_docs", "custom_dataset", "doc_to_text", "doc_to_target", "doc_to_choice"):
        if isinstance(task.get(key), Function):
            raise UserError(
                f"{path}: {key} is Python code ({task[key].name}), which is not run; write the "
                "tasks to a file, and describe it with `source: {path: ..., columns: ...}`"
            )
    kind = task.get("output_type", "generate_until")
    if kind not in ("generate_until", "multiple_choice"):
        raise UserError(f"{path}: output_type {kind} scores given text, which is not done here")
    if kind == "generate_until" and not (found := _metrics(task)) & EQUALITY:
        raise UserError(f"{path}: is graded by {', '.join(sorted(found))}, which is not done here")
    columns = _choices(path, task) if kind == "multiple_choice" else _answers(path, task)
    most = (task.get("generation_kwargs") or {}).get("max_gen_toks")
    return {
        "description": f"lm-evaluation-harness task {task.get('task', path.stem)}",
        "source": _source(path, task)
        | {"columns": columns}
        | ({"kind": "choice"} if kind == "multiple_choice" else {}),
        "sampling": {"max_tokens": most} if most else {},
        "differs": _differs(task, kind),
    }


def _with_parents(path: Path, tree: Mapping[str, Any], load: Load) -> dict[str, Any]:
    """Return the keys of a file over those of the files that it includes."""
    given = tree.get("include") or []
    parents = [given] if isinstance(given, str) else list(given)
    merged: dict[str, Any] = {}
    for parent in parents:
        file = path.parent / parent
        if file.resolve() == path.resolve():
            raise UserError(f"{path}: include: names itself")
        merged |= _with_parents(file, load(file), load)
    return merged | {key: value for key, value in tree.items() if key != "include"}


def _source(path: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    split = next((task[key] for key in SPLITS if task.get(key)), None)
    where, given = task.get("dataset_path"), dict(task.get("dataset_kwargs") or {})
    if where is None:
        raise UserError(f"{path}: names no dataset_path")
    if where in LOCAL:
        return {"path": _file(path, given.get("data_files"), split)}
    if split is None:
        raise UserError(f"{path}: names neither {' nor '.join(SPLITS)}")
    named = {"config": task.get("dataset_name"), "revision": given.get("revision")}
    return {"hub": where, "split": split} | {key: text for key, text in named.items() if text}


def _file(path: Path, files: Any, split: str | None) -> str:
    """Return the file of tasks: from the working folder, as lm-eval has it, else beside the
    task."""
    if isinstance(files, Mapping):
        files = files.get(split) if split is not None else None
    if isinstance(files, list) and len(files) == 1:
        files = files[0]
    if not isinstance(files, str) or "://" in files:
        raise UserError(f"{path}: dataset_kwargs.data_files names no one file for split {split}")
    beside = path.parent / files
    return files if Path(files).exists() or not beside.exists() else str(beside)


def _metrics(task: Mapping[str, Any]) -> set[str]:
    listed = [entry.get("metric") for entry in task.get("metric_list") or []]
    return {m.name if isinstance(m, Function) else str(m) for m in listed} or {"exact_match"}


def _answers(path: Path, task: Mapping[str, Any]) -> dict[str, str]:
    filters = ["trim"]
    for metric in task.get("metric_list") or []:
        for pattern in metric.get("regexes_to_ignore") or []:
            if "####" in pattern:  # what stands before the answer; the rest is spelling
                filters.insert(0, f"regex_replace({json.dumps(pattern)}, '')")
    graded_by_code = isinstance(task.get("process_results"), Function)
    kind = "kind_of_number" if graded_by_code else "kind_of_gold"
    return {
        "prompt": _prompt(path, task),
        "gold": _piped(path, task, filters),
        "kind": _piped(path, task, [*filters, kind]),
    }


def _piped(path: Path, task: Mapping[str, Any], filters: list[str]) -> str:
    """Return the gold's template through filters; one expression keeps a list a list, which is no
    gold."""
    target = task.get("doc_to_target")
    if isinstance(target, str) and is_template(target) and not _ONE.fullmatch(target):
        opened = "".join(f"{{% filter {name} %}}" for name in reversed(filters))
        return opened + target + "{% endfilter %}" * len(filters)
    gold = _expression(path, task, "doc_to_target")
    return _printed(f"({gold})|{'|'.join(['text', *filters])}")


def _choices(path: Path, task: Mapping[str, Any]) -> dict[str, str]:
    options, gold = _expression(path, task, "doc_to_choice"), task.get("doc_to_target")
    if isinstance(gold, int):
        # The right one stands in one place in every row: it would be learned by its place.
        return {
            "prompt": _prompt(path, task),
            "gold": _printed(f"({options})[{gold}]"),
            "meta.options": _printed(f"({options})|by_hash"),
        }
    return {
        "prompt": _prompt(path, task),
        "gold": _printed(_expression(path, task, "doc_to_target")),
        "meta.options": _printed(options),
    }


def _prompt(path: Path, task: Mapping[str, Any]) -> str:
    """Return the template of the prompt, without the cue at its end that a base model goes on
    from."""
    text = task.get("doc_to_text")
    if not isinstance(text, str) or not text:
        raise UserError(f"{path}: doc_to_text should be text")
    text = f"{{{{{text}}}}}" if text.isidentifier() else text
    return str(task.get("description") or "") + _CUE.sub("", text)


def _expression(path: Path, task: Mapping[str, Any], key: str) -> str:
    """Return what a key names, as one expression of Jinja."""
    value = task.get(key)
    if isinstance(value, list):
        return json.dumps(value)
    if not isinstance(value, str) or not value:
        raise UserError(f"{path}: {key} should be a column or a template")
    if not is_template(value):
        return value if value.isidentifier() else json.dumps(value)
    whole = _ONE.fullmatch(value)
    if whole is None:
        raise UserError(f"{path}: {key} is more than one expression: {value!r}")
    return whole[1].strip()


def _printed(expression: str) -> str:
    return f"{{{{ {expression} }}}}"


def _differs(task: Mapping[str, Any], kind: str) -> str:
    """Return what is done otherwise than by lm-eval, in one sentence."""
    said = ["asked with our own prompt for its kind, and graded by our verifier"]
    if kind == "multiple_choice":
        said = ["asked for a letter, where lm-eval compares the likelihood of the choices"]
    shots = task.get("num_fewshot")
    if shots:
        said.append(f"without its {shots} worked examples (`prompts.examples` takes yours)")
    if isinstance(task.get("process_results"), Function):
        said.append(f"its own grading ({task['process_results'].name}) is not run")
    return "; ".join(said)
