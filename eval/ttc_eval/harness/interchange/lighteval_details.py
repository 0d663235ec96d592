"""lighteval's details: a parquet file of one row a task, with columns doc, metric, model_response.

`doc` holds the prompt (`query`), `id` (the task's place), `choices` and `gold_index`;
`model_response.text` the n completions. What lighteval has no place for goes into `doc.specific`.
Checked against the source of lighteval 0.13 (`logging/info_loggers.py`, `tasks/requests.py`).
Not covered: the older layout with a column `predictions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ttc_eval.harness.interchange.foreign import Exported, Foreign, source_id
from ttc_rl.corpus.files import read_files
from ttc_rl.sampling.prompts import render
from ttc_rl.sampling.samples import Row
from ttc_rl.schema import Task, UserError
from ttc_rl.system.install import install

KEPT = ("answer", "correct", "status", "reason", "finish_reason", "tokens")


def read(path: Path) -> Iterator[Foreign]:
    if not path.name.endswith(".parquet"):
        raise UserError(f"{path}: is parquet; name it so")
    for row in read_files(str(path)):
        yield from _of_row(row.where, row.value)


def _of_row(where: str, value: Any) -> Iterator[Foreign]:
    doc, response = value.get("doc"), value.get("model_response")
    if not isinstance(doc, Mapping) or not isinstance(response, Mapping):
        raise UserError(
            f"{where}: no details of lighteval: needs doc and model_response, has "
            f"{', '.join(value)}"
        )
    texts = response.get("text")
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise UserError(f"{where}: model_response.text holds no completions (a task of logprobs?)")
    ours = _ours(doc)
    samples, index = ours.get("samples") or [{}] * len(texts), str(doc.get("id") or "")
    lengths = response.get("output_tokens") or []
    for i, text in enumerate(texts):
        values: Row = {"completion": text}
        if len(lengths) == len(texts):
            values["tokens"] = len(lengths[i])
        if len(texts) == 1 and (verdict := _verdict(value.get("metric"))) is not None:
            values["correct"] = verdict
        yield Foreign(
            f"{where} completion {i + 1}",
            values | samples[i],
            ours.get("task_id"),
            str(doc.get("query") or ""),
            int(index) if index.isdigit() else None,
            i,
        )


def _ours(doc: Mapping[str, Any]) -> Mapping[str, Any]:
    specific = doc.get("specific")
    packed = specific.get("ttc_rl") if isinstance(specific, Mapping) else None
    return json.loads(packed) if isinstance(packed, str) else {}


def _verdict(metric: Any) -> bool | None:
    """Return the verdict on one completion: all metrics say 1, or all say 0; None where they
    disagree."""
    values = set(metric.values()) - {None} if isinstance(metric, Mapping) else set()
    return bool(values.pop()) if len(values) == 1 and values <= {0, 1} else None


def write(exported: Exported, path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(f"{path}: parquet needs pyarrow: {install('hub')}") from None
    rows = [
        _row(exported, index, task, group)
        for index, (task, group) in enumerate(
            zip(exported.benchmark.tasks, exported.rows, strict=True)
        )
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def _row(exported: Exported, index: int, task: Task, group: Any) -> dict[str, Any]:
    options = task.meta.get("options")
    choices = list(map(str, options)) if options else [task.gold or ""]
    gold = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".find(task.gold or "?") if options else 0
    samples = [{key: row.get(key) for key in KEPT} for row in group]
    packed = {"task_id": source_id(task), "meta": dict(task.meta), "samples": samples}
    right = sum(row["correct"] is True for row in group) / len(group)
    return {
        "doc": {
            "query": render(task, {}),
            "choices": choices,
            "gold_index": max(gold, 0),
            "instruction": None,
            "specific": {"ttc_rl": json.dumps(packed, ensure_ascii=False, default=dict)},
            "original_query": task.prompt,
            "id": str(index),
            "task_name": exported.benchmark.name,
            "num_samples": len(group),
        },
        "metric": {f"avg@{len(group)}": right},
        "model_response": {"input": None, "text": [row["completion"] for row in group]},
    }
